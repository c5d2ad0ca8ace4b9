package municipality

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// What a standing instruction lets the processor do without asking anew (GDPR 28(3)(a), I11-I13).
const (
	PreRunControl      = "pre_run_control"      // the control before a run, with its spot checks (D27)
	CorrectContactData = "correct_contact_data" // outside Frist: erase or correct wrong contact data (I12)
)

// Actions are all of them.
var Actions = []string{PreRunControl, CorrectContactData}

// Instruction is one line of the register. It is never edited: a change is a new line that replaces it.
type Instruction struct {
	ID                int64
	Action            string
	Scope             string // in words: what it covers
	ValidFrom         calendar.Date
	ValidTo           calendar.Date // zero: until it is revoked
	DocumentReference string
	DecidedBy         string // the office that decided, not a person
	Replaces          *int64
	EnteredBy         int64 // 0: came with the agreement
	EnteredAt         time.Time
	ConfirmedBy       *int64
	ConfirmedAt       *time.Time
	DeclinedBy        *int64
	DeclinedAt        *time.Time
	RevokedBy         *int64
	RevokedAt         *time.Time
}

// State is where the instruction stands on a day: entered (waits for its confirmation), declined, revoked, coming,
// in_force, over.
func (i Instruction) State(today calendar.Date) string {
	switch {
	case i.RevokedAt != nil:
		return "revoked"
	case i.DeclinedAt != nil:
		return "declined"
	case i.ConfirmedAt == nil && i.EnteredBy != 0:
		return "entered"
	case today.Before(i.ValidFrom):
		return "coming"
	case !i.ValidTo.IsZero() && i.ValidTo.Before(today):
		return "over"
	}
	return "in_force"
}

const instructionColumns = `id, action, scope, valid_from, valid_to, document_reference, decided_by, replaces, entered_by, entered_at, confirmed_by, confirmed_at,
	declined_by, declined_at, revoked_by, revoked_at`

// Instructions is the municipality's register, newest first. Needs InstructionRead.
func Instructions(ctx context.Context, tx *pg.Tx) ([]Instruction, error) {
	if err := tx.Require(access.InstructionRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+instructionColumns+` FROM instruction WHERE municipality_id = $1 ORDER BY id DESC LIMIT 500`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Instruction])
}

// FindInstruction is one line of the register; problem.NotFound. Needs InstructionRead.
func FindInstruction(ctx context.Context, tx *pg.Tx, id int64) (Instruction, error) {
	if err := tx.Require(access.InstructionRead); err != nil {
		return Instruction{}, err
	}
	return findInstruction(ctx, tx, id, "")
}

func findInstruction(ctx context.Context, tx *pg.Tx, id int64, lock string) (Instruction, error) {
	rows, err := tx.Query(ctx, `SELECT `+instructionColumns+` FROM instruction WHERE municipality_id = $1 AND id = $2 `+lock, tx.Municipality(), id)
	if err != nil {
		return Instruction{}, err
	}
	i, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Instruction])
	if errors.Is(err, pgx.ErrNoRows) {
		return i, problem.NotFound{What: "instruction"}
	}
	return i, err
}

// NewInstruction is what an administrator enters.
type NewInstruction struct {
	Action             string
	Scope              string
	ValidFrom, ValidTo calendar.Date // ValidTo may be zero
	DocumentReference  string
	DecidedBy          string
	Replaces           int64 // 0: none; that one is revoked when this one is confirmed
}

// EnterInstruction enters an instruction, which holds when an approver has confirmed it. Needs InstructionWrite;
// problem.Invalid of "action", "scope", "valid_from", "valid_to", "document_reference", "decided_by".
func EnterInstruction(ctx context.Context, tx *pg.Tx, in NewInstruction) (int64, error) {
	if err := tx.Require(access.InstructionWrite); err != nil {
		return 0, err
	}
	today, err := Today(ctx, tx)
	if err != nil {
		return 0, err
	}
	var wrong problem.Collector
	if !slices.Contains(Actions, in.Action) {
		wrong.Add("action", "required", nil)
	}
	wrong.Words("scope", &in.Scope, 500, true)
	wrong.Words("document_reference", &in.DocumentReference, 60, true)
	wrong.Words("decided_by", &in.DecidedBy, 100, true)
	switch {
	case in.ValidFrom.IsZero():
		wrong.Add("valid_from", "required", nil)
	case in.ValidFrom.Before(today):
		wrong.Add("valid_from", "date_passed", problem.Params{"today": today})
	case !in.ValidTo.IsZero() && in.ValidTo.Before(in.ValidFrom):
		wrong.Add("valid_to", "before_start", nil)
	}
	if err := wrong.Err(); err != nil {
		return 0, err
	}
	var replaces *int64
	if in.Replaces != 0 {
		old, err := findInstruction(ctx, tx, in.Replaces, "")
		if err != nil {
			return 0, err
		}
		if old.Action != in.Action || old.RevokedAt != nil || old.DeclinedAt != nil {
			return 0, problem.Conflict{Code: "instruction_step"}
		}
		replaces = &in.Replaces
	}
	var id int64
	err = tx.QueryRow(ctx, `INSERT INTO instruction (municipality_id, action, scope, valid_from, valid_to, document_reference, decided_by, replaces, entered_by, entered_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		tx.Municipality(), in.Action, in.Scope, in.ValidFrom, until(in.ValidTo), in.DocumentReference, in.DecidedBy, replaces, tx.Caller.Account, tx.Now()).Scan(&id)
	if err != nil {
		return 0, err
	}
	told(tx, access.InstructionWrite, id, "entered", map[string]any{"action": in.Action})
	return id, nil
}

func until(d calendar.Date) *calendar.Date {
	if d.IsZero() {
		return nil
	}
	return &d
}

func told(tx *pg.Tx, p access.Permission, id int64, act string, detail map[string]any) {
	audit.Write(tx, p, audit.Record{Act: "instruction." + act, Subject: "instruction", SubjectID: strconv.FormatInt(id, 10), Detail: detail})
}

// approver refuses everybody who is not one: an administrator may decide on proposals, but not on what the processor does.
func approver(tx *pg.Tx) error {
	if err := tx.RequireFresh(access.ProposalDecide); err != nil {
		return err
	}
	if !tx.Caller.Has(access.Approver) {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.ProposalDecide)}}
	}
	return nil
}

// ConfirmInstruction puts an instruction in force, and revokes the one that it replaces. Requests that it answers are
// answered with it. Needs an approver other than who entered it (problem.Forbidden "own_instruction");
// problem.Conflict "instruction_step".
func ConfirmInstruction(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := approver(tx); err != nil {
		return err
	}
	i, err := waiting(ctx, tx, id)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE instruction SET confirmed_by = $3, confirmed_at = $4 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if i.Replaces != nil {
		batch.Queue(`UPDATE instruction SET revoked_by = $3, revoked_at = $4 WHERE municipality_id = $1 AND id = $2 AND revoked_at IS NULL`,
			tx.Municipality(), *i.Replaces, tx.Caller.Account, tx.Now())
		told(tx, access.ProposalDecide, *i.Replaces, "replaced", map[string]any{"by": id})
	}
	today, err := Today(ctx, tx)
	if err != nil {
		return err
	}
	if !today.Before(i.ValidFrom) {
		batch.Queue(`UPDATE instruction_request SET state = 'standing', answered_by = $3, answered_at = $4, instruction_id = $5 WHERE municipality_id = $1 AND action = $2 AND state = 'asked'`,
			tx.Municipality(), i.Action, tx.Caller.Account, tx.Now(), id)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	told(tx, access.ProposalDecide, id, "confirmed", map[string]any{"action": i.Action})
	return nil
}

func waiting(ctx context.Context, tx *pg.Tx, id int64) (Instruction, error) {
	i, err := findInstruction(ctx, tx, id, "FOR NO KEY UPDATE")
	if err != nil {
		return i, err
	}
	if i.EnteredBy == tx.Caller.Account {
		return i, problem.Forbidden{Code: "own_instruction"}
	}
	if i.State(i.ValidFrom) != "entered" {
		return i, problem.Conflict{Code: "instruction_step"}
	}
	return i, nil
}

// DeclineInstruction says no to an instruction that was entered. Needs what ConfirmInstruction needs.
func DeclineInstruction(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := approver(tx); err != nil {
		return err
	}
	if _, err := waiting(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE instruction SET declined_by = $3, declined_at = $4 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err == nil {
		told(tx, access.ProposalDecide, id, "declined", nil)
	}
	return err
}

// RevokeInstruction ends an instruction at once; one person is enough, an administrator or an approver.
// problem.Conflict "instruction_step" when it was revoked or declined before.
func RevokeInstruction(ctx context.Context, tx *pg.Tx, id int64) error {
	p := access.InstructionWrite
	if tx.Caller.Has(access.Approver) { // ending is no decision that a program of theirs would have to be let
		p = access.InstructionRead
	}
	if err := tx.Require(p); err != nil {
		return err
	}
	i, err := findInstruction(ctx, tx, id, "FOR NO KEY UPDATE")
	if err != nil {
		return err
	}
	if i.RevokedAt != nil || i.DeclinedAt != nil {
		return problem.Conflict{Code: "instruction_step"}
	}
	_, err = tx.Exec(ctx, `UPDATE instruction SET revoked_by = $3, revoked_at = $4 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err == nil {
		told(tx, p, id, "revoked", map[string]any{"action": i.Action})
	}
	return err
}

// Cover is what an act of the processor rests on: a standing instruction, or the answer to a request that holds for one
// round alone. The zero Cover covers nothing.
type Cover struct{ Instruction, Request *int64 }

// Basis is the form for the audit trail; empty for nothing.
func (c Cover) Basis() string {
	switch {
	case c.Instruction != nil:
		return "instruction:" + strconv.FormatInt(*c.Instruction, 10)
	case c.Request != nil:
		return "request:" + strconv.FormatInt(*c.Request, 10)
	}
	return ""
}

// CoverFor finds what covers action today in the transaction's municipality, in one round: an instruction in force, else
// a yes for this round alone. The zero Cover: nothing does. Needs RoundRead.
func CoverFor(ctx context.Context, tx *pg.Tx, action string, round int64) (Cover, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return Cover{}, err
	}
	today, err := Today(ctx, tx)
	if err != nil {
		return Cover{}, err
	}
	var c Cover
	err = tx.QueryRow(ctx, `SELECT (SELECT id FROM instruction WHERE municipality_id = $1 AND action = $2 AND valid_from <= $3
			AND (valid_to IS NULL OR valid_to >= $3) AND (revoked_at IS NULL OR revoked_at > $4) AND (confirmed_at IS NOT NULL OR entered_by = 0)
			ORDER BY valid_from DESC, id DESC LIMIT 1),
		(SELECT id FROM instruction_request WHERE municipality_id = $1 AND action = $2 AND round_id = $5 AND state = 'once' ORDER BY id DESC LIMIT 1)`,
		tx.Municipality(), action, today, tx.Now(), round).Scan(&c.Instruction, &c.Request)
	return c, err
}

// InstructionFor finds the instruction under which the processor may do action today in the transaction's municipality;
// ok is false when there is none in force. Needs RoundRead.
func InstructionFor(ctx context.Context, tx *pg.Tx, action string) (id int64, ok bool, err error) {
	c, err := CoverFor(ctx, tx, action, 0)
	if err != nil || c.Instruction == nil {
		return 0, false, err
	}
	return *c.Instruction, true, nil
}

// InstructionRequest is what the processor wanted to do and nothing covered: a task for the municipality.
type InstructionRequest struct {
	ID            int64
	Action        string
	RoundID       int64
	RoundNumber   string
	AskedBy       int64
	AskedByNumber string
	AskedAt       time.Time
	State         string // asked, once, standing, no
	AnsweredBy    *int64
	AnsweredAt    *time.Time
	Answer        string
	InstructionID *int64
}

// AskInstruction leaves the task. One request of a round and action waits at a time; asking again changes nothing. Needs RoundControl.
func AskInstruction(ctx context.Context, tx *pg.Tx, action string, round int64, number string) error {
	if err := tx.Require(access.RoundControl); err != nil {
		return err
	}
	var id int64
	err := tx.QueryRow(ctx, `INSERT INTO instruction_request (municipality_id, action, round_id, round_number, asked_by, asked_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (municipality_id, round_id, action) WHERE state = 'asked' DO NOTHING RETURNING id`, tx.Municipality(), action, round, number, tx.Caller.Account, tx.Now()).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		audit.Write(tx, access.RoundControl, audit.Record{
			Act: "instruction.asked", Subject: "round", SubjectID: number, Detail: map[string]any{"action": action}, Basis: Cover{Request: &id}.Basis(),
		})
	}
	return err
}

// InstructionRequests gives the tasks, those that wait first, then the newest answers; of one round when it is not 0. Needs
// InstructionRead.
func InstructionRequests(ctx context.Context, tx *pg.Tx, round int64) ([]InstructionRequest, error) {
	if err := tx.Require(access.InstructionRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT id, action, round_id, round_number, asked_by, staff_number(asked_by) AS asked_by_number, asked_at, state, answered_by, answered_at, answer, instruction_id
		FROM instruction_request WHERE municipality_id = $1 AND ($2 = 0 OR round_id = $2) ORDER BY answered_at DESC NULLS FIRST, id DESC LIMIT 100`, tx.Municipality(), round)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[InstructionRequest])
}

// AnswerInstructionRequest says yes for exactly this round (once), or no with words. A standing answer is an instruction
// that an administrator enters (ConfirmInstruction). Needs an approver; problem.Invalid of "answer",
// problem.Conflict "instruction_step", problem.NotFound.
func AnswerInstructionRequest(ctx context.Context, tx *pg.Tx, id int64, once bool, words string) error {
	if err := approver(tx); err != nil {
		return err
	}
	words, state := strings.TrimSpace(words), "once"
	if !once {
		state = "no"
		if words == "" {
			return problem.InvalidField("answer", "say_why", nil)
		}
	}
	if utf8.RuneCountInString(words) > 200 {
		return problem.InvalidField("answer", "too_long", problem.Params{"max": 200})
	}
	var found, number string
	err := tx.QueryRow(ctx, `SELECT state, round_number FROM instruction_request WHERE municipality_id = $1 AND id = $2 FOR NO KEY UPDATE`, tx.Municipality(), id).Scan(&found, &number)
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.NotFound{What: "instruction request"}
	}
	if err != nil {
		return err
	}
	if found != "asked" {
		return problem.Conflict{Code: "instruction_step"}
	}
	_, err = tx.Exec(ctx, `UPDATE instruction_request SET state = $3, answered_by = $4, answered_at = $5, answer = $6 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, state, tx.Caller.Account, tx.Now(), words)
	if err == nil {
		audit.Write(tx, access.ProposalDecide, audit.Record{Act: "instruction.answered", Subject: "round", SubjectID: number, Detail: map[string]any{"answer": state}})
	}
	return err
}
