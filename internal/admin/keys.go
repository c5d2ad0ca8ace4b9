package admin

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/go-chi/chi/v5"
)

// keyPart is the keys of an account with the form for another, on the pages of one's own and of a program's.
type keyPart struct {
	KeyAction string
	Keys      []keyLine
	Scopes    []choice
	KeyForm   keyForm
	MayDecide bool
}

type keyLine struct {
	account.Key
	Over bool
}

// keyForm is what somebody typed.
type keyForm struct {
	Name, Networks, Days string
	Decide               bool
}

// keysPage is /konto/nokler: the keys of whoever looks.
type keysPage struct {
	edge.Page
	keyPart
}

var sampleKeys = keyPart{
	KeyAction: "/konto/nokler", MayDecide: true, Scopes: []choice{{ID: "f-scope-0", Value: "client.read", Label: "L"}},
	Keys: []keyLine{{Key: account.Key{ID: 1, Name: "Journal", Scopes: []string{"client.read", "decide"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Refusals: 2}}, {Over: true}},
}

func init() { edge.Pages["keys"] = keysPage{keyPart: sampleKeys} }

func newKeyPart(p edge.Page, action string, keys []account.Key, roles []access.Role, machine bool) keyPart {
	part := keyPart{KeyAction: action, MayDecide: !machine, KeyForm: keyForm{Days: "90"}}
	for _, k := range keys {
		part.Keys = append(part.Keys, keyLine{k, k.Ended(p.Clock)})
	}
	for i, permission := range access.Permissions(roles...) {
		if machine && access.Decision(permission) {
			continue
		}
		part.Scopes = append(part.Scopes, choice{ID: "f-scope-" + strconv.Itoa(i), Value: string(permission), Label: p.Say("permission." + string(permission))})
	}
	return part
}

// ScopeWords is what a key may.
func (p accountPage) ScopeWords(scopes []string) string { return scopeWords(p.Page, scopes) }

// ScopeWords is what a key may.
func (p keysPage) ScopeWords(scopes []string) string { return scopeWords(p.Page, scopes) }

func scopeWords(p edge.Page, scopes []string) string {
	var words []string
	decides := false
	for _, scope := range scopes {
		if scope == account.ScopeDecide {
			decides = true
		} else {
			words = append(words, p.Say("permission."+scope))
		}
	}
	if len(words) == 0 {
		words = append(words, p.Say("keys.everything"))
	}
	if decides {
		words = append(words, p.Say("keys.decides"))
	}
	return strings.Join(words, ", ")
}

func (s *Server) keys(w http.ResponseWriter, r *http.Request) error {
	page, err := s.keysPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "keys", page)
}

func (s *Server) keysPage(r *http.Request) (keysPage, error) {
	page := keysPage{Page: edge.NewPage(r)}
	keys, err := account.Keys(r.Context(), s.DB, page.Caller, page.Caller.Account)
	page.keyPart = newKeyPart(page.Page, "/konto/nokler", keys, page.Caller.Roles, false)
	return page, err
}

// whoseKeys is one's own, or those of the program in the address: the account, and the page to go back to.
type whoseKeys func(r *http.Request) (int64, string, error)

func ownKeys(r *http.Request) (int64, string, error) {
	return edge.Caller(r).Account, "/konto/nokler", nil
}

func programsKeys(r *http.Request) (int64, string, error) {
	id, err := accountID(r)
	return id, accountPath(id), err
}

// makeKey makes a key and shows it, once.
func (s *Server) makeKey(whose whoseKeys) edge.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, back, err := whose(r)
		if err != nil {
			return err
		}
		f, err := parse(r)
		if err != nil {
			return err
		}
		wish := account.KeyWish{Name: f.text("key_name"), Scopes: f.Values["scopes"], Networks: strings.FieldsFunc(f.Get("networks"), separates)}
		wish.Days, _ = strconv.Atoi(f.text("days"))
		key, err := account.MakeKey(r.Context(), s.DB, edge.Caller(r), id, wish)
		if err != nil {
			return s.keysAgain(w, r, back, err, f)
		}
		return s.showKey(w, r, key, wish.Name, back)
	}
}

func separates(r rune) bool {
	return r == ',' || r == ';' || r == ' ' || r == '\n' || r == '\r' || r == '\t'
}

// rotateKey makes a key that takes another's place, and shows it, once.
func (s *Server) rotateKey(whose whoseKeys) edge.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, back, err := whose(r)
		if err != nil {
			return err
		}
		key, err := account.ParseID(chi.URLParam(r, "key"))
		if err != nil {
			return err
		}
		f, err := parse(r)
		if err != nil {
			return err
		}
		overlap, err := strconv.Atoi(f.text("overlap"))
		if err != nil {
			overlap = -1
		}
		next, err := account.RotateKey(r.Context(), s.DB, edge.Caller(r), id, key, overlap)
		if err != nil {
			return s.keysAgain(w, r, back, err, nil)
		}
		return s.showKey(w, r, next, "", back)
	}
}

// endKey ends a key at once.
func (s *Server) endKey(whose whoseKeys) edge.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, back, err := whose(r)
		if err != nil {
			return err
		}
		key, err := account.ParseID(chi.URLParam(r, "key"))
		if err != nil {
			return err
		}
		if err := account.EndKey(r.Context(), s.DB, edge.Caller(r), id, key); err != nil {
			return err
		}
		return to(w, r, back, edge.Flash{Key: "keys.flash.ended"})
	}
}

// keysAgain shows the form again with what is wrong in it.
func (s *Server) keysAgain(w http.ResponseWriter, r *http.Request, back string, err error, f *form) error {
	refill := func(part *keyPart) {
		if f == nil {
			return
		}
		part.KeyForm = keyForm{Name: f.text("key_name"), Networks: f.Get("networks"), Days: f.text("days"), Decide: slices.Contains(f.Values["scopes"], account.ScopeDecide)}
		for i := range part.Scopes {
			part.Scopes[i].Checked = slices.Contains(f.Values["scopes"], part.Scopes[i].Value)
		}
	}
	if back != "/konto/nokler" {
		return s.accountAgain(w, r, err, "keys.not_made", func(p *accountPage) { refill(&p.keyPart) })
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.keysPage(r)
	if again != nil {
		return again
	}
	refill(&page.keyPart)
	page.Undone = "keys.not_made"
	return edge.Render(w, r, page.Fail(err), "keys", page)
}

// showKey is the one page that has the key on it.
func (s *Server) showKey(w http.ResponseWriter, r *http.Request, key, name, back string) error {
	return edge.Render(w, r, http.StatusCreated, "secret", secretPage{Page: edge.NewPage(r), Kind: "key", Name: name, Value: key, Until: time.Time{}, Back: back})
}
