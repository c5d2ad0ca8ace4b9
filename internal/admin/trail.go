package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	at := time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC)
	page := logPage{Acts: []audit.Entry{{ID: 1, At: at, Act: "status_changed", Subject: "client", SubjectID: uuid.NewString(), Role: "caseworker", Fields: []string{"status"}}, {Act: "refused", At: at, Refused: true}}, Older: 1, Begun: true}
	edge.Pages["trail"] = page
	page.Looks = []audit.Look{{At: at, Role: "caseworker", Page: "client", Purpose: "record", Shown: 1}}
	page.Client = uuid.New()
	edge.Pages["trail-client"] = page
}

const actsPerPage = 100

// logPage is what the privacy officer reads: acts, and who looked at one client. It holds ids and codes, no personal data.
type logPage struct {
	edge.Page
	Client client.ID // zero: the whole municipality
	Acts   []audit.Entry
	Looks  []audit.Look
	Staff  map[int64]account.StaffMember
	Older  int64 // the row to go on from; 0 at the end
	Begun  bool
}

// By is who did it.
func (p logPage) By(id int64) string { return nameOf(p.Page, p.Staff, id) }

// Act is what was done, in words.
func (p logPage) Act(code string) string { return words(p.Page, "act.", code) }

// Look is what was looked at, in words.
func (p logPage) Look(page string) string { return words(p.Page, "look.", page) }

// Subject is what kind of thing it was done to.
func (p logPage) Subject(kind string) string { return words(p.Page, "subject.", kind) }

// Fields are the changed fields, as people call them.
func (p logPage) Fields(names []string) (list []string) {
	for _, name := range names {
		list = append(list, p.Text.Field(name))
	}
	return list
}

func (s *Server) trail(w http.ResponseWriter, r *http.Request) error {
	before, _ := strconv.ParseInt(r.URL.Query().Get("eldre"), 10, 64)
	page := logPage{Page: edge.NewPage(r), Begun: before > 0}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.AccessLogRead); err != nil {
			return err
		}
		return page.load(r.Context(), tx, "", before)
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "trail", page)
}

func (p *logPage) load(ctx context.Context, tx *pg.Tx, subject string, before int64) (err error) {
	if p.Staff, err = account.Staff(ctx, tx); err != nil {
		return err
	}
	if p.Acts, err = audit.Trail(ctx, tx, subject, before, actsPerPage+1); err != nil {
		return err
	}
	if len(p.Acts) > actsPerPage {
		p.Acts = p.Acts[:actsPerPage]
		p.Older = p.Acts[actsPerPage-1].ID
	}
	return nil
}

// clientLog answers "who looked at me" (T8) by the client's id, also when the client is gone. Of an id that is nobody's it
// shows nothing, as of one of another municipality.
func (s *Server) clientLog(w http.ResponseWriter, r *http.Request) error {
	id, err := client.ParseID(chi.URLParam(r, "client"))
	if err != nil {
		return err
	}
	page := logPage{Page: edge.NewPage(r), Client: id}
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if page.Looks, err = audit.Looks(r.Context(), tx, id, 0, 200); err != nil {
			return err
		}
		return page.load(r.Context(), tx, id.String(), 0)
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "trail-client", page)
}
