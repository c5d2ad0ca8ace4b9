package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/web"
	"github.com/go-chi/chi/v5"
)

// static serves the files of package web under an address that holds the hash of them all, so that browsers may keep
// them for ever. Addresses inside the files (a font in a style sheet) are relative and need no rewriting.
type static struct {
	files fs.FS
	hash  string
}

func newStatic() (*static, error) {
	files, err := fs.Sub(web.Static, "static")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		one := sha256.Sum256(content)
		sum.Write([]byte(name))
		sum.Write(one[:])
		return nil
	})
	return &static{files: files, hash: hex.EncodeToString(sum.Sum(nil))[:16]}, err
}

func (s *static) address(name string) string { return "/static/" + s.hash + "/" + name }

func (s *static) serve(w http.ResponseWriter, r *http.Request) {
	name := path.Clean(chi.URLParam(r, "*"))
	if info, err := fs.Stat(s.files, name); err != nil || info.IsDir() || strings.HasPrefix(path.Base(name), ".") {
		Fail(w, r, problem.NotFound{What: "file"})
		return
	}
	if chi.URLParam(r, "hash") == s.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else { // a page from before the last start: the file, but do not remember it under that name
		w.Header().Set("Cache-Control", "no-cache")
	}
	http.ServeFileFS(w, r, s.files, name)
}
