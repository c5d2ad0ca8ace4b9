package explain

import (
	"strings"
	"testing"
)

func TestAColumnThatSoundsPersonalNeedsAReason(t *testing.T) {
	db := database{tables: []string{"club"}, columns: map[string][]column{"club": {{"id", "int", false}, {"email", "text", false}}}}
	for text, want := range map[string]string{
		"club  none\n  path none\n  action none\n  id id\n  plain email":                                  "club.email sounds personal",
		"club  none\n  path none\n  action none\n  id id\n  plain email\n  because email: the club's own": "",
		"club  none\n  path none\n  action none\n  id id\n  personal email":                               "",
		"club  none\n  path none\n  action none\n  id id id\n  personal email":                            "club.id is declared twice",
		"club  none\n  path none\n  action cascade\n  id id\n  personal email":                            "a table without a path",
		"club  none\n  path x ~> client\n  action outlives\n  id id\n  personal email":                    "which does not exist",
	} {
		tables, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		err = compare(tables, db)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"club", "  path none", "club none\n  path to somewhere", "club none\n  action burn", "club none\n  because of us", "club none\n  because x: y", "club none\n  funny id"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
