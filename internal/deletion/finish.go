package deletion

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
	"github.com/jackc/pgx/v5"
)

// finish takes a round through its last part: running -> verifying when every chunk is done, verifying -> finished when
// every item is settled, nothing of a purged client is found by a look that trusts no count and no list, and the store has told of
// every object that it is gone (D11). Whoever comes too early goes home; the last one to be done asks again.
func finish(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	// A look without a lock first: chunks share the round's lock, and a finisher that waited for it would hold them up.
	if left, err := chunksLeft(ctx, tx, id); err != nil || left > 0 {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if round.State == Running {
		left, err := chunksLeft(ctx, tx, id)
		if err != nil || left > 0 {
			return err
		}
		if err := moveTo(ctx, tx, id, Verifying); err != nil {
			return err
		}
		round.State = Verifying
		event(tx, id, access.RoundSweep, "verifying", "", "")
	}
	if round.State != Verifying {
		return nil
	}
	var blobs bool
	var remains int
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM blob_deletion WHERE municipality_id = $1 AND round_id = $2 AND pending <> '{}')`, tx.Municipality(), id).Scan(&blobs)
	if err != nil || blobs {
		return err // the last blob job asks again; the sweep does, too
	}
	if err := tx.QueryRow(ctx, `SELECT round_leftovers($1)`, id).Scan(&remains); err != nil {
		return err
	}
	_, _, hash, err := hashFrozen(ctx, tx, round, nil)
	if err != nil {
		return err
	}
	if remains > 0 || !bytes.Equal(hash, round.ApprovedHash) {
		audit.Write(tx, access.RoundSweep, audit.Record{
			Act: "round.alarm", Subject: "round", SubjectID: round.Number,
			Detail: map[string]any{"code": "something_left", "clients": remains, "list_intact": bytes.Equal(hash, round.ApprovedHash)},
		})
		return nil // it stays here, and is seen: "finished" is never said of this
	}
	if err := ensureGroups(ctx, tx, calendar.Date{}); err != nil {
		return err
	}
	event(tx, id, access.RoundSweep, "finished", "", "")
	audit.Write(tx, access.RoundSweep, audit.Record{Act: "round.finished", Subject: "round", SubjectID: round.Number})
	// Searches may hold a purged client's name, and the planner's statistics do until they are made anew (PROOF 1.4).
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM stored_search WHERE municipality_id = $1`, tx.Municipality())
	batch.Queue(`UPDATE deletion_round SET state = 'finished', state_since = $3, finished_at = $3 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Now())
	batch.Queue(`SELECT forget_in_statistics()`)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return writeProtocol(ctx, tx, id)
}

func chunksLeft(ctx context.Context, tx *pg.Tx, id int64) (left int, err error) {
	err = tx.QueryRow(ctx, `SELECT count(*) FROM round_chunk WHERE municipality_id = $1 AND round_id = $2 AND done_at IS NULL`, tx.Municipality(), id).Scan(&left)
	return left, err
}

// Protocol is the proof of a run (sletteprotokoll, D26): counts, rules, roles, staff numbers and times, and nothing of
// anybody who was deleted. It is stored as it was when the round finished.
type Protocol struct {
	Version      int                `json:"version"`
	Number       string             `json:"number"`
	Kind         string             `json:"kind"`
	Municipality ProtocolOwner      `json:"municipality"`
	RunOn        calendar.Date      `json:"run_on"`
	Started      time.Time          `json:"started"`
	Finished     time.Time          `json:"finished"`
	Clients      ProtocolClients    `json:"clients"`
	Tables       []ProtocolCount    `json:"tables"`
	Blobs        ProtocolBlobs      `json:"blobs"`
	Rules        []ProtocolRule     `json:"rules"`
	SpotChecks   ProtocolSpotChecks `json:"spot_checks"`
	Acts         []ProtocolAct      `json:"acts"`
	Notes        []ProtocolNote     `json:"notes"`
	Outside      []ProtocolOutside  `json:"outside"`
	ListHash     string             `json:"list_hash"` // SHA-256 of the approved set (D12)
	Hash         string             `json:"-"`         // SHA-256 of this document as stored
	Suppressed   bool               `json:"suppressed,omitempty"`
}

// ProtocolOwner is the controller.
type ProtocolOwner struct {
	Number string `json:"number"`
	Name   string `json:"name"`
}

// ProtocolClients counts the people. In a supplier's copy numbers under five are Few.
type ProtocolClients struct {
	Approved    int            `json:"approved"`
	Purged      int            `json:"purged"`
	Carried     int            `json:"carried"`
	Withdrawn   int            `json:"withdrawn"`
	CarriedBy   map[string]int `json:"carried_by,omitempty"`
	WithdrawnBy map[string]int `json:"withdrawn_by,omitempty"`
}

// ProtocolCount is the rows that went from one table.
type ProtocolCount struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// ProtocolBlobs counts the objects in storage: those ordered away and those the store itself says are gone.
type ProtocolBlobs struct {
	Ordered  int `json:"ordered"`
	Verified int `json:"verified_absent"`
}

// ProtocolRule is a rule by which the round was judged.
type ProtocolRule struct {
	Class     retention.Class `json:"class"`
	Version   int             `json:"version"`
	Months    int             `json:"months"`
	Authority string          `json:"authority"`
}

// ProtocolSpotChecks tells how the sample was drawn and what was found.
type ProtocolSpotChecks struct {
	Seed     int64          `json:"seed"`
	Size     int            `json:"size"`
	Findings map[string]int `json:"findings"`
}

// ProtocolAct is one of the acts that made the run: which role, which opaque staff number, when.
type ProtocolAct struct {
	Act   string    `json:"act"`
	Role  string    `json:"role"`
	Staff string    `json:"staff"`
	At    time.Time `json:"at"`
}

// ProtocolNote is something out of the ordinary: a pause, a brake, an incident.
type ProtocolNote struct {
	Act  string    `json:"act"`
	Code string    `json:"code,omitempty"`
	At   time.Time `json:"at"`
}

// ProtocolOutside is what this run could not reach and when it is gone there.
type ProtocolOutside struct {
	What   string        `json:"what"` // a code
	GoneBy calendar.Date `json:"gone_by"`
}

// Few stands for a count under five in a supplier's copy (D26).
const Few = -1

func writeProtocol(ctx context.Context, tx *pg.Tx, id int64) error {
	p, err := composeProtocol(ctx, tx, id)
	if err != nil {
		return err
	}
	document, err := json.Marshal(p)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(document)
	_, err = tx.Exec(ctx, `INSERT INTO protocol (municipality_id, round_id, document, hash, created_at) VALUES ($1, $2, $3, $4, $5)`,
		tx.Municipality(), id, document, hash[:], tx.Now())
	return err
}

func composeProtocol(ctx context.Context, tx *pg.Tx, id int64) (Protocol, error) {
	round, err := findRound(ctx, tx, id, "")
	if err != nil {
		return Protocol{}, err
	}
	m, err := municipality.Current(ctx, tx)
	if err != nil {
		return Protocol{}, err
	}
	rules, err := retention.LoadRules(ctx, tx)
	if err != nil {
		return Protocol{}, err
	}
	p := Protocol{
		Version: 1, Number: round.Number, Kind: round.Kind, Municipality: ProtocolOwner{m.Number, m.Name}, RunOn: round.RunOn,
		Started: *round.StartedAt, Finished: *round.FinishedAt, ListHash: fmt.Sprintf("%x", round.ApprovedHash),
		Clients:    ProtocolClients{Approved: value(round.ApprovedCount), CarriedBy: map[string]int{}, WithdrawnBy: map[string]int{}},
		SpotChecks: ProtocolSpotChecks{Findings: map[string]int{}},
		Outside: []ProtocolOutside{
			{"database_files", calendar.DateOf(round.FinishedAt.In(m.Zone)).AddDays(30)},
			{"backups", calendar.DateOf(round.FinishedAt.In(m.Zone)).AddDays(35)},
		},
	}
	for _, class := range retention.ClientClasses {
		rule := rules[class]
		p.Rules = append(p.Rules, ProtocolRule{class, rule.Version, rule.PeriodMonths, rule.Authority})
	}
	outcomes, err := Tally(ctx, tx, id)
	if err != nil {
		return Protocol{}, err
	}
	for _, o := range outcomes {
		switch o.State {
		case ItemPurged:
			p.Clients.Purged += o.Items
		case ItemCarried:
			p.Clients.Carried += o.Items
			p.Clients.CarriedBy[o.Reason] += o.Items
		case ItemWithdrawn, ItemMoved:
			p.Clients.Withdrawn += o.Items
			p.Clients.WithdrawnBy[o.Reason] += o.Items
		default:
		}
	}
	rows, err := tx.Query(ctx, `SELECT table_name, sum(rows)::bigint FROM round_count WHERE municipality_id = $1 AND round_id = $2 GROUP BY 1 ORDER BY 1`, tx.Municipality(), id)
	if err != nil {
		return Protocol{}, err
	}
	if p.Tables, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ProtocolCount]); err != nil {
		return Protocol{}, err
	}
	err = tx.QueryRow(ctx, `SELECT coalesce(sum(ordered), 0), coalesce(sum(ordered - cardinality(pending)), 0) FROM blob_deletion WHERE municipality_id = $1 AND round_id = $2`, tx.Municipality(), id).
		Scan(&p.Blobs.Ordered, &p.Blobs.Verified)
	if err != nil {
		return Protocol{}, err
	}
	if err := protocolSample(ctx, tx, round, &p); err != nil {
		return Protocol{}, err
	}
	return p, protocolActs(ctx, tx, round, &p)
}

func protocolSample(ctx context.Context, tx *pg.Tx, round Round, p *Protocol) error {
	if round.SampleSeed != nil {
		p.SpotChecks.Seed = *round.SampleSeed
	}
	rows, err := tx.Query(ctx, `SELECT finding, count(*) FROM spot_check WHERE municipality_id = $1 AND round_id = $2 AND finding IS NOT NULL GROUP BY 1`, tx.Municipality(), round.ID)
	if err != nil {
		return err
	}
	var finding string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&finding, &n}, func() error {
		p.SpotChecks.Findings[finding] = n
		p.SpotChecks.Size += n
		return nil
	})
	return err
}

func protocolActs(ctx context.Context, tx *pg.Tx, round Round, p *Protocol) error {
	rows, err := tx.Query(ctx, `SELECT act, role, coalesce(staff_number(account_id), '') AS staff, at, code FROM round_event
		WHERE municipality_id = $1 AND round_id = $2 ORDER BY id`, tx.Municipality(), round.ID)
	if err != nil {
		return err
	}
	var act, role, staff, code string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&act, &role, &staff, &at, &code}, func() error {
		switch act {
		case "asked", "ordered", "proposed", "controlled", "approved", "started":
			p.Acts = append(p.Acts, ProtocolAct{act, role, staff, at})
		case "paused", "resumed", "brake", "brake_lifted", "incident", "rejected":
			p.Notes = append(p.Notes, ProtocolNote{act, code, at})
		default:
		}
		return nil
	})
	return err
}

// FindProtocol reads a finished round's protocol; problem.NotFound before it is finished. An operator gets the supplier's
// copy. Needs ProtocolRead.
func FindProtocol(ctx context.Context, tx *pg.Tx, id int64) (Protocol, error) {
	if err := tx.Require(access.ProtocolRead); err != nil {
		return Protocol{}, err
	}
	var document, hash []byte
	err := tx.QueryRow(ctx, `SELECT document, hash FROM protocol WHERE municipality_id = $1 AND round_id = $2`, tx.Municipality(), id).Scan(&document, &hash)
	if err != nil {
		return Protocol{}, notFound(err)
	}
	var p Protocol
	if err := json.Unmarshal(document, &p); err != nil {
		return Protocol{}, err
	}
	p.Hash = fmt.Sprintf("%x", hash)
	if tx.Caller.Has(access.Operator) {
		p = p.ForSupplier()
	}
	return p, nil
}

// ExportProtocol is FindProtocol for a file that leaves Frist: it asks for a fresh proof of identity.
func ExportProtocol(ctx context.Context, tx *pg.Tx, id int64) (Protocol, error) {
	if err := tx.RequireFresh(access.ProtocolRead); err != nil {
		return Protocol{}, err
	}
	return FindProtocol(ctx, tx, id)
}

// ForSupplier is the copy without small numbers (D26). Two counts of people stand in it: Approved, how many the run
// handled, and Carried, how many stayed. Under five they become Few. How many were purged is not told, because its
// difference from the number handled, which the operator has seen before, would be; nor are rows per table, some of which
// are one for each person, or reasons.
func (p Protocol) ForSupplier() Protocol {
	few := func(n int) int {
		if n > 0 && n < 5 {
			return Few
		}
		return n
	}
	s := p
	s.Suppressed = true
	s.Clients = ProtocolClients{Approved: few(p.Clients.Approved), Carried: few(p.Clients.Carried + p.Clients.Withdrawn)}
	s.Tables = nil
	s.Blobs = ProtocolBlobs{few(p.Blobs.Ordered), few(p.Blobs.Verified)}
	s.SpotChecks = ProtocolSpotChecks{Seed: p.SpotChecks.Seed, Size: few(p.SpotChecks.Size)}
	s.Rules = make([]ProtocolRule, len(p.Rules)) // without the authority, which is the municipality's own words
	for i, r := range p.Rules {
		s.Rules[i] = ProtocolRule{Class: r.Class, Version: r.Version, Months: r.Months}
	}
	return s
}
