package municipality

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
)

// Terms are all that a municipality decides about rounds and about signing in: what one person proposes and another
// decides.
type Terms struct {
	CoolingOffSeconds int      `json:"cooling_off_seconds"`
	MaxSharePercent   int      `json:"max_share_percent"`
	MaxErrorPercent   int      `json:"max_error_percent"`
	SpotCheckSize     int      `json:"spot_check_size"`
	ChunkSize         int      `json:"chunk_size"`
	HighestLevel      bool     `json:"highest_level"`  // only idporten-loa-high, no passwords
	PasswordWords     []string `json:"password_words"` // the municipality's own words that no password may be made of
}

// policySubject is the one row there is.
const policySubject = "policy"

// TermsOf are the terms of the transaction's municipality.
func TermsOf(ctx context.Context, tx *pg.Tx) (t Terms, err error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return Terms{}, err
	}
	err = tx.QueryRow(ctx, `SELECT cooling_off_seconds, max_share_percent, max_error_percent, spot_check_size, chunk_size, highest_level, password_words
		FROM municipality_policy WHERE municipality_id = $1`, tx.Municipality()).
		Scan(&t.CoolingOffSeconds, &t.MaxSharePercent, &t.MaxErrorPercent, &t.SpotCheckSize, &t.ChunkSize, &t.HighestLevel, &t.PasswordWords)
	return t, err
}

// Limits of the municipality's own words. Shorter ones would forbid half the dictionary.
const (
	shortestWord = 4
	longestWord  = 40
	mostWords    = 200
)

func (t *Terms) check() error {
	var wrong problem.Collector
	wrong.Join("", check("0000", "-", Policy{
		CoolingOff: time.Duration(t.CoolingOffSeconds) * time.Second, MaxSharePercent: t.MaxSharePercent, MaxErrorPercent: t.MaxErrorPercent,
		SpotCheckSize: t.SpotCheckSize, ChunkSize: t.ChunkSize,
	}))
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
	if same(now, t) {
		return problem.Conflict{Code: "unchanged"}
	}
	_, err = proposal.Make(ctx, tx, proposal.Policy, policySubject, 0, t)
	return err
}

func same(a, b Terms) bool {
	return slices.Equal(a.PasswordWords, b.PasswordWords) && a.CoolingOffSeconds == b.CoolingOffSeconds && a.MaxSharePercent == b.MaxSharePercent &&
		a.MaxErrorPercent == b.MaxErrorPercent && a.SpotCheckSize == b.SpotCheckSize && a.ChunkSize == b.ChunkSize && a.HighestLevel == b.HighestLevel
}

// AcceptPolicy decides for proposed terms; they hold from now on. A round that is approved keeps the cooling-off period it
// was approved with.
func AcceptPolicy(ctx context.Context, tx *pg.Tx, id int64) error {
	return proposal.Accept(ctx, tx, id, proposal.Policy, func(p proposal.Proposal) error {
		t, err := ReadTerms(p)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE municipality_policy SET cooling_off_seconds = $2, max_share_percent = $3, max_error_percent = $4, spot_check_size = $5,
			chunk_size = $6, highest_level = $7, password_words = $8 WHERE municipality_id = $1`,
			tx.Municipality(), t.CoolingOffSeconds, t.MaxSharePercent, t.MaxErrorPercent, t.SpotCheckSize, t.ChunkSize, t.HighestLevel, t.PasswordWords)
		return err
	})
}

// ReadTerms is what a proposal of the kind policy says.
func ReadTerms(p proposal.Proposal) (t Terms, err error) {
	return t, json.Unmarshal(p.Payload, &t)
}
