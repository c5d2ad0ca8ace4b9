package proof

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var fuzzed = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// Every target has a corpus that was committed, and `make proof` runs them all: it finds them by their names, so one that
// is called otherwise would be forgotten.
func TestEveryFuzzTargetIsRunAndHasACorpus(t *testing.T) {
	root := filepath.Join("..", "..")
	targets := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "node_modules" {
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range fuzzed.FindAllStringSubmatch(string(raw), -1) {
			targets[m[1]] = true
			seeds, err := os.ReadDir(filepath.Join(filepath.Dir(path), "testdata", "fuzz", m[1]))
			if err != nil || len(seeds) == 0 {
				t.Errorf("%s has no corpus under testdata/fuzz", m[1])
			}
			rel, _ := filepath.Rel(root, path)
			if !strings.HasPrefix(filepath.ToSlash(rel), "internal/") && !strings.HasPrefix(filepath.ToSlash(rel), "cmd/") {
				t.Errorf("make fuzz does not look into %s", rel)
			}
		}
		if n := strings.Count(string(raw), "*testing.F)"); filepath.Base(path) != "fuzz_test.go" && n > 0 && !fuzzed.Match(raw) {
			t.Errorf("%s takes a *testing.F under a name that make fuzz does not find", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, parser := range []string{
		"FuzzSessionCookie", "FuzzKey", "FuzzFlashCookie", "FuzzForwardedFor", "FuzzAcceptLanguage", "FuzzForm", "FuzzRequestLine", "FuzzCursor", "FuzzEventCursor", "FuzzSearchTerms", "FuzzParse",
		"FuzzParseNationalID", "FuzzRead", "FuzzMapping", "FuzzValues", "FuzzClientFilter", "FuzzPages", "FuzzRoundNumber", "FuzzImportForm", "FuzzContract", "FuzzIfMatch", "FuzzIdempotencyKey", "FuzzUpload",
	} {
		if !targets[parser] {
			t.Errorf("%s is gone", parser)
		}
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, proof, _ := strings.Cut(string(makefile), "\nproof: ")
	proof, _, _ = strings.Cut(proof, "\n\n")
	if !strings.Contains(proof, "$(MAKE) fuzz") || !strings.Contains(string(makefile), `'^func Fuzz[A-Za-z0-9]*' cmd internal`) {
		t.Error("make proof does not run the fuzzing")
	}
}
