package rest

import (
	"context"

	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
)

// ListInstructions shows the register.
func (s *Server) ListInstructions(ctx context.Context, r ListInstructionsRequestObject) (ListInstructionsResponseObject, error) {
	shown := Instructions{Instructions: []Instruction{}}
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) error {
		all, err := municipality.Instructions(ctx, tx)
		if err != nil {
			return err
		}
		today, err := municipality.Today(ctx, tx)
		for _, i := range all {
			shown.Instructions = append(shown.Instructions, Instruction{
				Id: i.ID, Action: InstructionAction(i.Action), Scope: i.Scope, State: InstructionState(i.State(today)), ValidFrom: date(i.ValidFrom), ValidTo: setDate(i.ValidTo),
				DocumentReference: i.DocumentReference, DecidedBy: i.DecidedBy, Replaces: i.Replaces,
			})
		}
		return err
	})
	return ListInstructions200JSONResponse(shown), err
}

// EnterInstruction enters one.
func (s *Server) EnterInstruction(ctx context.Context, r EnterInstructionRequestObject) (EnterInstructionResponseObject, error) {
	b := r.Body
	var made EnteredInstruction
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		made.Id, err = municipality.EnterInstruction(ctx, tx, municipality.NewInstruction{
			Action: string(b.Action), Scope: b.Scope, ValidFrom: day(&b.ValidFrom), ValidTo: day(b.ValidTo), DocumentReference: b.DocumentReference, DecidedBy: b.DecidedBy, Replaces: or(b.Replaces, 0),
		})
		return err
	})
	return EnterInstruction201JSONResponse(made), err
}

// ConfirmInstruction puts one in force.
func (s *Server) ConfirmInstruction(ctx context.Context, r ConfirmInstructionRequestObject) (ConfirmInstructionResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return municipality.ConfirmInstruction(ctx, tx, r.Instruction) })
	return ConfirmInstruction204Response{}, err
}

// DeclineInstruction says no to one.
func (s *Server) DeclineInstruction(ctx context.Context, r DeclineInstructionRequestObject) (DeclineInstructionResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return municipality.DeclineInstruction(ctx, tx, r.Instruction) })
	return DeclineInstruction204Response{}, err
}

// RevokeInstruction ends one.
func (s *Server) RevokeInstruction(ctx context.Context, r RevokeInstructionRequestObject) (RevokeInstructionResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return municipality.RevokeInstruction(ctx, tx, r.Instruction) })
	return RevokeInstruction204Response{}, err
}

// ListInstructionRequests shows what nothing covered.
func (s *Server) ListInstructionRequests(ctx context.Context, r ListInstructionRequestsRequestObject) (ListInstructionRequestsResponseObject, error) {
	shown := InstructionRequests{Requests: []InstructionRequest{}}
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) error {
		all, err := municipality.InstructionRequests(ctx, tx, 0)
		for _, q := range all {
			shown.Requests = append(shown.Requests, InstructionRequest{
				Id: q.ID, Action: InstructionAction(q.Action), Round: q.RoundNumber, State: InstructionRequestState(q.State), AskedBy: q.AskedByNumber, AskedAt: q.AskedAt, Answer: set(q.Answer),
			})
		}
		return err
	})
	return ListInstructionRequests200JSONResponse(shown), err
}

// AnswerInstructionRequest says yes for one round, or no.
func (s *Server) AnswerInstructionRequest(ctx context.Context, r AnswerInstructionRequestRequestObject) (AnswerInstructionRequestResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error {
		return municipality.AnswerInstructionRequest(ctx, tx, r.Question, r.Body.Once, or(r.Body.Answer, ""))
	})
	return AnswerInstructionRequest204Response{}, err
}
