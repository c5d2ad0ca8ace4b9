package account

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // the list of common passwords
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

//go:embed common/passwords.txt.gz
var commonList []byte

// common are passwords that many people have (common/README.md), in lower case.
var common = sync.OnceValue(func() map[string]bool {
	reader, err := gzip.NewReader(bytes.NewReader(commonList))
	if err != nil {
		panic(err) // a fault in the program
	}
	list, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	words := map[string]bool{}
	for word := range strings.SplitSeq(strings.TrimSpace(string(list)), "\n") {
		words[word] = true
	}
	return words
})

const (
	shortestOwn  = 3 // an own word of fewer letters is no word
	enoughBeside = 8 // what must be left of a password when the words that everybody knows are taken out
)

// guessable answers problem.Invalid of "password" when the password is one that is tried first: common (a common password
// with little around it, or several of them), repeated (the same again and again), sequence (neighbours in the alphabet or on the keyboard) or
// own_word (made of own: login, name, municipality, and what the municipality has forbidden).
func guessable(password string, own ...string) error {
	lower := strings.ToLower(password)
	code := ""
	switch runes := []rune(lower); {
	case repeated(runes):
		code = "repeated"
	case mostlySequence(runes):
		code = "sequence"
	case isCommon(lower), isCommon(unleet(lower)):
		code = "common"
	case leftBeside(lower, own) < enoughBeside:
		code = "own_word"
	default:
		return nil
	}
	return problem.InvalidField("password", code, nil)
}

// repeated: fewer than five different characters, or one piece that makes up the whole.
func repeated(runes []rune) bool {
	different := map[rune]bool{}
	for _, r := range runes {
		different[r] = true
	}
	if len(different) < 5 {
		return true
	}
	for unit := 1; unit <= len(runes)/2; unit++ {
		same := true
		for i := unit; i < len(runes) && same; i++ {
			same = runes[i] == runes[i-unit]
		}
		if same {
			return true
		}
	}
	return false
}

// rows of the keyboard, Norwegian and others.
var rows = []string{"1234567890", "qwertyuiopå", "asdfghjkløæ", "zxcvbnm", "qwertzuiop", "azertyuiop", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p"}

// mostlySequence: at least four fifths of the steps lead to a neighbour.
func mostlySequence(runes []rune) bool {
	steps := 0
	for i := 1; i < len(runes); i++ {
		a, b := runes[i-1], runes[i]
		if a-b <= 1 && b-a <= 1 || neighbours(string([]rune{a, b})) || neighbours(string([]rune{b, a})) {
			steps++
		}
	}
	return steps*5 >= (len(runes)-1)*4
}

func neighbours(pair string) bool {
	for _, row := range rows {
		if strings.Contains(row, pair) {
			return true
		}
	}
	return false
}

// unleet reads what looks like a letter as one.
func unleet(s string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "@", "a", "$", "s", "!", "i", "|", "l", "€", "e").Replace(s)
}

// isCommon reports whether the password is a common one with little around it, or several common ones.
func isCommon(lower string) bool {
	if common()[lower] {
		return true
	}
	words := strings.FieldsFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) })
	core := strings.TrimFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) })
	if around := len(lower) - len(core); around < enoughBeside && (common()[core] || len(words) == 1 && pairOfCommon(core)) {
		return true
	}
	return pairOfCommon(lower)
}

// pairOfCommon: two common passwords and nothing else. Words of a passphrase are more, or have something between them.
func pairOfCommon(s string) bool {
	for i := 4; i <= len(s)-4; i++ {
		if common()[s[:i]] && common()[s[i:]] {
			return true
		}
	}
	return false
}

// leftBeside is how many characters are left when the own words, and what is neither letter nor digit, are taken out.
func leftBeside(lower string, own []string) int {
	for _, phrase := range own {
		for _, word := range append([]string{phrase}, strings.FieldsFunc(phrase, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...) {
			if word = strings.ToLower(strings.TrimSpace(word)); len([]rune(word)) >= shortestOwn {
				lower = strings.ReplaceAll(lower, word, " ")
			}
		}
	}
	left := 0
	for _, r := range lower {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			left++
		}
	}
	return left
}

// ownWords are what no password of the account may be made of.
func ownWords(ctx context.Context, tx *pg.Tx, account int64) (words []string, err error) {
	var login, name string
	var municipality *int
	if err := tx.QueryRow(ctx, `SELECT login, name, municipality_id FROM account WHERE id = $1`, account).Scan(&login, &name, &municipality); err != nil {
		return nil, err
	}
	words = []string{login, name, "frist"}
	if municipality == nil {
		return words, nil
	}
	rows, err := tx.Query(ctx, `SELECT name FROM municipality_name WHERE municipality_id = $1 UNION ALL
		SELECT unnest(password_words) FROM municipality_policy WHERE municipality_id = $1 ORDER BY 1`, *municipality)
	if err != nil {
		return nil, err
	}
	more, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return append(words, more...), err
}

// CheckNewPassword answers what is wrong with a new password of an account: CheckPassword, and its own words.
func CheckNewPassword(ctx context.Context, db *pg.DB, account int64, password string) error {
	if err := CheckPassword(password); err != nil {
		return err
	}
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		words, err := ownWords(ctx, tx, account)
		if err != nil {
			return err
		}
		return guessable(password, words...)
	})
}

// ChangePassword gives the person of a whole session a new password, in exchange for the old one, and ends all of their
// other sessions; how many is told. problem.Invalid of old_password (wrong_password) and password (CheckNewPassword).
func (h *House) ChangePassword(ctx context.Context, db *pg.DB, self Self, old, password string, visit Visit) (ended int, err error) {
	if self.Pending != "" {
		return 0, problem.Unauthenticated{}
	}
	if !self.Password {
		return 0, problem.Conflict{Code: "no_password"}
	}
	if err := CheckNewPassword(ctx, db, self.Caller.Account, password); err != nil {
		return 0, err
	}
	if err := h.passwordAgain(ctx, db, self, old, "old_password", visit); err != nil {
		return 0, err
	}
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return 0, err
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE account SET password_hash = $2 WHERE id = $1`, self.Caller.Account, hash); err != nil {
			return err
		}
		tx.Later(`DELETE FROM account_link WHERE account_id = $1`, self.Caller.Account)
		ended, err = endOthers(ctx, tx, self.Caller)
		self.record(tx, "password_changed", map[string]any{"sessions_ended": ended})
		return err
	})
	return ended, err
}
