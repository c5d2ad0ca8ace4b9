package rest

import (
	"context"
	"net/http"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
)

// ListGroups shows the open groups.
func (s *Server) ListGroups(ctx context.Context, _ ListGroupsRequestObject) (ListGroupsResponseObject, error) {
	var groups []deletion.Round
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		groups, err = deletion.OpenGroups(ctx, tx)
		return err
	})
	return ListGroups200JSONResponse{Groups: list(groups, func(r deletion.Round) Group { return showGroup(textOf(ctx), r) })}, err
}

// What support and operators have something to do with.
var (
	supportStates  = []deletion.State{deletion.Proposed, deletion.Controlled, deletion.Approved, deletion.Running, deletion.Paused, deletion.Verifying, deletion.Finished, deletion.Cancelled, deletion.Lapsed}
	operatorStates = []deletion.State{deletion.Approved, deletion.Running, deletion.Paused, deletion.Verifying, deletion.Finished}
)

// ListRounds shows the rounds in the caller's representation.
func (s *Server) ListRounds(ctx context.Context, _ ListRoundsRequestObject) (ListRoundsResponseObject, error) {
	var shown AnyRounds
	err := s.in(ctx, func(tx *pg.Tx) error {
		switch side(tx.Caller) {
		case "operator":
			lines, err := deletion.Board(ctx, tx, operatorStates...)
			if err != nil {
				return err
			}
			return shown.FromOperatorRounds(OperatorRounds{Rounds: list(lines, showOperatorLine)})
		case "support":
			lines, err := deletion.Board(ctx, tx, supportStates...)
			if err != nil {
				return err
			}
			return shown.FromSupportRounds(SupportRounds{Rounds: list(lines, showSupportLine)})
		}
		rounds, err := deletion.Rounds(ctx, tx)
		if err != nil {
			return err
		}
		text := textOf(ctx)
		return shown.FromMunicipalityRounds(MunicipalityRounds{Rounds: list(rounds, func(r deletion.Round) MunicipalityRoundLine { return showLine(text, r) })})
	})
	return ListRounds200JSONResponse(shown), err
}

func showLine(text edge.Text, r deletion.Round) MunicipalityRoundLine {
	return MunicipalityRoundLine{
		Number: r.Number, Name: groupName(text, r.RunOn), Kind: RoundKind(r.Kind), RunOn: date(r.RunOn), State: RoundState(r.State), StateSince: r.StateSince,
		Ready: r.ReadyCount, Approved: r.ApprovedCount,
	}
}

func showSupportLine(b deletion.BoardLine) SupportRoundLine {
	return SupportRoundLine{
		Number: b.Number, Municipality: Municipality{Number: b.MunicipalityNumber, Name: b.MunicipalityName}, Kind: RoundKind(b.Kind), RunOn: date(b.RunOn),
		State: RoundState(b.State), StateSince: b.StateSince, Clients: b.Items, Ready: b.Ready, Purged: b.Purged, Brake: standing(b.Brake, b.BrakeLifted), Incident: b.Incident,
	}
}

// standing is a brake that nobody lifted.
func standing(brake *string, lifted bool) *string {
	if lifted {
		return nil
	}
	return brake
}

func showOperatorLine(b deletion.BoardLine) OperatorRoundLine {
	return OperatorRoundLine{
		Number: b.Number, Municipality: Municipality{Number: b.MunicipalityNumber, Name: b.MunicipalityName}, Kind: RoundKind(b.Kind), RunOn: date(b.RunOn),
		State: RoundState(b.State), StateSince: b.StateSince, CoolingOffUntil: b.CoolingOffUntil, Clients: operatorCount(b.State, b.Frozen),
		Braked: standing(b.Brake, b.BrakeLifted) != nil, Incident: b.Incident != nil,
	}
}

// operatorCount is the one number of people that an operator sees of a round (D26): the approved ones, from the approval
// to the end and after it, so that no two figures ever tell by their difference how few stayed.
func operatorCount(state deletion.State, approved int) *CountOrFew {
	switch state {
	case deletion.Approved, deletion.Running, deletion.Paused, deletion.Verifying, deletion.Finished:
		n := Few(approved)
		return &n
	default:
		return nil
	}
}

// ReadRound shows one round in the caller's representation.
func (s *Server) ReadRound(ctx context.Context, r ReadRoundRequestObject) (ReadRoundResponseObject, error) {
	var shown AnyRound
	err := s.inRound(ctx, r.Number, func(tx *pg.Tx, id int64) error {
		round, err := deletion.FindRound(ctx, tx, id)
		if err != nil {
			return err
		}
		outcomes, err := deletion.Tally(ctx, tx, id)
		if err != nil {
			return err
		}
		events, err := deletion.Events(ctx, tx, id)
		if err != nil {
			return err
		}
		m, err := municipality.Current(ctx, tx)
		if err != nil {
			return err
		}
		owner := Municipality{Number: m.Number, Name: m.Name}
		switch side(tx.Caller) {
		case "operator":
			return shown.FromOperatorRound(showOperatorRound(owner, round, outcomes, events))
		case "support":
			return shown.FromSupportRound(showSupportRound(owner, round, outcomes, events))
		}
		staff, err := account.Staff(ctx, tx)
		if err != nil {
			return err
		}
		own := showRound(textOf(ctx), round, outcomes, events, staff)
		own.MayApprove = deletion.MayApprove(ctx, tx, round) == nil
		return shown.FromMunicipalityRound(own)
	})
	return ReadRound200JSONResponse(shown), err
}

func showRound(text edge.Text, r deletion.Round, outcomes []deletion.Outcome, events []deletion.Event, staff map[int64]account.StaffMember) MunicipalityRound {
	return MunicipalityRound{
		Number: r.Number, Name: groupName(text, r.RunOn), Kind: RoundKind(r.Kind), RunOn: date(r.RunOn), State: RoundState(r.State), StateSince: r.StateSince,
		ProposedAt: r.ProposedAt, ControlledBySystem: r.ReadyCount != nil, ControlledAt: r.ControlledAt, ApprovedAt: r.ApprovedAt, CoolingOffUntil: r.CoolingOffUntil,
		StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, Population: r.Population, Ready: r.ReadyCount, Approved: r.ApprovedCount,
		Braked: r.Braked(), Brake: r.Brake, Incident: r.Incident,
		Outcomes: list(outcomes, func(o deletion.Outcome) Outcome {
			return Outcome{State: ItemState(o.State), Reason: set(o.Reason), Frozen: o.Frozen, Clients: o.Items}
		}),
		Events: list(events, func(e deletion.Event) RoundEvent {
			return RoundEvent{At: e.At, Role: e.Role, By: set(staff[e.AccountID].Name), Act: e.Act, Code: set(e.Code), Remark: set(e.Remark)}
		}),
	}
}

func showSupportRound(owner Municipality, r deletion.Round, outcomes []deletion.Outcome, events []deletion.Event) SupportRound {
	return SupportRound{
		Number: r.Number, Municipality: owner, Kind: RoundKind(r.Kind), RunOn: date(r.RunOn), State: RoundState(r.State), StateSince: r.StateSince,
		ControlledBySystem: r.ReadyCount != nil, SampleSeed: r.SampleSeed, SampleSize: r.SampleSize, Braked: r.Braked(), Brake: r.Brake, Incident: r.Incident,
		Outcomes: list(outcomes, func(o deletion.Outcome) SupportOutcome {
			return SupportOutcome{State: ItemState(o.State), Reason: set(o.Reason), Clients: o.Items}
		}),
		Events: list(events, func(e deletion.Event) SupportEvent {
			return SupportEvent{At: e.At, Role: e.Role, Act: e.Act, Code: set(e.Code)}
		}),
	}
}

func showOperatorRound(owner Municipality, r deletion.Round, outcomes []deletion.Outcome, events []deletion.Event) OperatorRound {
	return OperatorRound{
		Number: r.Number, Municipality: owner, Kind: RoundKind(r.Kind), RunOn: date(r.RunOn), State: RoundState(r.State), StateSince: r.StateSince,
		CoolingOffUntil: r.CoolingOffUntil, Clients: operatorCount(r.State, or(r.ApprovedCount, 0)),
		Braked: r.Braked(), Incident: r.Incident != nil,
		Events: list(events, func(e deletion.Event) OperatorEvent { return OperatorEvent{At: e.At, Role: e.Role, Act: e.Act} }),
	}
}

var itemStates = []deletion.ItemState{
	deletion.ItemPlaced, deletion.ItemReady, deletion.ItemBlocked, deletion.ItemWithdrawn, deletion.ItemMoved, deletion.ItemCarried, deletion.ItemPurged,
}

// ListItems shows who is in the round, to people of the municipality.
func (s *Server) ListItems(ctx context.Context, r ListItemsRequestObject) (ListItemsResponseObject, error) {
	states := itemStates
	if r.Params.State != nil {
		states = list(*r.Params.State, func(s ItemState) deletion.ItemState { return deletion.ItemState(s) })
	}
	limit := or(r.Params.Limit, 50)
	var page ItemPage
	err := s.inRound(ctx, r.Number, func(tx *pg.Tx, id int64) error {
		items, err := deletion.Items(ctx, tx, id, states, r.Params.After, limit+1)
		if err != nil {
			return err
		}
		if len(items) > limit {
			items = items[:limit]
			page.Next = &items[limit-1].ClientID
		}
		audit.Looked(tx, "round.clients", "round", list(items, func(i deletion.Item) uuid.UUID { return i.ClientID })...)
		page.Items = list(items, showItem)
		return nil
	})
	return ListItems200JSONResponse(page), err
}

func showItem(i deletion.Item) Item {
	return Item{
		Client: i.ClientID, Name: i.Name, Number: i.Number, State: ItemState(i.State), PlacedHow: i.PlacedHow, PlacedAt: i.PlacedAt, DueOn: date(i.DueOn),
		Carried: i.Carried, Frozen: i.Frozen, Reasons: list(i.Reasons, func(r string) string { return r }), SettledAt: i.SettledAt,
	}
}

// ListSpotChecks shows the sample.
func (s *Server) ListSpotChecks(ctx context.Context, r ListSpotChecksRequestObject) (ListSpotChecksResponseObject, error) {
	var checks []deletion.SpotCheck
	err := s.inRound(ctx, r.Number, func(tx *pg.Tx, id int64) (err error) {
		checks, err = deletion.SpotChecks(ctx, tx, id)
		return err
	})
	return ListSpotChecks200JSONResponse{SpotChecks: list(checks, showSpotCheck)}, err
}

func showSpotCheck(c deletion.SpotCheck) SpotCheck {
	return SpotCheck{Position: c.Position, Code: c.Code, Kind: c.Kind, StockState: StockState(c.StockState), Finding: (*Finding)(c.Finding), FoundAt: c.FoundAt}
}

// RecordFinding keeps what was found.
func (s *Server) RecordFinding(ctx context.Context, r RecordFindingRequestObject) (RecordFindingResponseObject, error) {
	err := s.inRound(ctx, r.Number, func(tx *pg.Tx, id int64) error {
		return deletion.Find(ctx, tx, id, r.Position, string(r.Body.Finding))
	})
	return RecordFinding204Response{}, err
}

// step does an act of a round and tells where the round then stands.
func (s *Server) step(ctx context.Context, number string, act func(tx *pg.Tx, round int64) error) (shown Step, err error) {
	err = s.inRound(ctx, number, func(tx *pg.Tx, id int64) error {
		if err := act(tx, id); err != nil {
			return err
		}
		shown, err = stepOf(ctx, tx, id)
		return err
	})
	return shown, err
}

func stepOf(ctx context.Context, tx *pg.Tx, id int64) (Step, error) {
	r, err := deletion.FindRound(ctx, tx, id)
	return Step{Number: r.Number, State: RoundState(r.State), CoolingOffUntil: r.CoolingOffUntil}, err
}

// RequestControl orders the pre-run control.
func (s *Server) RequestControl(ctx context.Context, r RequestControlRequestObject) (RequestControlResponseObject, error) {
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error { return deletion.RequestControl(ctx, tx, id) })
	return RequestControl202JSONResponse(shown), err
}

// FinishControl ends it.
func (s *Server) FinishControl(ctx context.Context, r FinishControlRequestObject) (FinishControlResponseObject, error) {
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error { return deletion.FinishControl(ctx, tx, id) })
	return FinishControl200JSONResponse(shown), err
}

// ApproveRound freezes the list.
func (s *Server) ApproveRound(ctx context.Context, r ApproveRoundRequestObject) (ApproveRoundResponseObject, error) {
	in := deletion.Approval{Remark: or(r.Body.Remark, ""), AcceptBrake: or(r.Body.AcceptBrake, false)}
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error { return deletion.Approve(ctx, tx, id, in) })
	return ApproveRound200JSONResponse(shown), err
}

// RejectRound sends it back.
func (s *Server) RejectRound(ctx context.Context, r RejectRoundRequestObject) (RejectRoundResponseObject, error) {
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error {
		return deletion.Reject(ctx, tx, id, string(r.Body.Code), or(r.Body.Remark, ""))
	})
	return RejectRound200JSONResponse(shown), err
}

// CancelRound calls it off.
func (s *Server) CancelRound(ctx context.Context, r CancelRoundRequestObject) (CancelRoundResponseObject, error) {
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error {
		return deletion.Cancel(ctx, tx, id, string(r.Body.Code), or(r.Body.Remark, ""))
	})
	return CancelRound200JSONResponse(shown), err
}

// LiftBrake lets it go on in spite of its brake.
func (s *Server) LiftBrake(ctx context.Context, r LiftBrakeRequestObject) (LiftBrakeResponseObject, error) {
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error { return deletion.LiftBrake(ctx, tx, id) })
	return LiftBrake200JSONResponse(shown), err
}

// StartRound starts it, once for each Idempotency-Key.
func (s *Server) StartRound(ctx context.Context, r StartRoundRequestObject) (StartRoundResponseObject, error) {
	var shown Step
	err := s.inRound(ctx, r.Number, func(tx *pg.Tx, id int64) (err error) {
		shown, err = once(ctx, tx, access.RoundOperate, &r.Params.IdempotencyKey, "startRound "+r.Number, r.Body, http.StatusAccepted, func() (Step, error) {
			if err := deletion.Start(ctx, tx, id, r.Body.Number); err != nil {
				return Step{}, err
			}
			return stepOf(ctx, tx, id)
		})
		return err
	})
	return StartRound202JSONResponse(shown), err
}

// PauseRound stops it between two chunks.
func (s *Server) PauseRound(ctx context.Context, r PauseRoundRequestObject) (PauseRoundResponseObject, error) {
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error { return deletion.Pause(ctx, tx, id) })
	return PauseRound200JSONResponse(shown), err
}

// ResumeRound lets it go on.
func (s *Server) ResumeRound(ctx context.Context, r ResumeRoundRequestObject) (ResumeRoundResponseObject, error) {
	shown, err := s.step(ctx, r.Number, func(tx *pg.Tx, id int64) error { return deletion.Resume(ctx, tx, id) })
	return ResumeRound202JSONResponse(shown), err
}

// ReadProgress tells how far it has come, in the caller's representation.
func (s *Server) ReadProgress(ctx context.Context, r ReadProgressRequestObject) (ReadProgressResponseObject, error) {
	var shown AnyProgress
	err := s.inRound(ctx, r.Number, func(tx *pg.Tx, id int64) error {
		round, err := deletion.FindRound(ctx, tx, id)
		if err != nil {
			return err
		}
		p, err := deletion.ProgressOf(ctx, tx, id)
		if err != nil {
			return err
		}
		state := RoundState(round.State)
		switch side(tx.Caller) {
		case "operator":
			return shown.FromOperatorProgress(OperatorProgress{State: state, Clients: operatorCount(round.State, p.Frozen), Chunks: p.Chunks, ChunksDone: p.ChunksDone})
		case "support":
			return shown.FromSupportProgress(SupportProgress{State: state, Approved: p.Frozen, Settled: p.Settled, Purged: p.Purged, Chunks: p.Chunks, ChunksDone: p.ChunksDone})
		}
		return shown.FromMunicipalityProgress(MunicipalityProgress{
			State: state, Approved: p.Frozen, Settled: p.Settled, Purged: p.Purged, Chunks: p.Chunks, ChunksDone: p.ChunksDone, FilesPending: p.BlobsPending,
		})
	})
	return ReadProgress200JSONResponse(shown), err
}

// ReadProtocol gives the proof of a finished run: the whole one or, to an operator, the supplier's copy.
func (s *Server) ReadProtocol(ctx context.Context, r ReadProtocolRequestObject) (ReadProtocolResponseObject, error) {
	var shown AnyProtocol
	err := s.inRound(ctx, r.Number, func(tx *pg.Tx, id int64) error {
		p, err := deletion.FindProtocol(ctx, tx, id)
		if err != nil {
			return err
		}
		if side(tx.Caller) == "operator" {
			return shown.FromSupplierProtocol(showSupplierProtocol(p))
		}
		return shown.FromProtocol(showProtocol(p))
	})
	return ReadProtocol200JSONResponse(shown), err
}

func showProtocol(p deletion.Protocol) Protocol {
	return Protocol{
		Version: p.Version, Number: p.Number, Kind: RoundKind(p.Kind), Municipality: Municipality{Number: p.Municipality.Number, Name: p.Municipality.Name},
		RunOn: date(p.RunOn), Started: p.Started, Finished: p.Finished,
		Clients: ProtocolClients{
			Approved: p.Clients.Approved, Purged: p.Clients.Purged, Carried: p.Clients.Carried, Withdrawn: p.Clients.Withdrawn,
			CarriedBy: counts(p.Clients.CarriedBy), WithdrawnBy: counts(p.Clients.WithdrawnBy),
		},
		Tables: tables(p), Files: ProtocolFiles{Ordered: p.Blobs.Ordered, VerifiedAbsent: p.Blobs.Verified}, Rules: rules(p),
		SpotChecks: ProtocolSpotChecks{Seed: p.SpotChecks.Seed, Size: p.SpotChecks.Size, Findings: counts(p.SpotChecks.Findings)},
		Acts:       acts(p), Notes: notes(p), Outside: outside(p), ListHash: p.ListHash, Hash: p.Hash,
	}
}

func showSupplierProtocol(p deletion.Protocol) SupplierProtocol {
	return SupplierProtocol{
		Version: p.Version, Number: p.Number, Kind: RoundKind(p.Kind), Municipality: Municipality{Number: p.Municipality.Number, Name: p.Municipality.Name},
		RunOn: date(p.RunOn), Started: p.Started, Finished: p.Finished, Handled: Few(p.Clients.Approved), Left: Few(p.Clients.Carried),
		FilesOrdered: Few(p.Blobs.Ordered), FilesVerifiedAbsent: Few(p.Blobs.Verified), Rules: rules(p), Acts: acts(p), Notes: notes(p), Outside: outside(p),
		ListHash: p.ListHash, Hash: p.Hash,
	}
}

func counts(by map[string]int) []ReasonCount {
	all := make([]ReasonCount, 0, len(by))
	for reason, n := range by {
		all = append(all, ReasonCount{Reason: reason, Count: n})
	}
	slices.SortFunc(all, func(a, b ReasonCount) int {
		if a.Reason < b.Reason {
			return -1
		}
		return 1
	})
	return all
}

func tables(p deletion.Protocol) []ProtocolTable {
	return list(p.Tables, func(t deletion.ProtocolCount) ProtocolTable { return ProtocolTable{Table: t.Table, Rows: t.Rows} })
}

func rules(p deletion.Protocol) []ProtocolRule {
	return list(p.Rules, func(r deletion.ProtocolRule) ProtocolRule {
		return ProtocolRule{Class: string(r.Class), Version: r.Version, Months: r.Months, Authority: r.Authority}
	})
}

func acts(p deletion.Protocol) []ProtocolAct {
	return list(p.Acts, func(a deletion.ProtocolAct) ProtocolAct {
		return ProtocolAct{Act: a.Act, Role: a.Role, Staff: a.Staff, At: a.At}
	})
}

func notes(p deletion.Protocol) []ProtocolNote {
	return list(p.Notes, func(n deletion.ProtocolNote) ProtocolNote {
		return ProtocolNote{Act: n.Act, Code: set(n.Code), At: n.At}
	})
}

func outside(p deletion.Protocol) []ProtocolOutside {
	return list(p.Outside, func(o deletion.ProtocolOutside) ProtocolOutside {
		return ProtocolOutside{What: o.What, GoneBy: date(o.GoneBy)}
	})
}
