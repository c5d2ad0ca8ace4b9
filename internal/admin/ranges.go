package admin

import (
	"net/http"
	"net/netip"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/go-chi/chi/v5"
)

// rangesPage is /brukere/nett: from where a user name and a password are enough.
type rangesPage struct {
	edge.Page
	Tab            string
	Ranges         []account.Range
	Network, Place string
	Waiting        []account.ProposalLine
}

func init() {
	edge.Pages["ranges"] = rangesPage{
		Tab: "ranges", Ranges: []account.Range{{ID: 1, Network: netip.MustParsePrefix("10.0.0.0/8"), Place: "Rådhuset"}},
		Waiting: []account.ProposalLine{{Proposal: proposal.Proposal{Subject: "10.0.0.0/8"}, Proposer: "Per", Range: account.RangePayload{Act: "add", Place: "Rådhuset"}}},
	}
}

func (s *Server) ranges(w http.ResponseWriter, r *http.Request) error {
	page, err := s.rangesPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "ranges", page)
}

func (s *Server) rangesPage(r *http.Request) (page rangesPage, err error) {
	page = rangesPage{Page: edge.NewPage(r), Tab: "ranges"}
	if page.Ranges, err = account.Ranges(r.Context(), s.DB, page.Caller); err != nil {
		return page, err
	}
	waiting, _, err := account.Proposals(r.Context(), s.DB, page.Caller)
	for _, l := range waiting {
		if l.Kind == proposal.Ranges {
			page.Waiting = append(page.Waiting, l)
		}
	}
	return page, err
}

// Manages reports whether the caller looks after accounts.
func (p rangesPage) Manages() bool { return manages(p.Caller) }

// proposeRange proposes a network.
func (s *Server) proposeRange(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	return s.rangeProposed(w, r, account.ProposeRange(r.Context(), s.DB, edge.Caller(r), f.text("network"), f.text("place")), f)
}

// proposeRangeRemoval proposes that one is taken away.
func (s *Server) proposeRangeRemoval(w http.ResponseWriter, r *http.Request) error {
	id, err := account.ParseID(chi.URLParam(r, "range"))
	if err != nil {
		return err
	}
	return s.rangeProposed(w, r, account.ProposeRangeRemoval(r.Context(), s.DB, edge.Caller(r), id), nil)
}

func (s *Server) rangeProposed(w http.ResponseWriter, r *http.Request, err error, f *form) error {
	if err == nil {
		return to(w, r, "/brukere/nett", edge.Flash{Key: "accounts.flash.proposed"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.rangesPage(r)
	if again != nil {
		return again
	}
	if f != nil {
		page.Network, page.Place = f.text("network"), f.text("place")
	}
	page.Undone = "accounts.not_proposed"
	return edge.Render(w, r, page.Fail(err), "ranges", page)
}
