package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"
)

var vendored = regexp.MustCompile("(?m)^\\| (\\S+) \\| (\\S+) \\| (\\S+) \\| \\S+ \\| `([0-9a-f]{64})` \\|$")

// TestVendoredFilesAreWhatTheyClaim holds every file from another project to
// its written origin: none edited here, none unlisted, none of a version other
// than the one pinned in package.json.
func TestVendoredFilesAreWhatTheyClaim(t *testing.T) {
	raw, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var pinned struct {
		Dependencies    map[string]string
		DevDependencies map[string]string
	}
	if err := json.Unmarshal(raw, &pinned); err != nil {
		t.Fatal(err)
	}

	for _, folder := range []struct{ dir, list string }{
		{"static/vendor", "VENDOR.md"},
		{"../internal/browsertest/testdata", "README.md"},
		{"../internal/account/common", "README.md"},
	} {
		list, err := os.ReadFile(filepath.Join(folder.dir, folder.list))
		if err != nil {
			t.Fatal(err)
		}
		listed := map[string]bool{folder.list: true}
		for _, row := range vendored.FindAllStringSubmatch(string(list), -1) {
			file, name, version, hash := row[1], row[2], row[3], row[4]
			listed[file] = true
			content, err := os.ReadFile(filepath.Join(folder.dir, file))
			if err != nil {
				t.Error(err)
				continue
			}
			if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != hash {
				t.Errorf("%s differs from what %s says: run make assets, never edit it", file, folder.list)
			}
			if want := pinned.Dependencies[name] + pinned.DevDependencies[name]; version != want {
				t.Errorf("%s is from %s %s, and package.json pins %q: run make assets", file, name, version, want)
			}
		}
		if len(listed) == 1 {
			t.Errorf("%s lists no file", folder.list)
		}
		if folder.dir != "static/vendor" {
			continue // tests may keep other things in their testdata
		}
		entries, err := os.ReadDir(folder.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if !listed[entry.Name()] {
				t.Errorf("%s is not in %s", entry.Name(), folder.list)
			}
			if _, err := fs.Stat(Static, path.Join(folder.dir, entry.Name())); err != nil {
				t.Errorf("not served: %v", err)
			}
		}
	}
}
