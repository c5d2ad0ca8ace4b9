package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

// roundRoutes hangs up the rounds as everybody around them sees them: the municipality decides (/runder), support controls
// (/support), the operator runs (/drift), and the platform administrator watches (/plattform). A dialog's form has a page
// of its own at the address that it posts to, for browsers that open no dialogs.
func (s *Server) roundRoutes(r chi.Router) {
	r.Get("/runder", edge.Handle(s.rounds))
	r.Get("/runder/{number}", edge.Handle(s.round(decideNothing)))
	r.Get("/runder/{number}/klienter", edge.Handle(s.roundClients))
	r.Get("/runder/{number}/godkjenn", edge.Handle(s.round(decideApprove)))
	r.Post("/runder/{number}/godkjenn", edge.Handle(s.approve))
	r.Get("/runder/{number}/avvis", edge.Handle(s.round(decideReject)))
	r.Post("/runder/{number}/avvis", edge.Handle(s.reject))
	r.Get("/runder/{number}/avlys", edge.Handle(s.round(decideCancel)))
	r.Post("/runder/{number}/avlys", edge.Handle(s.cancel))
	r.Get("/runder/{number}/brems", edge.Handle(s.round(decideBrake)))
	r.Post("/runder/{number}/brems", edge.Handle(s.liftBrake))
	s.protocolRoutes(r, "/runder/{number}/protokoll")

	r.Get("/bestillinger", edge.Handle(s.orders))
	r.Post("/bestillinger", edge.Handle(s.askOrder))

	r.Get("/support", edge.Handle(s.support))
	r.Get("/support/runder/{number}", edge.Handle(s.supportRound))
	r.Post("/support/runder/{number}/kontroll", edge.Handle(s.requestControl))
	r.Post("/support/runder/{number}/funn", edge.Handle(s.saveFindings))
	r.Post("/support/runder/{number}/avslutt", edge.Handle(s.finishControl))
	r.Get("/support/bestillinger/{order}", edge.Handle(s.supportOrder))
	r.Post("/support/bestillinger/{order}", edge.Handle(s.placeOrder))
	r.Get("/support/bestillinger/{order}/avslag", edge.Handle(s.supportOrder))
	r.Post("/support/bestillinger/{order}/avslag", edge.Handle(s.declineOrder))
	s.protocolRoutes(r, "/support/runder/{number}/protokoll")

	r.Get("/drift", edge.Handle(s.operator))
	r.Get("/drift/{number}", edge.Handle(s.operatorRound(false)))
	r.Get("/drift/{number}/start", edge.Handle(s.operatorRound(true)))
	r.Post("/drift/{number}/start", edge.Handle(s.start))
	r.Post("/drift/{number}/pause", edge.Handle(s.pause))
	r.Post("/drift/{number}/fortsett", edge.Handle(s.resume))
	s.protocolRoutes(r, "/drift/{number}/protokoll")
	r.Get("/protokoller", edge.Handle(s.protocols))

	r.Get("/plattform", edge.Handle(s.platform))
}

// inRound runs fn in a transaction that stands in the municipality of the round in the address, with that round. People of
// a municipality see their own rounds only; whoever works for all of them turns to the round's municipality. A number of
// somebody else's round answers like one that never was.
func (s *Server) inRound(r *http.Request, fn func(ctx context.Context, tx *pg.Tx, round deletion.Round) error) error {
	caller, number := edge.Caller(r), chi.URLParam(r, "number")
	if caller.Blind() {
		var m int
		err := s.DB.InTx(r.Context(), caller, func(tx *pg.Tx) (err error) {
			m, _, err = deletion.Locate(r.Context(), tx, number)
			return err
		})
		if err != nil {
			return err
		}
		caller = caller.In(m)
	}
	return s.DB.InTx(r.Context(), caller, func(tx *pg.Tx) error {
		_, id, err := deletion.Locate(r.Context(), tx, number)
		if err != nil {
			return err
		}
		round, err := deletion.FindRound(r.Context(), tx, id)
		if err != nil {
			return err
		}
		return fn(r.Context(), tx, round)
	})
}

// ofMunicipality refuses people who work for no municipality: their pages are others.
func ofMunicipality(tx *pg.Tx) error {
	if tx.Caller.Blind() {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.RoundRead)}}
	}
	return tx.Require(access.RoundRead)
}

// inWords writes the instants in a conflict's blanks as people read them.
func inWords(p edge.Page, err error) error {
	var conflict problem.Conflict
	if !errors.As(err, &conflict) {
		return err
	}
	params := problem.Params{}
	for name, value := range conflict.Params {
		if at, ok := value.(time.Time); ok {
			value = p.Text.DateTime(at, p.Zone)
		}
		params[name] = value
	}
	return problem.Conflict{Code: conflict.Code, Params: params}
}

// still asks the browser to load the whole page when the part that it keeps fresh was made for another state of the round.
func still(w http.ResponseWriter, r *http.Request, state string) {
	if then := r.URL.Query().Get("tilstand"); then != "" && then != state {
		w.Header().Set("HX-Refresh", "true")
	}
}

// people names who did what: the own municipality's people by name, others by what they work as.
type people map[int64]account.StaffMember

func (who people) name(p edge.Page, id int64, role string) string {
	if m, ok := who[id]; ok {
		if role == "" || role == "municipality" {
			return m.Name
		}
		return p.Say("rounds.who", "name", m.Name, "role", strings.ToLower(p.RoleName(access.Role(role))))
	}
	switch access.Role(role) {
	case access.Support, access.Operator:
		return p.Say("rounds.who." + role)
	}
	if id == 0 || role == string(access.System) {
		return "Frist"
	}
	if role == "" || role == "municipality" {
		return p.Say("rounds.who.somebody")
	}
	return p.RoleName(access.Role(role))
}

// overdue reports whether a round should have been run, and nobody has started it.
func overdue(p edge.Page, r deletion.Round) bool {
	waits := r.State == deletion.Proposed || r.State == deletion.Controlled || r.State == deletion.Approved
	return waits && r.RunOn.Before(p.Today())
}

// waitsFor tells whom an overdue round waits for.
func waitsFor(p edge.Page, r deletion.Round) string {
	if r.State == deletion.Approved && !r.CoolingOff(p.Clock) {
		return p.Say("rounds.late.operator")
	}
	return standing(p, r)
}

// stateWords tells where a round stands, what it waits for, and whether it is late.
func stateWords(p edge.Page, r deletion.Round) string {
	if overdue(p, r) {
		return p.Say("rounds.late", "date", r.RunOn, "waits", waitsFor(p, r))
	}
	return standing(p, r)
}

func standing(p edge.Page, r deletion.Round) string {
	switch {
	case r.State == deletion.Open:
		return p.Say("rounds.state.open", "date", r.RunOn.AddDays(-deletion.LeadDays))
	case r.State == deletion.Proposed && r.ReadyCount != nil:
		return p.Say("rounds.state.checked")
	case r.State == deletion.Approved && r.CoolingOff(p.Clock):
		return p.Say("rounds.state.cooling_off", "until", p.Text.DateTime(*r.CoolingOffUntil, p.Zone))
	case r.State == deletion.Approved && p.Today().Before(r.RunOn):
		return p.Say("rounds.state.waits_for_date", "date", r.RunOn)
	case r.State == deletion.Paused && r.Incident != nil:
		return p.Say("rounds.incident." + *r.Incident)
	case r.State == deletion.Paused && r.Braked():
		return p.Say("rounds.brake." + *r.Brake)
	case r.State == deletion.Finished && r.FinishedAt != nil:
		return p.Say("rounds.state.finished_at", "when", p.Text.DateTime(*r.FinishedAt, p.Zone))
	}
	return p.Say("rounds.state." + string(r.State))
}

// nextRun is the day on which those who stay get their next chance: the first open group after the round's date.
func nextRun(groups []deletion.Round, round deletion.Round, today calendar.Date) calendar.Date {
	for _, g := range groups {
		if g.RunOn.After(round.RunOn) && g.RunOn.After(today) && g.ID != round.ID {
			return g.RunOn
		}
	}
	return calendar.Date{}
}

// short is a check sum as people compare it: "c41f 9a02 … 1e77".
func short(sum string) string {
	if len(sum) < 16 {
		return sum
	}
	return sum[:4] + " " + sum[4:8] + " … " + sum[len(sum)-4:]
}

// spaced is the whole check sum in groups of four.
func spaced(sum string) string {
	var b strings.Builder
	for i := 0; i < len(sum); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(sum[i:min(i+4, len(sum))])
	}
	return b.String()
}

// share is "3,5" per cent in the reader's writing.
func share(p edge.Page, part, whole int) string {
	if whole == 0 {
		return "0"
	}
	s := strconv.FormatFloat(float64(part)*100/float64(whole), 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if p.Lang != "en" {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// span is how long something lasts, in the two largest units that it has.
func span(p edge.Page, d time.Duration) string {
	units := []struct {
		key string
		len time.Duration
	}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}
	var parts []string
	for i, u := range units {
		n := int(d / u.len)
		d -= time.Duration(n) * u.len
		if n == 0 && (len(parts) > 0 || i < len(units)-1) {
			if len(parts) > 0 {
				break
			}
			continue
		}
		parts = append(parts, p.SayN("span."+u.key, n))
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " "+p.Say("span.and")+" ")
}

func deref[T any](v *T) T {
	var zero T
	if v == nil {
		return zero
	}
	return *v
}

// policyAndGroups is what most pages of a round tell besides the round.
func policyAndGroups(ctx context.Context, tx *pg.Tx) (municipality.Policy, []deletion.Round, error) {
	policy, err := municipality.PolicyOf(ctx, tx)
	if err != nil {
		return policy, nil, err
	}
	groups, err := deletion.OpenGroups(ctx, tx)
	return policy, groups, err
}

func hexSum(sum []byte) string { return fmt.Sprintf("%x", sum) }
