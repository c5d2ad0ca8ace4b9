package account_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
)

var update = flag.Bool("update", false, "write docs/guides/roles.md anew; read the difference like code")

// The role table as it is printed for people, so that nobody has to read Go to know who may what.
func TestTheRoleTableIsPrinted(t *testing.T) {
	const file = "../../docs/guides/roles.md"
	words := map[string]any{}
	for _, name := range []string{"nb", "accounts.nb"} {
		raw, err := os.ReadFile("../../web/locales/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &words); err != nil {
			t.Fatal(err)
		}
	}
	say := func(key string) string {
		s, ok := words[key].(string)
		if !ok {
			t.Errorf("no words for %s", key)
		}
		return s
	}
	var b strings.Builder
	b.WriteString("# Roller\n\nHvem som kan hva, og databaserollen som håndhever det. Skrevet av en test etter `internal/access/access.go`: `go test ./internal/account -run RoleTable -update`.\n\n")
	b.WriteString("| rettighet |")
	for _, g := range access.Table {
		fmt.Fprintf(&b, " %s |", say("role."+string(g.Role)))
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(access.Table)) + "\n| *databaserolle* |")
	for _, g := range access.Table {
		fmt.Fprintf(&b, " `%s` |", g.Database)
	}
	b.WriteString("\n")
	var roles []access.Role
	for _, g := range access.Table {
		roles = append(roles, g.Role)
	}
	all := access.Permissions(roles...)
	for _, p := range all {
		mark := ""
		if access.Decision(p) {
			mark = " ⁑"
		}
		fmt.Fprintf(&b, "| %s (`%s`)%s |", say("permission."+string(p)), p, mark)
		for _, g := range access.Table {
			may := " "
			if slices.Contains(g.Permissions, p) {
				may = "×"
			}
			fmt.Fprintf(&b, " %s |", may)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n⁑ En avgjørelse. En nøkkel gjør det bare når den er personlig, har rettigheten `decide` og er høyst 12 timer gammel; et program gjør det aldri. En nøkkel kan aldri mer enn den som eier den.\n")
	b.WriteString("\nFolk i kommunen kan ha flere roller. Kommunens, databehandlerens og leverandørens roller er aldri hos samme person (D13).\n")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != b.String() {
		t.Errorf("docs/guides/roles.md is not the role table (%v): go test ./internal/account -run RoleTable -update", err)
	}
}
