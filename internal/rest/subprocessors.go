package rest

import (
	"context"
	"net/http"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
)

// ReadSubprocessor shows one company with its story.
func (s *Server) ReadSubprocessor(ctx context.Context, r ReadSubprocessorRequestObject) (ReadSubprocessorResponseObject, error) {
	var shown SubprocessorEntry
	err := s.in(ctx, func(tx *pg.Tx) error {
		today, err := municipality.Today(ctx, tx)
		if err != nil {
			return err
		}
		entries, err := privacy.Register(ctx, tx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(entries, func(e privacy.Entry) bool { return e.ID == r.Subprocessor })
		if at < 0 {
			return problem.NotFound{What: "subprocessor"}
		}
		e := entries[at]
		shown = SubprocessorEntry{
			Id: e.ID, Used: e.Used, ReviewOverdue: e.Overdue, Review: showFollowUp(e.Review), Versions: list(e.Versions, showVersion),
			Uses: list(e.Uses, func(u privacy.Use) SubprocessorUse {
				use := SubprocessorUse{UsedFrom: date(u.UsedFrom)}
				if u.UsedTo != nil {
					use.UsedTo = setDate(*u.UsedTo)
				}
				return use
			}),
			Answers: list(e.Answers, func(a privacy.Answer) SubprocessorAnswer {
				return SubprocessorAnswer{Version: a.Version, Reply: SubprocessorReplyCode(a.Answer), Reference: set(a.Reference), Note: set(a.Note), AnsweredAt: a.AnsweredAt}
			}),
		}
		if open := e.Open(today); open != nil {
			shown.Open = &open.Version
		}
		return nil
	})
	return ReadSubprocessor200JSONResponse(shown), err
}

func showVersion(v privacy.Subprocessor) SubprocessorVersion {
	shown := SubprocessorVersion{
		Version: v.Version, Change: SubprocessorVersionChange(v.Change), Name: v.Name, Service: SubprocessorService(v.Service), Everywhere: v.Everywhere, Purpose: v.Purpose, Data: v.Data,
		AccessRule: SubprocessorAccessRule(v.AccessRule), Place: v.Place, StaffCountries: v.StaffCountries, OutsideEea: list(v.Outside(), func(c privacy.Country) Country { return string(c) }),
		TransferBasis: (*SubprocessorTransferBasis)(v.TransferBasis), Encryption: SubprocessorEncryption(v.Encryption), Copies: SubprocessorCopies(v.Copies), CopiesDays: v.CopiesDays,
		ValidFrom: date(v.ValidFrom), AnnouncedAt: v.ChangedAt,
	}
	if v.ObjectBy != nil {
		shown.ObjectBy = setDate(*v.ObjectBy)
	}
	return shown
}

func showFollowUp(r *privacy.Review) *SubprocessorFollowUp {
	if r == nil {
		return nil
	}
	return &SubprocessorFollowUp{ReviewedOn: date(r.ReviewedOn), NextDue: date(r.NextDue), Outcome: SubprocessorOutcome(r.Outcome), Reference: r.Reference}
}

// StartSubprocessorUse notes from when the service is used.
func (s *Server) StartSubprocessorUse(ctx context.Context, r StartSubprocessorUseRequestObject) (StartSubprocessorUseResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return privacy.StartUse(ctx, tx, r.Subprocessor, day(&r.Body.UsedFrom)) })
	return StartSubprocessorUse204Response{}, err
}

// EndSubprocessorUse notes the last day.
func (s *Server) EndSubprocessorUse(ctx context.Context, r EndSubprocessorUseRequestObject) (EndSubprocessorUseResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return privacy.EndUse(ctx, tx, r.Subprocessor, day(&r.Body.UsedTo)) })
	return EndSubprocessorUse204Response{}, err
}

// AnswerSubprocessor answers an announced version.
func (s *Server) AnswerSubprocessor(ctx context.Context, r AnswerSubprocessorRequestObject) (AnswerSubprocessorResponseObject, error) {
	b := r.Body
	err := s.in(ctx, func(tx *pg.Tx) error {
		return privacy.Respond(ctx, tx, r.Subprocessor, b.Version, privacy.Answer{Answer: string(b.Reply), Reference: or(b.Reference, ""), Note: or(b.Note, "")})
	})
	return AnswerSubprocessor204Response{}, err
}

// ListSharedSubprocessors shows the list as the processor keeps it.
func (s *Server) ListSharedSubprocessors(ctx context.Context, _ ListSharedSubprocessorsRequestObject) (ListSharedSubprocessorsResponseObject, error) {
	shown := SharedSubprocessors{Subprocessors: []SharedSubprocessor{}}
	err := s.in(ctx, func(tx *pg.Tx) error {
		entries, answers, err := privacy.Shared(ctx, tx)
		if err != nil {
			return err
		}
		of, err := municipalities(ctx, tx)
		for _, e := range entries {
			one := SharedSubprocessor{Id: e.ID, ReviewOverdue: e.Overdue, Review: showFollowUp(e.Review), Versions: list(e.Versions, showVersion), Answers: []SharedAnswer{}}
			for _, a := range answers {
				if a.SubprocessorID == e.ID {
					one.Answers = append(one.Answers, SharedAnswer{
						Municipality: of[a.MunicipalityID], Version: a.Version, Reply: SubprocessorReplyCode(a.Answer), Reference: set(a.Reference), AnsweredAt: a.AnsweredAt,
					})
				}
			}
			shown.Subprocessors = append(shown.Subprocessors, one)
		}
		return err
	})
	return ListSharedSubprocessors200JSONResponse(shown), err
}

// AnnounceSubprocessor announces a new company, once for each Idempotency-Key.
func (s *Server) AnnounceSubprocessor(ctx context.Context, r AnnounceSubprocessorRequestObject) (AnnounceSubprocessorResponseObject, error) {
	b := r.Body
	made, err := s.announce(ctx, r.Params.IdempotencyKey, "announceSubprocessor", 0, NewSubprocessorVersion{
		Name: &b.Name, Service: &b.Service, Everywhere: b.Everywhere, Purpose: &b.Purpose, Data: &b.Data, AccessRule: &b.AccessRule, Place: b.Place, StaffCountries: b.StaffCountries,
		TransferBasis: b.TransferBasis, Encryption: &b.Encryption, Copies: &b.Copies, CopiesDays: b.CopiesDays, ValidFrom: b.ValidFrom, ObjectBy: b.ObjectBy,
	})
	return AnnounceSubprocessor201JSONResponse(made), err
}

// AnnounceSubprocessorVersion announces a change, once for each Idempotency-Key.
func (s *Server) AnnounceSubprocessorVersion(ctx context.Context, r AnnounceSubprocessorVersionRequestObject) (AnnounceSubprocessorVersionResponseObject, error) {
	_, err := s.announce(ctx, r.Params.IdempotencyKey, "announceSubprocessorVersion", r.Subprocessor, *r.Body)
	return AnnounceSubprocessorVersion204Response{}, err
}

// announce adds a version to the list; 0 is a new company.
func (s *Server) announce(ctx context.Context, key *string, act string, id int64, b NewSubprocessorVersion) (made Numbered, err error) {
	v := privacy.Subprocessor{
		ID: id, Change: string(b.Change), Name: or(b.Name, ""), Service: string(or(b.Service, "")), Everywhere: or(b.Everywhere, false), Purpose: or(b.Purpose, ""), Data: or(b.Data, ""),
		AccessRule: string(or(b.AccessRule, "")), Place: b.Place, StaffCountries: or(b.StaffCountries, nil), TransferBasis: (*string)(b.TransferBasis), Encryption: string(or(b.Encryption, "")),
		Copies: string(or(b.Copies, "")), CopiesDays: b.CopiesDays, ValidFrom: day(b.ValidFrom), ObjectBy: days(b.ObjectBy),
	}
	err = s.in(ctx, func(tx *pg.Tx) error {
		made, err = once(ctx, tx, access.PlatformManage, key, act, []any{id, b}, http.StatusCreated, func() (Numbered, error) {
			id, err := privacy.Announce(ctx, tx, v)
			return Numbered{Id: id}, err
		})
		return err
	})
	return made, called(err, map[string]string{"storage": "place", "in_force": "valid_from"})
}

// ReviewSubprocessor notes that security was followed up.
func (s *Server) ReviewSubprocessor(ctx context.Context, r ReviewSubprocessorRequestObject) (ReviewSubprocessorResponseObject, error) {
	b := r.Body
	err := s.in(ctx, func(tx *pg.Tx) error {
		return privacy.FollowUp(ctx, tx, r.Subprocessor, privacy.Review{ReviewedOn: day(&b.ReviewedOn), NextDue: day(&b.NextDue), Outcome: string(b.Outcome), Reference: b.Reference})
	})
	return ReviewSubprocessor204Response{}, called(err, map[string]string{"review_outcome": "outcome"})
}
