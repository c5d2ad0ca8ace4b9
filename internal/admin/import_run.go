package admin

import (
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// importRunPage is what became of one import.
type importRunPage struct {
	edge.Page
	Run      exchange.Run
	By       string
	Refusals []exchange.Refusal
	After    int // the row to go on from; 0 at the end
	Begun    bool
}

// Reasons are the refusals and flags of this page.
func (p importRunPage) Reasons() []reason { return reasons(p.Page, p.Refusals) }

// MorePath is the address of the next refusals.
func (p importRunPage) MorePath() string {
	return edge.Query("/import/"+p.Run.ID.String(), "etter", strconv.Itoa(p.After))
}

const refusalsPerPage = 100

func (s *Server) importRun(w http.ResponseWriter, r *http.Request) error {
	id, err := uuid.Parse(chi.URLParam(r, "run"))
	if err != nil {
		return problem.NotFound{What: "import"}
	}
	after, _ := strconv.Atoi(r.URL.Query().Get("etter"))
	page := importRunPage{Page: edge.NewPage(r), Begun: after > 0}
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if page.Run, err = exchange.FindRun(r.Context(), tx, id); err != nil {
			return err
		}
		staff, err := account.Staff(r.Context(), tx)
		if err != nil {
			return err
		}
		page.By = nameOf(page.Page, staff, page.Run.StartedBy)
		page.Refusals, err = exchange.Refusals(r.Context(), tx, id, after, refusalsPerPage)
		if len(page.Refusals) >= refusalsPerPage {
			page.After = page.Refusals[len(page.Refusals)-1].Row
		}
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "import-run", page)
}
