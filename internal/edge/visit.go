package edge

import (
	"net/http"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// VisitHeader names the visit that a program of support stands in, for one request (T21).
const VisitHeader = "X-Frist-Visit"

// VisitsPath is where support sees its requests and grants, goes in and comes out.
const VisitsPath = "/support/innsyn"

// tabs are the pages of a client by the last part of their address, with the kind of page that a visit can be limited to.
var tabs = map[string]string{
	"": "deletion", "opplysninger": "record", "status": "status", "enheter": "devices", "notater": "notes", "egenskaper": "properties", "parorende": "kin",
	"helsearbeidere": "professionals", "medisinsk": "medical", "medisinering": "medication", "planer": "plans", "alarmlogg": "alarms", "opptak": "recordings",
	"palegg": "holds", "revisjonsspor": "trail",
}

// operations are the same of the programs' interface.
var operations = map[string]string{"": "record", "group": "deletion", "devices": "devices", "holds": "holds"}

// visitable tells whether a visitor may go to an address: to the list, the client's head and the granted pages, to read.
// What another kind of page holds is not found; what is no page of a client waits until they have left. The
// database would show nothing there either: this is so that nobody meets a wall of empty pages.
func visitable(v access.Visit, method, path string) error {
	outside := problem.Forbidden{Code: "visiting"}
	kinds, rest := tabs, ""
	switch {
	case path == "/" || path == VisitsPath || strings.HasPrefix(path, VisitsPath+"/") || path == "/innstillinger" || path == "/api/v1/me":
		return nil
	case path == "/klienter" || path == "/api/v1/clients":
	case strings.HasPrefix(path, "/klienter/"):
		rest = strings.TrimPrefix(path, "/klienter/")
	case strings.HasPrefix(path, "/api/v1/clients/"):
		kinds, rest = operations, strings.TrimPrefix(path, "/api/v1/clients/")
	default:
		return outside
	}
	if method != http.MethodGet && method != http.MethodHead {
		return outside
	}
	if rest == "" {
		return nil
	}
	_, tab, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	tab, recording, deep := strings.Cut(tab, "/")
	kind, known := kinds[tab]
	if !known || deep && (kind != "recordings" || strings.Contains(recording, "/")) || !v.Shows(kind) {
		return problem.NotFound{What: "client"}
	}
	return nil
}

// visit lets a visitor's request pass where the visit goes, and tells once that a visit is over.
func (s *Site) visit(w http.ResponseWriter, r *http.Request) bool {
	st := stateOf(r)
	if st.profile.Visits != nil && st.profile.Visits.Over {
		if err := account.Leave(r.Context(), s.DB, st.caller); err != nil {
			Fail(w, r, err)
			return false
		}
		SetFlash(w, r, Flash{Key: "visits.flash.over"})
		if r.Header.Get("HX-Request") != "" {
			w.Header().Set("HX-Redirect", VisitsPath)
			w.WriteHeader(http.StatusForbidden)
		} else {
			http.Redirect(w, r, VisitsPath, http.StatusSeeOther)
		}
		return false
	}
	if !st.caller.Visiting() {
		return true
	}
	err := visitable(st.caller.Visit, r.Method, r.URL.Path)
	if _, refused := err.(problem.Forbidden); refused { //nolint:errorlint // it was made here; in a transaction, so that the refusal is recorded
		err = s.DB.InTx(r.Context(), st.caller, func(*pg.Tx) error { return err })
	}
	if err != nil {
		Fail(w, r, err)
	}
	return err == nil
}

// Visits are the visits of support that are going on in the reader's municipality, for those who may know.
func (p Page) Visits() []account.LiveVisit {
	if !p.Can(string(access.VisitRead)) {
		return nil
	}
	return p.visits
}

// VisitWords is how far a visit goes, in words.
func (p Page) VisitWords(scope, page string) string {
	words := p.Say("visits.scope." + scope)
	if page != "" {
		words = p.Say("visits.scope."+scope+".page", "page", p.Say("visits.page."+page))
	}
	return words
}

// MayCutVisits is who sees the button that cuts one.
func (p Page) MayCutVisits() bool {
	return p.Caller.Has(access.Approver) || p.Caller.Has(access.Administrator)
}
