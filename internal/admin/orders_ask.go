package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

// askOrder is the municipality's request for an extra run. Everything that is wrong is told at once.
func (s *Server) askOrder(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if err := tx.Require(access.OrderAsk); err != nil {
			return err
		}
		_, err := f.once(r.Context(), tx, func() (string, error) {
			order, err := f.order(r.Context(), tx)
			if err != nil {
				return "", err
			}
			id, err := deletion.AskOrder(r.Context(), tx, order)
			return id.String(), byNumber(err, order.Clients, numbersIn(f.Get("clients")))
		})
		return err
	})
	if err == nil {
		return to(w, r, "/bestillinger", edge.Flash{Key: "orders.flash.asked"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.ordersPage(r)
	if again != nil {
		return again
	}
	page.Form = readOrder(r)
	page.Undone = "orders.not_asked"
	status := page.Fail(err)
	slices.SortStableFunc(page.Errors, func(a, b edge.FieldError) int {
		return slices.Index(orderFields, a.Field) - slices.Index(orderFields, b.Field)
	})
	return edge.Render(w, r, status, "orders", page)
}

// order reads the form: the day, the group, and the clients by their numbers.
func (f *form) order(ctx context.Context, tx *pg.Tx) (deletion.NewOrder, error) {
	in := deletion.NewOrder{Scope: f.Get("scope"), Reason: f.Get("reason"), Reference: f.Get("reference"), RunOn: f.date("run_on")}
	if id, err := strconv.ParseInt(f.Get("group"), 10, 64); err == nil {
		in.GroupID = &id
	}
	if in.Scope != "selected" {
		return in, nil
	}
	numbers := numbersIn(f.Get("clients"))
	if len(numbers) > mostNumbers {
		f.wrong.Add("clients", "too_many", problem.Params{"max": mostNumbers})
		return in, nil
	}
	ids, missing, err := clientsByNumber(ctx, tx, numbers)
	if len(missing) > 0 {
		f.wrong.Add("clients", "unknown_clients", problem.Params{"numbers": missing})
	}
	in.Clients = ids
	return in, err
}

// byNumber names refused clients as the person did who typed their numbers; both lists are in the order of the form.
func byNumber(err error, ids []uuid.UUID, numbers []string) error {
	var invalid problem.Invalid
	if !errors.As(err, &invalid) || len(ids) != len(numbers) {
		return err
	}
	for _, field := range invalid.Fields {
		refused, _ := field.Params["clients"].([]string)
		for i, id := range refused {
			if at := slices.IndexFunc(ids, func(o uuid.UUID) bool { return o.String() == id }); at >= 0 {
				refused[i] = numbers[at]
			}
		}
	}
	return err
}

// mostNumbers is how many clients may be named by hand; whoever means more means a group.
const mostNumbers = 200

// numbersIn takes one number a line, and forgives commas, blanks inside a number, and repetitions.
func numbersIn(text string) []string {
	var numbers []string
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || r == ',' || r == ';' }) {
		if n := strings.Join(strings.Fields(line), ""); n != "" && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// clientsByNumber finds clients by their whole numbers. It asks as the search field does, so that what was typed is kept
// like a search and stands in no address.
func clientsByNumber(ctx context.Context, tx *pg.Tx, numbers []string) (ids []uuid.UUID, missing []string, err error) {
	for _, number := range numbers {
		if len(number) > 12 {
			missing = append(missing, number[:12]+"…")
			continue
		}
		search, err := client.SaveSearch(ctx, tx, number)
		if err != nil {
			return nil, nil, err
		}
		page, err := client.List(ctx, tx, client.Filter{Search: &search}, client.Cursor{}, 200)
		if err != nil {
			return nil, nil, err
		}
		at := slices.IndexFunc(page.Rows, func(row client.Row) bool { return row.Number == number })
		if at < 0 {
			missing = append(missing, number)
			continue
		}
		ids = append(ids, page.Rows[at].ID)
	}
	return ids, missing, nil
}
