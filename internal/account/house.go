package account

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/oidc"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// House is what the door needs beside the database. The zero House knows passwords only.
type House struct {
	Key       []byte           // the installation's key; everything here uses keys derived from it
	URL       string           // where people reach the site, as https://frist.example.no; empty: no passkeys, links or providers
	Codes     bool             // support and operator may have one-time codes as their only factor
	Providers []*oidc.Provider // of identities
	Mail      Mailer           // nil: an administrator hands links out
	Wall      func() time.Time // what clocks on walls show, for codes and tokens from outside; nil is the real time
}

// Mailer sends somebody a link later; it never blocks. purpose is that of the link.
type Mailer interface {
	Link(to, language, purpose, address string)
}

// Visit is how somebody comes to the door: the address that the edge found (as an IP, else it counts as unknown), and
// browser and system in two words.
type Visit struct{ Address, Device string }

func (v Visit) ip() *netip.Addr {
	ip, err := netip.ParseAddr(v.Address)
	if err != nil {
		return nil // is in no network
	}
	ip = ip.Unmap().WithZone("")
	return &ip
}

func (h *House) wall() time.Time {
	if h.Wall != nil {
		return h.Wall()
	}
	return time.Now() //nolint:forbidigo // phones and providers know nothing of the demo's clock
}

// derive gives the key for one purpose, so that what is found out about one opens nothing else.
func (h *House) derive(purpose string) []byte {
	if len(h.Key) < 32 {
		panic("account: a House without a key was asked to keep a secret")
	}
	key, err := hkdf.Key(sha256.New, h.Key, nil, "frist sign-in "+purpose, 32)
	if err != nil {
		panic(err) // of a length that cannot be
	}
	return key
}

// mac is a keyed hash for one purpose.
func (h *House) mac(purpose string, parts ...string) []byte {
	m := hmac.New(sha256.New, h.derive(purpose))
	m.Write([]byte(strings.Join(parts, "\x00")))
	return m.Sum(nil)
}

func (h *House) aead(purpose string) cipher.AEAD {
	block, err := aes.NewCipher(h.derive(purpose))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic(err) // the key has the right length
}

// seal encrypts a secret; bound ties it to the row it lies in, so that it cannot be moved to another.
func (h *House) seal(purpose, bound string, plain []byte) []byte {
	aead := h.aead(purpose)
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce) //nolint:errcheck // never fails: the program ends instead
	return aead.Seal(nonce, nonce, plain, []byte(bound))
}

var errSealed = errors.New("account: a sealed secret cannot be opened: another key, or a damaged row")

func (h *House) unseal(purpose, bound string, sealed []byte) ([]byte, error) {
	aead := h.aead(purpose)
	if len(sealed) < aead.NonceSize() {
		return nil, errSealed
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(bound))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// ceremonyFor is how long something that was begun may take.
const ceremonyFor = 10 * time.Minute

// begin keeps value for the request that ends what was begun, and gives the token by which it is found. Only who shows the
// same binding (the session's hash, or a cookie's) gets it back, once.
func (h *House) begin(tx *pg.Tx, kind string, binding []byte, value any) (token string, err error) {
	token, _ = newToken("")
	return token, h.keep(tx, token, kind, binding, value)
}

// keep is begin under a token that exists already.
func (h *House) keep(tx *pg.Tx, token, kind string, binding []byte, value any) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return err
	}
	tx.Later(`DELETE FROM ceremony WHERE expires_at <= $1`, tx.Now())
	tx.Later(`INSERT INTO ceremony (token_hash, kind, binding, sealed, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		hashToken(token), kind, binding, h.seal("ceremony", kind, plain), tx.Now().Add(ceremonyFor))
	return nil
}

// end takes back what begin kept. It is gone afterwards, even when what follows fails: the caller commits. Unknown, used,
// run out and somebody else's all answer problem.NotFound.
func (h *House) end(ctx context.Context, tx *pg.Tx, kind, token string, binding []byte, value any) error {
	var sealed []byte
	err := tx.QueryRow(ctx, `DELETE FROM ceremony WHERE token_hash = $1 AND kind = $2 AND binding = $3 AND expires_at > $4 RETURNING sealed`,
		hashToken(token), kind, binding, tx.Now()).Scan(&sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.NotFound{What: "ceremony"}
	}
	if err != nil {
		return err
	}
	plain, err := h.unseal("ceremony", kind, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, value)
}

// CheckURL answers what is wrong with the address under which people reach the site: it is an origin, without a path, and
// TLS is spoken there unless it is this machine.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("it must be of the form https://frist.example.no")
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && !ip.IsLoopback() {
		return errors.New("it must begin with https:// unless it is this machine")
	}
	return nil
}
