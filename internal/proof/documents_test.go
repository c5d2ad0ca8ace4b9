package proof

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	aTest    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	inTicks  = regexp.MustCompile("`([^`]+)`")
	testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
	aRow     = regexp.MustCompile(`^\| (\d+\.\d+\.\d+) \|`)
)

// TestEveryRowOfTheStandardNamesWhatExists holds the documents about security to the code: each test, target and file that
// they name is there, and each row of the standard names one, or says why there is none.
func TestEveryRowOfTheStandardNamesWhatExists(t *testing.T) {
	root := filepath.Join("..", "..")
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "node_modules" {
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		raw, err := os.ReadFile(path)
		for _, m := range aTest.FindAllStringSubmatch(string(raw), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(root, "docs", "security", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for _, name := range []string{"asvs.md", "threats.md", "decisions.md", "postgresql.md"} {
		for _, m := range inTicks.FindAllStringSubmatch(read(name), -1) {
			switch said := m[1]; {
			case testName.MatchString(said):
				if !tests[said] {
					t.Errorf("%s names %s, and nobody has written it", name, said)
				}
			case regexp.MustCompile(`^[a-z][\w./-]*\.(go|md|yaml|txt|json|js|sum|mod)$`).MatchString(said):
				if _, err := os.Stat(filepath.Join(root, said)); err != nil {
					if _, err := os.Stat(filepath.Join(root, "docs", "security", said)); err != nil {
						t.Errorf("%s names %s, which is not there", name, said)
					}
				}
			}
		}
	}
	numbers := map[string]bool{}
	for line := range strings.Lines(read("asvs.md")) {
		m := aRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if numbers[m[1]] {
			t.Errorf("%s stands twice", m[1])
		}
		numbers[m[1]] = true
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || strings.TrimSpace(cells[2]) == "" {
			t.Errorf("%s is not of the form of the table: %s", m[1], line)
			continue
		}
		why := strings.TrimSpace(cells[3])
		if !strings.Contains(why, "`") && !strings.HasPrefix(why, "n/a: ") && !strings.HasPrefix(why, "not done") {
			t.Errorf("%s names nothing and gives no reason: %s", m[1], why)
		}
	}
	if len(numbers) < 230 {
		t.Errorf("only %d rows", len(numbers))
	}
	for _, adopted := range []string{"2.3.5", "7.5.3", "8.3.2", "8.4.2", "14.2.6", "14.2.7", "14.2.8", "15.4.1", "15.4.2", "15.4.3", "1.2.10", "3.4.8", "3.5.8", "6.3.5", "6.3.8", "6.3.3", "16.3.2", "3.4.3"} {
		if !numbers[adopted] {
			t.Errorf("the level-3 item %s is missing", adopted)
		}
	}
	threats := 0
	for line := range strings.Lines(read("threats.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 4 || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[0]) == "threat" {
			continue
		}
		threats++
		if proof := cells[3]; !strings.Contains(proof, "`") && !strings.Contains(proof, "not done") {
			t.Errorf("a threat without a proof: %s", line)
		}
	}
	if threats < 40 {
		t.Errorf("only %d threats", threats)
	}
}
