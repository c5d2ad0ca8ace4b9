package rest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/handout"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/rights"
	"github.com/google/uuid"
)

// ReceiveRightsRequest notes what a person asks for.
func (s *Server) ReceiveRightsRequest(ctx context.Context, r ReceiveRightsRequestRequestObject) (ReceiveRightsRequestResponseObject, error) {
	var id uuid.UUID
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		b := r.Body
		id, err = rights.Receive(ctx, tx, r.Client, rights.New{
			Kind: rights.Kind(b.Kind), ReceivedOn: day(&b.ReceivedOn), Channel: string(b.Channel), Reference: b.Reference, Wish: or(b.Wish, ""),
		})
		return err
	})
	return ReceiveRightsRequest201JSONResponse{Id: id}, err
}

// ReceiveFormerRequest notes that somebody whose record is gone asks who looked.
func (s *Server) ReceiveFormerRequest(ctx context.Context, r ReceiveFormerRequestRequestObject) (ReceiveFormerRequestResponseObject, error) {
	var id uuid.UUID
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		b := r.Body
		id, err = rights.ReceiveFormer(ctx, tx, s.Key, b.NationalId, rights.New{ReceivedOn: day(&b.ReceivedOn), Channel: string(b.Channel), Reference: b.Reference})
		return err
	})
	return ReceiveFormerRequest201JSONResponse{Id: id}, err
}

// ListRightsRequests lists requests.
func (s *Server) ListRightsRequests(ctx context.Context, r ListRightsRequestsRequestObject) (ListRightsRequestsResponseObject, error) {
	limit := or(r.Params.Limit, 50)
	before, err := rights.ParseCursor(or(r.Params.After, ""))
	if err != nil {
		return nil, err
	}
	var found []rights.Request
	var next *string
	err = s.in(ctx, func(tx *pg.Tx) error {
		if or(r.Params.List, ListRightsRequestsParamsListOpen) == ListRightsRequestsParamsListAnswered {
			if found, err = rights.Answered(ctx, tx, before, min(limit+1, 200)); len(found) > limit {
				found = found[:limit]
				next = set(rights.Cursor{On: found[limit-1].ReceivedOn, ID: found[limit-1].ID}.String())
			}
			return err
		}
		open, restrictions, err := rights.OpenRequests(ctx, tx)
		found = open
		if or(r.Params.List, ListRightsRequestsParamsListOpen) == ListRightsRequestsParamsListRestrictions {
			found = restrictions
		}
		return err
	})
	return ListRightsRequests200JSONResponse{Requests: list(found, showRequest), Next: next}, err
}

// ReadRightsRequest shows one request.
func (s *Server) ReadRightsRequest(ctx context.Context, r ReadRightsRequestRequestObject) (ReadRightsRequestResponseObject, error) {
	var found rights.Request
	err := s.in(ctx, func(tx *pg.Tx) (err error) { found, err = rights.Find(ctx, tx, r.Right); return err })
	return ReadRightsRequest200JSONResponse(showRequest(found)), err
}

func showRequest(r rights.Request) RightsRequest {
	corrected := r.Corrected
	if corrected == nil {
		corrected = []string{}
	}
	return RightsRequest{
		Id: r.ID, Former: r.Former, Client: r.ClientID, Kind: RightsKind(r.Kind), State: RightsState(r.State), ReceivedOn: date(r.ReceivedOn), DueOn: date(r.DueOn),
		ExtensionReason: set(RightsRequestExtensionReason(r.ExtensionReason)), Channel: RightsChannel(r.Channel), Reference: r.Reference, Wish: set(r.Wish), Answer: set(r.Answer),
		Recipients: set(r.Recipients), Corrected: corrected, Statement: set(r.Statement), Remark: set(r.Remark), RestrictionGround: set(RightsRequestRestrictionGround(r.RestrictionGround)),
		RefusalGround: set(r.RefusalGround), Decision: set(r.Decision), Outcome: list(r.Outcome, showClassAnswer), PreparedAt: r.PreparedAt, DecidedAt: r.DecidedAt,
		ToldOn: setDate(r.ToldOn), LiftedAt: r.LiftedAt,
	}
}

func showClassAnswer(a rights.ClassAnswer) ClassAnswer {
	kept := a.Kept
	if kept == nil {
		kept = []string{}
	}
	return ClassAnswer{Class: string(a.Class), DueOn: setDate(a.DueOn), RunOn: setDate(a.RunOn), Months: a.Months, Days: a.Days, Authority: a.Authority, Kept: kept}
}

// PrepareRightsRequest lays the answer before an approver.
func (s *Server) PrepareRightsRequest(ctx context.Context, r PrepareRightsRequestRequestObject) (PrepareRightsRequestResponseObject, error) {
	b := r.Body
	err := s.in(ctx, func(tx *pg.Tx) error {
		return rights.Prepare(ctx, tx, r.Right, rights.Preparation{
			Answer: or(b.Answer, ""), Recipients: or(b.Recipients, ""), Statement: or(b.Statement, ""), RestrictionGround: string(or(b.RestrictionGround, "")),
		})
	})
	return PrepareRightsRequest204Response{}, err
}

// ReturnRightsRequest returns it to the caseworker.
func (s *Server) ReturnRightsRequest(ctx context.Context, r ReturnRightsRequestRequestObject) (ReturnRightsRequestResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return rights.Return(ctx, tx, r.Right, or(r.Body.Remark, "")) })
	return ReturnRightsRequest204Response{}, err
}

// ReleaseRightsRequest grants it.
func (s *Server) ReleaseRightsRequest(ctx context.Context, r ReleaseRightsRequestRequestObject) (ReleaseRightsRequestResponseObject, error) {
	run := calendar.Date{}
	if r.Body != nil {
		run = day(r.Body.RunOn)
	}
	err := s.in(ctx, func(tx *pg.Tx) error { return rights.Release(ctx, tx, r.Right, run) })
	return ReleaseRightsRequest204Response{}, err
}

// RefuseRightsRequest refuses it.
func (s *Server) RefuseRightsRequest(ctx context.Context, r RefuseRightsRequestRequestObject) (RefuseRightsRequestResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error {
		return rights.Refuse(ctx, tx, r.Right, rights.Refusal{Ground: string(r.Body.Ground), Decision: or(r.Body.Decision, "")})
	})
	return RefuseRightsRequest204Response{}, err
}

// WithdrawRightsRequest notes that the person does not ask any more.
func (s *Server) WithdrawRightsRequest(ctx context.Context, r WithdrawRightsRequestRequestObject) (WithdrawRightsRequestResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return rights.Withdraw(ctx, tx, r.Right) })
	return WithdrawRightsRequest204Response{}, err
}

// ExtendRightsRequest gives two months more.
func (s *Server) ExtendRightsRequest(ctx context.Context, r ExtendRightsRequestRequestObject) (ExtendRightsRequestResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error {
		return rights.Extend(ctx, tx, r.Right, string(r.Body.Reason), day(&r.Body.ToldOn))
	})
	return ExtendRightsRequest204Response{}, err
}

// LiftRestriction ends a restriction.
func (s *Server) LiftRestriction(ctx context.Context, r LiftRestrictionRequestObject) (LiftRestrictionResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return rights.Lift(ctx, tx, r.Right, day(&r.Body.ToldOn), r.Body.Reason) })
	return LiftRestriction204Response{}, err
}

// extractFile is an extract in one format.
type extractFile struct{ handout.File }

// VisitReadExtractResponse sends it.
func (f extractFile) VisitReadExtractResponse(w http.ResponseWriter) error {
	f.Send(w)
	return nil
}

// ReadExtract gives everything that is held on the person, in the format that is asked for.
func (s *Server) ReadExtract(ctx context.Context, r ReadExtractRequestObject) (ReadExtractResponseObject, error) {
	format := string(or(r.Params.Format, ReadExtractParamsFormatJson))
	var e rights.Extract
	err := s.in(ctx, func(tx *pg.Tx) (err error) { e, err = rights.Make(ctx, tx, r.Right, format); return err })
	if err != nil {
		return nil, err
	}
	if err := handout.Listen(ctx, s.Blobs, &e); err != nil {
		return nil, err
	}
	file, err := handout.FileOf(ctx, s.Blobs, textOf(ctx), e, format)
	return extractFile{file}, err
}

// PreviewExtract gives it before the release.
func (s *Server) PreviewExtract(ctx context.Context, r PreviewExtractRequestObject) (PreviewExtractResponseObject, error) {
	var e rights.Extract
	err := s.in(ctx, func(tx *pg.Tx) (err error) { e, err = rights.Preview(ctx, tx, r.Right); return err })
	if err != nil {
		return nil, err
	}
	if err := handout.Listen(ctx, s.Blobs, &e); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(e.Document())
	if err != nil {
		return nil, err
	}
	var shown PreviewExtract200JSONResponse
	return shown, json.Unmarshal(raw, &shown)
}
