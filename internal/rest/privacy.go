package rest

import (
	"context"

	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
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
