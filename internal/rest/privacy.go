package rest

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/google/uuid"
)

// ListSubprocessors shows the register as the municipality reads it.
func (s *Server) ListSubprocessors(ctx context.Context, _ ListSubprocessorsRequestObject) (ListSubprocessorsResponseObject, error) {
	var shown Subprocessors
	err := s.in(ctx, func(tx *pg.Tx) error {
		today, err := municipality.Today(ctx, tx)
		if err != nil {
			return err
		}
		entries, err := privacy.Register(ctx, tx)
		shown.Subprocessors = list(entries, func(e privacy.Entry) Subprocessor {
			v := showSubprocessor(e)
			if open := e.Open(today); open != nil {
				v.ObjectBy = setDate(*open.ObjectBy)
			}
			return v
		})
		return err
	})
	return ListSubprocessors200JSONResponse(shown), err
}

func showSubprocessor(e privacy.Entry) Subprocessor {
	v := e.Latest()
	if e.Current != nil {
		v = *e.Current
	}
	s := Subprocessor{
		Id: v.ID, Version: v.Version, Name: v.Name, Service: SubprocessorService(v.Service), Used: e.Used, InForce: e.Current != nil, Everywhere: v.Everywhere, Purpose: v.Purpose, Data: v.Data,
		AccessRule: SubprocessorAccessRule(v.AccessRule), Place: v.Place, StaffCountries: v.StaffCountries, OutsideEea: list(v.Outside(), func(c privacy.Country) Country { return string(c) }),
		Encryption: SubprocessorEncryption(v.Encryption), Copies: SubprocessorCopies(v.Copies), CopiesDays: v.CopiesDays, ValidFrom: date(v.ValidFrom), ReviewOverdue: e.Overdue,
	}
	if v.TransferBasis != nil {
		s.TransferBasis = set(SubprocessorTransferBasis(*v.TransferBasis))
	}
	if e.Review != nil {
		s.ReviewedOn, s.NextReview = setDate(e.Review.ReviewedOn), setDate(e.Review.NextDue)
	}
	return s
}

// ReadProcessing shows the records of processing.
func (s *Server) ReadProcessing(ctx context.Context, _ ReadProcessingRequestObject) (ReadProcessingResponseObject, error) {
	var p privacy.Processing
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		p, err = privacy.ProcessingOf(ctx, tx)
		return err
	})
	return ReadProcessing200JSONResponse(Processing{
		Municipality: Municipality{Number: p.Number, Name: p.Municipality}, Controller: p.Controller, PrivacyOfficer: p.Officer, MadeAt: p.MadeAt, Classes: list(p.Classes, showClass),
	}), err
}

func showClass(c privacy.ProcessingClass) ProcessingClass {
	shown := ProcessingClass{Class: c.Class, Tables: list(c.Tables, func(t privacy.ProcessingTable) ProcessingTable {
		return ProcessingTable{Table: t.Table, Personal: t.Personal, Staff: t.Staff, Action: t.Action}
	})}
	if r := c.Rule; r != nil {
		shown.Rule = &ProcessingRule{Version: r.Version, StartEvent: r.StartEvent, PeriodMonths: r.PeriodMonths, PeriodDays: r.PeriodDays, Outcome: string(r.Outcome), Authority: r.Authority}
	}
	return shown
}

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
		Clocks: list(d.Clocks, func(c privacy.Clock) DeviationClock {
			return DeviationClock{Clock: DeviationClockClock(c.Name), DueAt: c.Due, StoppedAt: c.Stopped, Late: c.Late}
		}),
	}
}

// ReportDeviation opens one, once for each Idempotency-Key.
func (s *Server) ReportDeviation(ctx context.Context, r ReportDeviationRequestObject) (ReportDeviationResponseObject, error) {
	b := r.Body
	var made Created
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) (err error) {
		made, err = once(ctx, tx, access.DeviationReport, r.Params.IdempotencyKey, "reportDeviation", b, http.StatusCreated, func() (Created, error) {
			f := privacy.Facts{
				Kind: string(b.Kind), DiscoveredAt: b.DiscoveredAt, HappenedFrom: b.HappenedFrom, HappenedTo: b.HappenedTo, Affected: b.Affected, AffectedExact: or(b.AffectedExact, false),
				Persons: or(b.Persons, nil), Categories: or(b.Categories, nil),
			}
			id, err := privacy.Report(ctx, tx, f, privacy.Account{What: or(b.What, ""), Done: or(b.Done, ""), Consequences: or(b.Consequences, ""), Cause: or(b.Cause, ""), Measures: or(b.Measures, "")})
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
	return ReadDeviation200JSONResponse(DeviationNotice{
		Number: doc.Number, Municipality: doc.Municipality, Controller: doc.Controller, PrivacyOfficer: doc.Officer, State: DeviationState(doc.State), Kind: DeviationKind(doc.Kind),
		Breached: list(doc.Principles, func(code string) DeviationNoticeBreached { return DeviationNoticeBreached(code) }), ReportedFrom: DeviationSource(doc.ReportedBy), DiscoveredAt: doc.DiscoveredAt, HappenedFrom: doc.HappenedFrom, HappenedTo: doc.HappenedTo,
		Affected: doc.Affected, AffectedExact: doc.AffectedExact, Persons: doc.Persons, Categories: doc.Categories, What: doc.What, Consequences: doc.Consequences,
		Done: doc.Done, Cause: doc.Cause, Measures: doc.Measures, DueAt: doc.Due, Late: doc.Late, WhyLate: set(doc.WhyLate), Told: list(doc.Told, func(t privacy.NoticeTold) DeviationTold {
			return DeviationTold{Party: DeviationToldParty(t.Party), At: t.At, DecidedNotTo: t.Decided, Reference: set(t.Reference), Reason: set(t.Reason)}
		}),
	}), err
}
