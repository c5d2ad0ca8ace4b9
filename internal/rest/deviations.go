package rest

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/google/uuid"
)

// ListDeviations shows a page of them.
func (s *Server) ListDeviations(ctx context.Context, r ListDeviationsRequestObject) (ListDeviationsResponseObject, error) {
	var shown Deviations
	err := s.in(ctx, func(tx *pg.Tx) error {
		found, more, err := privacy.Deviations(ctx, tx, or(r.Params.After, uuid.Nil))
		shown.Deviations = list(found, showDeviation)
		if more {
			shown.Next = &found[len(found)-1].ID
		}
		return err
	})
	return ListDeviations200JSONResponse(shown), err
}

func showDeviation(d privacy.Listed) DeviationRow {
	return DeviationRow{
		Id: d.ID, Number: d.Number(), Kind: DeviationKind(d.Kind), State: DeviationState(d.State), Source: DeviationSource(d.Source), ReportedAt: d.ReportedAt, DiscoveredAt: d.DiscoveredAt,
		Clocks: list(d.Clocks, showClock),
	}
}

func showClock(c privacy.Clock) DeviationClock {
	return DeviationClock{Clock: DeviationClockClock(c.Name), DueAt: c.Due, StoppedAt: c.Stopped, Late: c.Late}
}

func factsOf(b *NewDeviation) privacy.Facts {
	return privacy.Facts{
		Kind: string(b.Kind), DiscoveredAt: b.DiscoveredAt, HappenedFrom: b.HappenedFrom, HappenedTo: b.HappenedTo, Affected: b.Affected, AffectedExact: or(b.AffectedExact, false),
		Persons: or(b.Persons, nil), Categories: or(b.Categories, nil),
	}
}

func accountOf(b *NewDeviation) privacy.Account {
	return privacy.Account{What: or(b.What, ""), Done: or(b.Done, ""), Consequences: or(b.Consequences, ""), Cause: or(b.Cause, ""), Measures: or(b.Measures, "")}
}

// ReportDeviation opens one, once for each Idempotency-Key.
func (s *Server) ReportDeviation(ctx context.Context, r ReportDeviationRequestObject) (ReportDeviationResponseObject, error) {
	b := r.Body
	var made Created
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) (err error) {
		made, err = once(ctx, tx, access.DeviationReport, r.Params.IdempotencyKey, "reportDeviation", b, http.StatusCreated, func() (Created, error) {
			id, err := privacy.Report(ctx, tx, factsOf(b), accountOf(b))
			return Created{Id: id}, err
		})
		return err
	})
	return ReportDeviation201JSONResponse(made), err
}

// ReadDeviation shows one as a notice has it.
func (s *Server) ReadDeviation(ctx context.Context, r ReadDeviationRequestObject) (ReadDeviationResponseObject, error) {
	var doc privacy.NoticeDocument
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		doc, err = privacy.NoticeOf(ctx, tx, r.Deviation)
		return err
	})
	return ReadDeviation200JSONResponse{Headers: ReadDeviation200ResponseHeaders{ETag: etag(doc.Version)}, Body: DeviationNotice{
		Number: doc.Number, Municipality: doc.Municipality, Controller: doc.Controller, PrivacyOfficer: doc.Officer, State: DeviationState(doc.State), Kind: DeviationKind(doc.Kind),
		Breached: list(doc.Principles, func(code string) DeviationNoticeBreached { return DeviationNoticeBreached(code) }), ReportedFrom: DeviationSource(doc.ReportedBy), DiscoveredAt: doc.DiscoveredAt, HappenedFrom: doc.HappenedFrom, HappenedTo: doc.HappenedTo,
		Affected: doc.Affected, AffectedExact: doc.AffectedExact, Persons: doc.Persons, Categories: doc.Categories, What: doc.What, Consequences: doc.Consequences,
		Done: doc.Done, Cause: doc.Cause, Measures: doc.Measures, DueAt: doc.Due, Late: doc.Late, WhyLate: set(doc.WhyLate), Told: list(doc.Told, func(t privacy.NoticeTold) DeviationTold {
			return DeviationTold{Party: DeviationParty(t.Party), At: t.At, DecidedNotTo: t.Decided, Reference: set(t.Reference), Reason: set(t.Reason)}
		}),
	}}, err
}

// ListOwnDeviations shows somebody who sees nobody what became of their reports.
func (s *Server) ListOwnDeviations(ctx context.Context, _ ListOwnDeviationsRequestObject) (ListOwnDeviationsResponseObject, error) {
	shown := OwnDeviations{Deviations: []OwnDeviation{}}
	err := s.in(ctx, func(tx *pg.Tx) error {
		own, err := privacy.OwnReports(ctx, tx)
		if err != nil {
			return err
		}
		of, err := municipalities(ctx, tx)
		for _, d := range own {
			shown.Deviations = append(shown.Deviations, OwnDeviation{
				Number: privacy.DeviationNumber(d.ID), Municipality: of[d.MunicipalityID], Kind: DeviationKind(d.Kind), State: DeviationState(d.State), ReportedAt: d.ReportedAt,
			})
		}
		return err
	})
	return ListOwnDeviations200JSONResponse(shown), err
}

// municipalities are all of them, by their internal id.
func municipalities(ctx context.Context, tx *pg.Tx) (map[int]Municipality, error) {
	all, err := municipality.List(ctx, tx)
	of := map[int]Municipality{}
	for _, m := range all {
		of[m.ID] = Municipality{Number: m.Number, Name: m.Name}
	}
	return of, err
}

// ReadDeviationHistory shows the story of one.
func (s *Server) ReadDeviationHistory(ctx context.Context, r ReadDeviationHistoryRequestObject) (ReadDeviationHistoryResponseObject, error) {
	var c privacy.Case
	var staff map[int64]account.StaffMember
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		if c, err = privacy.FindDeviation(ctx, tx, r.Deviation); err != nil {
			return err
		}
		staff, err = account.Staff(ctx, tx)
		return err
	})
	by := func(id int64) *string { return set(staff[id].Name) }
	return ReadDeviationHistory200JSONResponse{
		Clocks: list(c.Clocks, showClock),
		Acts: list(c.Acts, func(a privacy.Act) DeviationAct {
			return DeviationAct{
				At: a.At, By: by(a.AccountID), Role: a.Role, Act: DeviationActAct(a.Act), Party: (*DeviationParty)(a.Party), ToldAt: a.ToldAt, Reference: set(a.Reference), Note: set(a.Note),
			}
		}),
		Texts: list(c.Accounts, func(a privacy.Account) DeviationText {
			return DeviationText{
				Version: a.Version, What: a.What, Done: a.Done, Consequences: a.Consequences, Cause: a.Cause, Measures: a.Measures, By: by(a.WrittenBy), WrittenAt: a.WrittenAt,
			}
		}),
	}, err
}

// DescribeDeviation writes the next version of the account.
func (s *Server) DescribeDeviation(ctx context.Context, r DescribeDeviationRequestObject) (DescribeDeviationResponseObject, error) {
	version, err := matched(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	err = s.in(ctx, func(tx *pg.Tx) error {
		return privacy.Describe(ctx, tx, r.Deviation, version, factsOf(r.Body), accountOf(r.Body))
	})
	return DescribeDeviation204Response{}, orStale(err)
}

// ConfirmDeviation says that what the product found is one.
func (s *Server) ConfirmDeviation(ctx context.Context, r ConfirmDeviationRequestObject) (ConfirmDeviationResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return privacy.Confirm(ctx, tx, r.Deviation) })
	return ConfirmDeviation204Response{}, err
}

// DismissDeviation says why it is none.
func (s *Server) DismissDeviation(ctx context.Context, r DismissDeviationRequestObject) (DismissDeviationResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return privacy.Dismiss(ctx, tx, r.Deviation, r.Body.Note) })
	return DismissDeviation204Response{}, err
}

// TellDeviation notes that somebody was told, once for each Idempotency-Key.
func (s *Server) TellDeviation(ctx context.Context, r TellDeviationRequestObject) (TellDeviationResponseObject, error) {
	b := r.Body
	err := s.onDeviation(ctx, r.Params.IdempotencyKey, "tellDeviation", r.Deviation, b, func(tx *pg.Tx) error {
		return privacy.Tell(ctx, tx, r.Deviation, privacy.Notice{Party: string(b.Party), At: b.ToldAt, Reference: or(b.Reference, ""), Note: or(b.Note, "")})
	})
	return TellDeviation204Response{}, err
}

// ExemptDeviation notes why somebody is not told, once for each Idempotency-Key.
func (s *Server) ExemptDeviation(ctx context.Context, r ExemptDeviationRequestObject) (ExemptDeviationResponseObject, error) {
	b := r.Body
	err := s.onDeviation(ctx, r.Params.IdempotencyKey, "exemptDeviation", r.Deviation, b, func(tx *pg.Tx) error {
		return privacy.DecideNot(ctx, tx, r.Deviation, string(b.Party), b.Note)
	})
	return ExemptDeviation204Response{}, err
}

// onDeviation does an act on one at most once for the caller's key.
func (s *Server) onDeviation(ctx context.Context, key *string, act string, id uuid.UUID, body any, work func(tx *pg.Tx) error) error {
	return s.in(ctx, func(tx *pg.Tx) error {
		_, err := once(ctx, tx, access.DeviationHandle, key, act, []any{id, body}, http.StatusNoContent, func() (struct{}, error) { return struct{}{}, work(tx) })
		return err
	})
}

// CloseDeviation settles one.
func (s *Server) CloseDeviation(ctx context.Context, r CloseDeviationRequestObject) (CloseDeviationResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return privacy.Close(ctx, tx, r.Deviation) })
	return CloseDeviation204Response{}, err
}

// ReopenDeviation takes a closed one up again.
func (s *Server) ReopenDeviation(ctx context.Context, r ReopenDeviationRequestObject) (ReopenDeviationResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return privacy.Reopen(ctx, tx, r.Deviation, r.Body.Note) })
	return ReopenDeviation204Response{}, err
}

// ReadDeviationClock shows within how many hours the first are told.
func (s *Server) ReadDeviationClock(ctx context.Context, _ ReadDeviationClockRequestObject) (ReadDeviationClockResponseObject, error) {
	var shown DeviationHours
	err := s.in(ctx, func(tx *pg.Tx) (err error) { shown.Hours, err = privacy.FirstHours(ctx, tx); return err })
	return ReadDeviationClock200JSONResponse(shown), err
}
