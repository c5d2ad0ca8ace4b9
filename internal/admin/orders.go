package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
)

// ordersPage is /bestillinger: what the municipality has asked for, and the form to ask.
type ordersPage struct {
	edge.Page
	Orders []orderLine
	Groups []deletion.Round
	Form   orderForm
	MayAsk bool
	Policy municipality.Policy
	Once   string // so that a form sent twice asks once
}

// orderLine is one request with the name of who asked.
type orderLine struct {
	deletion.Order
	Who string
}

// orderForm is what somebody typed.
type orderForm struct {
	Scope, Group, Clients, Reason, Reference, RunOn string
}

func init() {
	number, run := "3218-231009-E1", calendar.On(2023, 10, 1)
	edge.Pages["orders"] = ordersPage{
		MayAsk: true, Groups: []deletion.Round{{ID: 1, RunOn: run}},
		Orders: []orderLine{
			{deletion.Order{State: "ordered", Scope: "group", GroupRunOn: &run, Reason: "backlog", RoundNumber: &number, RunOn: run}, "Kari"},
			{deletion.Order{State: "asked", Scope: "selected", Clients: 2, Reason: "other", RunOn: run}, "Per"},
		},
	}
}

func (s *Server) orders(w http.ResponseWriter, r *http.Request) error {
	if edge.Caller(r).Can(access.OrderPlace) { // support's list is another
		return to(w, r, "/support", edge.Flash{})
	}
	page, err := s.ordersPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "orders", page)
}

func (s *Server) ordersPage(r *http.Request) (ordersPage, error) {
	page := ordersPage{Page: edge.NewPage(r), Once: newOnce()}
	page.MayAsk = page.Caller.Can(access.OrderAsk)
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return page.fill(r.Context(), tx)
	})
	return page, err
}

func (p *ordersPage) fill(ctx context.Context, tx *pg.Tx) (err error) {
	if p.Policy, p.Groups, err = policyAndGroups(ctx, tx); err != nil {
		return err
	}
	orders, err := deletion.Orders(ctx, tx)
	if err != nil {
		return err
	}
	staff, err := account.Staff(ctx, tx)
	for _, o := range orders {
		p.Orders = append(p.Orders, orderLine{o, people(staff).name(p.Page, o.AskedBy, "")})
	}
	return err
}

// CoolingSpan is how long the municipality's cooling-off period is.
func (p ordersPage) CoolingSpan() string { return span(p.Page, p.Policy.CoolingOff) }

// Scope is the choice between a group and named clients.
func (p ordersPage) Scope() edge.Input {
	return p.Select("scope", p.Form.Scope, []edge.Option{{Value: "group", Label: p.Say("orders.scope.group")}, {Value: "selected", Label: p.Say("orders.scope.selected")}})
}

// Group is the choice of a deletion group.
func (p ordersPage) Group() edge.Input {
	choices := []edge.Option{{Label: p.Say("orders.choose_group")}}
	for _, g := range p.Groups {
		choices = append(choices, edge.Option{Value: strconv.FormatInt(g.ID, 10), Label: p.Say("orders.group", "date", g.RunOn)})
	}
	return p.Select("group", p.Form.Group, choices, "class=w-ref", "help=orders.help.group")
}

// Clients is the field for client numbers.
func (p ordersPage) Clients() edge.Input {
	in := p.Field("clients", p.Form.Clients, "label=orders.clients", "help=orders.help.clients", "class=w-ref")
	in.Rows = 4
	return in
}

// Reason is why.
func (p ordersPage) Reason() edge.Input {
	var choices []edge.Option
	for _, code := range deletion.OrderReasons {
		choices = append(choices, edge.Option{Value: code, Label: p.Say("orders.reason." + code)})
	}
	return p.Select("reason", p.Form.Reason, choices, "label=orders.why")
}

// RunOn is the day.
func (p ordersPage) RunOn() edge.Input {
	in := p.Field("run_on", p.Form.RunOn, "label=orders.run_on", "class=w-date")
	in.Help = p.Say("orders.help.run_on", "date", p.Today())
	return in
}

// orderFields is the order of the form, for the summary of errors.
var orderFields = []string{"reason", "reference", "scope", "group", "clients", "run_on"}

func readOrder(r *http.Request) orderForm {
	return orderForm{
		Scope: r.PostForm.Get("scope"), Group: r.PostForm.Get("group"), Clients: r.PostForm.Get("clients"),
		Reason: r.PostForm.Get("reason"), Reference: r.PostForm.Get("reference"), RunOn: strings.TrimSpace(r.PostForm.Get("run_on")),
	}
}
