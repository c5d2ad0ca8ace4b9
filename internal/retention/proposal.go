package retention

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/jackc/pgx/v5"
)

// Change is a new version of a rule as somebody proposes it. Start event, counting and alignment stay as they are.
type Change struct {
	Class        Class         `json:"class"`
	Version      int           `json:"version"`
	PeriodMonths int           `json:"period_months"`
	PeriodDays   int           `json:"period_days"`
	Outcome      Outcome       `json:"outcome"`
	Authority    string        `json:"authority"`
	ValidFrom    calendar.Date `json:"valid_from"`
}

// Longest and shortest periods of a change. The purged registrations must outlive every backup (D22), and a log that is
// gone before anybody asks is none.
const (
	longestMonths = 1200
	longestDays   = 3650
)

var shortest = map[Class]int{AccessLog: 24, AuditTrail: 60, RoundRecord: 60, PurgedRegistration: 3} // months

// Outcomes are what may become of a class: what lies under a client may be kept or wait for the archive, the rest goes.
func Outcomes(class Class) []Outcome {
	if slices.Contains(ClientClasses, class) {
		return []Outcome{Destroy, Preserve, Review}
	}
	return []Outcome{Destroy}
}

// AllRules gives every version of the municipality's rules, by class, the newest first. For whoever may read rounds.
func AllRules(ctx context.Context, tx *pg.Tx) ([]Rule, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+ruleColumns+` FROM retention_rule WHERE municipality_id = $1 ORDER BY class, version DESC`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Rule])
}

// ProposeRule proposes a new version of a rule; its number is counted here. problem.Invalid of class (choice),
// period_months and period_days (between; too_short_period), outcome (choice), authority (required) and valid_from
// (required, past).
func ProposeRule(ctx context.Context, tx *pg.Tx, c Change) error {
	if err := proposal.Municipal(tx); err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	latest, err := newest(ctx, tx, c.Class)
	if err != nil {
		return err
	}
	c.Authority = strings.TrimSpace(c.Authority)
	var wrong problem.Collector
	if c.PeriodMonths < 0 || c.PeriodMonths > longestMonths {
		wrong.Add("period_months", "between", problem.Params{"low": 0, "high": longestMonths})
	} else if least := shortest[c.Class]; c.PeriodMonths < least || c.PeriodMonths == 0 && c.PeriodDays == 0 {
		wrong.Add("period_months", "too_short_period", problem.Params{"least": max(least, 1)})
	}
	if c.PeriodDays < 0 || c.PeriodDays > longestDays {
		wrong.Add("period_days", "between", problem.Params{"low": 0, "high": longestDays})
	}
	if !slices.Contains(Outcomes(c.Class), c.Outcome) {
		wrong.Add("outcome", "choice", nil)
	}
	if c.Authority == "" || len(c.Authority) > 500 {
		wrong.Add("rule_authority", "required", nil)
	}
	if c.ValidFrom.IsZero() {
		wrong.Add("valid_from", "required", nil)
	} else if c.ValidFrom.Before(today) {
		wrong.Add("valid_from", "past", nil)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	c.Version = latest.Version + 1
	_, err = proposal.Make(ctx, tx, proposal.Rule, string(c.Class), 0, c)
	return err
}

func newest(ctx context.Context, tx *pg.Tx, class Class) (Rule, error) {
	rows, err := tx.Query(ctx, `SELECT `+ruleColumns+` FROM retention_rule WHERE municipality_id = $1 AND class = $2 ORDER BY version DESC LIMIT 1`, tx.Municipality(), class)
	if err != nil {
		return Rule{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Rule])
}

// AcceptRule decides for a proposed rule and writes the version down. It holds from the day that was proposed, or from today
// when that has passed. problem.Conflict (proposal_old) when the rule has got another version since.
func AcceptRule(ctx context.Context, tx *pg.Tx, id int64) error {
	return proposal.Accept(ctx, tx, id, proposal.Rule, func(p proposal.Proposal) error {
		var c Change
		if err := json.Unmarshal(p.Payload, &c); err != nil {
			return err
		}
		latest, err := newest(ctx, tx, c.Class)
		if err != nil {
			return err
		}
		if c.Version != latest.Version+1 {
			return problem.Conflict{Code: "proposal_old"}
		}
		today, err := municipality.Today(ctx, tx)
		if err != nil {
			return err
		}
		if c.ValidFrom.Before(today) {
			c.ValidFrom = today
		}
		_, err = tx.Exec(ctx, `INSERT INTO retention_rule (municipality_id, `+ruleColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			tx.Municipality(), c.Class, c.Version, latest.StartEvent, c.PeriodMonths, c.PeriodDays, latest.Inclusive, latest.Alignment, c.Outcome, c.Authority, c.ValidFrom)
		return err
	})
}

// ReadChange is what a proposal of the kind rule says.
func ReadChange(p proposal.Proposal) (c Change, err error) {
	return c, json.Unmarshal(p.Payload, &c)
}
