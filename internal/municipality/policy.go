package municipality

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
)

// Terms are all that a municipality decides about rounds, about signing in and about privacy: what one person proposes and
// another decides.
type Terms struct {
	CoolingOffSeconds int      `json:"cooling_off_seconds"`
	MaxSharePercent   int      `json:"max_share_percent"`
	MaxErrorPercent   int      `json:"max_error_percent"`
	SpotCheckSize     int      `json:"spot_check_size"`
	ChunkSize         int      `json:"chunk_size"`
	HighestLevel      bool     `json:"highest_level"`  // only idporten-loa-high, no passwords
	PasswordWords     []string `json:"password_words"` // the municipality's own words that no password may be made of
	LooksPerHour      int      `json:"looks_per_hour"` // from so many records opened one by one the privacy officer is told
	LooksPerDay       int      `json:"looks_per_day"`
	FirstNoticeHours  int      `json:"first_notice_hours"` // until the controller, or NSM, is told of a deviation (T25)
	Pseudonymous      bool     `json:"pseudonymous"`       // Frist holds a pseudonym only (T10)
}

// policySubject is the one row there is.
const policySubject = "policy"

// TermsOf are the terms of the transaction's municipality.
func TermsOf(ctx context.Context, tx *pg.Tx) (t Terms, err error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return Terms{}, err
	}
	err = tx.QueryRow(ctx, `SELECT cooling_off_seconds, max_share_percent, max_error_percent, spot_check_size, chunk_size, highest_level, password_words,
			looks_per_hour, looks_per_day, first_notice_hours, pseudonymous
		FROM municipality_policy WHERE municipality_id = $1`, tx.Municipality()).
		Scan(&t.CoolingOffSeconds, &t.MaxSharePercent, &t.MaxErrorPercent, &t.SpotCheckSize, &t.ChunkSize, &t.HighestLevel, &t.PasswordWords,
			&t.LooksPerHour, &t.LooksPerDay, &t.FirstNoticeHours, &t.Pseudonymous)
	return t, err
}

// Limits of the municipality's own words, where shorter ones would forbid half the dictionary; of how many looks are too many
// to be unusual; and of the first notice, which comes before the law's own 72 hours are over (GDPR 33).
const (
	shortestWord = 4
	longestWord  = 40
	mostWords    = 200
	mostLooks    = 10000
	mostHours    = 72
)

func (t *Terms) check() error {
	var wrong problem.Collector
	wrong.Join("", check("0000", "-", Policy{
		CoolingOff: time.Duration(t.CoolingOffSeconds) * time.Second, MaxSharePercent: t.MaxSharePercent, MaxErrorPercent: t.MaxErrorPercent,
		SpotCheckSize: t.SpotCheckSize, ChunkSize: t.ChunkSize,
	}))
	between(&wrong, "looks_per_hour", t.LooksPerHour, 1, mostLooks)
	between(&wrong, "looks_per_day", t.LooksPerDay, 1, mostLooks)
	between(&wrong, "first_notice_hours", t.FirstNoticeHours, 1, mostHours)
	words := []string{}
	for _, word := range t.PasswordWords {
		word = strings.ToLower(strings.TrimSpace(word))
		if n := utf8.RuneCountInString(word); n == 0 || slices.Contains(words, word) {
			continue
		} else if n < shortestWord || n > longestWord {
			wrong.Add("password_words", "word_length", problem.Params{"low": shortestWord, "high": longestWord})
			break
		}
		words = append(words, word)
	}
	if len(words) > mostWords {
		wrong.Add("password_words", "too_many_words", problem.Params{"most": mostWords})
	}
	t.PasswordWords = words
	return wrong.Err()
}

// ProposePolicy proposes other terms. problem.Invalid of its numbers (between) and password_words (word_length,
// too_many_words), and problem.Conflict (unchanged).
func ProposePolicy(ctx context.Context, tx *pg.Tx, t Terms) error {
	if err := proposal.Municipal(tx); err != nil {
		return err
	}
	if err := t.check(); err != nil {
		return err
	}
	now, err := TermsOf(ctx, tx)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(now, t) {
		return problem.Conflict{Code: "unchanged"}
	}
	_, err = proposal.Make(ctx, tx, proposal.Policy, policySubject, 0, t)
	return err
}

// AcceptPolicy decides for proposed terms; they hold from now on. A round that is approved keeps the cooling-off period it
// was approved with. Pseudonyms come and go only while there are no clients: names are not hidden afterwards, they never
// come. problem.Conflict "has_clients".
func AcceptPolicy(ctx context.Context, tx *pg.Tx, id int64) error {
	return proposal.Accept(ctx, tx, id, proposal.Policy, func(p proposal.Proposal) error {
		now, err := TermsOf(ctx, tx)
		if err != nil {
			return err
		}
		t, err := ReadTerms(p, now)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE municipality_policy SET cooling_off_seconds = $2, max_share_percent = $3, max_error_percent = $4, spot_check_size = $5,
			chunk_size = $6, highest_level = $7, password_words = $8, looks_per_hour = $9, looks_per_day = $10, first_notice_hours = $11, pseudonymous = $12
			WHERE municipality_id = $1`,
			tx.Municipality(), t.CoolingOffSeconds, t.MaxSharePercent, t.MaxErrorPercent, t.SpotCheckSize, t.ChunkSize, t.HighestLevel, t.PasswordWords,
			t.LooksPerHour, t.LooksPerDay, t.FirstNoticeHours, t.Pseudonymous)
		if t.Pseudonymous != now.Pseudonymous {
			audit.Write(tx, access.ProposalDecide, audit.Record{
				Act: "pseudonymous_set", Subject: "municipality", SubjectID: strconv.Itoa(tx.Municipality()), Fields: []string{"pseudonymous"}, Detail: map[string]any{"on": t.Pseudonymous},
			})
		}
		return err
	})
}

// ReadTerms is what a proposal of the kind policy says. What it is silent about, because it is older than the term, stays
// as it is now.
func ReadTerms(p proposal.Proposal, now Terms) (Terms, error) {
	now.PasswordWords = nil // filled anew, not written over
	err := json.Unmarshal(p.Payload, &now)
	return now, err
}
