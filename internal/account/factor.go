package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Kinds of second factors, and how a session says which was shown.
const (
	Passkey  = "webauthn"
	Code     = "totp"
	Recovery = "recovery"
)

const (
	codeStep      = 30 // seconds that one code is shown
	recoveryCodes = 10
	freeProofs    = 3 // wrong factors before the delay begins
	longestName   = 60
)

// Factor is one second factor of an account.
type Factor struct {
	ID        uuid.UUID
	Kind      string
	Name      string
	CreatedAt time.Time
	UsedAt    *time.Time
}

// Factors are an account's second factors and how many recovery codes are left.
type Factors struct {
	List  []Factor
	Codes int
}

// Has reports whether one of the kind is there.
func (f Factors) Has(kind string) bool {
	return slices.ContainsFunc(f.List, func(one Factor) bool { return one.Kind == kind })
}

// FindFactors reads the factors of whoever holds the session.
func FindFactors(ctx context.Context, db *pg.DB, self Self) (f Factors, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		f, err = factors(ctx, tx, self.Caller.Account)
		return err
	})
	return f, err
}

func factors(ctx context.Context, tx *pg.Tx, account int64) (f Factors, err error) {
	rows, err := tx.Query(ctx, `SELECT id, kind, name, created_at, used_at FROM account_factor WHERE account_id = $1 ORDER BY created_at, id`, account)
	if err != nil {
		return f, err
	}
	if f.List, err = pgx.CollectRows(rows, pgx.RowToStructByName[Factor]); err != nil {
		return f, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM recovery_code WHERE account_id = $1`, account).Scan(&f.Codes)
	return f, err
}

// Lacks reports whether people with these roles must still set up a factor: those with great power need one, and those who
// work for all municipalities need a passkey, which no false page can ask for, unless the installation takes codes.
func (h *House) Lacks(roles []access.Role, f Factors) bool {
	if !Required(roles) {
		return false
	}
	if !h.Codes && (slices.Contains(roles, access.Support) || slices.Contains(roles, access.Operator)) {
		return !f.Has(Passkey)
	}
	return len(f.List) == 0
}

// Proof is what somebody shows to prove who they are. Empty parts were not shown.
type Proof struct {
	Password  string
	Code      string // of the authenticator
	Recovery  string
	Ceremony  string // of the passkey's question,
	Assertion []byte // and its answer
}

// Confirm proves anew who holds the session, and gives the session's new token; it is fresh for five minutes. A half-open
// session needs the second factor; a whole one the password, from an approved network, and the second factor where there
// is one. A session that a demo's click has opened needs no more than another. problem.Invalid tells which part was wrong
// (password: wrong_password; code: wrong_code; recovery_code: wrong_recovery_code; passkey: wrong_passkey);
// problem.Conflict "no_password" sends people without one to their provider.
func (h *House) Confirm(ctx context.Context, db *pg.DB, token string, proof Proof, visit Visit) (Opened, error) {
	self, err := WhoseSession(ctx, db, token)
	if err != nil {
		return Opened{}, err
	}
	switch {
	case self.Pending == PendingEnrol:
		return Opened{}, problem.Conflict{Code: "factor_first"}
	case self.Demo:
		return h.confirmed(ctx, db, &self, "")
	case self.Pending == "" && !self.Password:
		return Opened{}, problem.Conflict{Code: "no_password"}
	case self.Pending == "":
		if err := h.passwordAgain(ctx, db, self, proof.Password, "password", visit); err != nil {
			return Opened{}, err
		}
	}
	var f Factors
	if f, err = FindFactors(ctx, db, self); err != nil {
		return Opened{}, err
	}
	if len(f.List) == 0 {
		if self.Pending == PendingFactor { // taken away in between
			return Opened{}, problem.Unauthenticated{}
		}
		return h.confirmed(ctx, db, &self, "")
	}
	factor, err := h.showFactor(ctx, db, self, proof)
	if err != nil {
		return Opened{}, err
	}
	return h.confirmed(ctx, db, &self, factor)
}

// passwordAgain asks for the password within a session: from an approved network, slowed like any sign-in.
func (h *House) passwordAgain(ctx context.Context, db *pg.DB, self Self, password, field string, visit Visit) error {
	keys := keysOf(self.Login, visit.Address)
	var found doorAccount
	err := db.SignIn(ctx, func(tx *pg.Tx) (err error) {
		if err := take(ctx, tx, keys); err != nil {
			return err
		}
		found, err = findAtDoor(ctx, tx, `id = $1`, self.Caller.Account, visit)
		return err
	})
	if err != nil {
		return err
	}
	right, err := compare(ctx, password, found.hash)
	if err != nil {
		return err
	}
	if why := found.refused(right); why != "" {
		if err := refuseAtDoor(ctx, db, found, why); err != nil {
			return err
		}
		switch why {
		case refusedNetwork: // who is signed in may know
			return problem.Forbidden{Code: "strange_network"}
		case refusedLevel:
			return problem.Forbidden{Code: "highest_level"}
		}
		return problem.InvalidField(field, "wrong_password", nil)
	}
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		forgive(tx, keys)
		return nil
	})
}

// showFactor looks at the second factor that was shown, and tells its kind.
func (h *House) showFactor(ctx context.Context, db *pg.DB, self Self, proof Proof) (kind string, err error) {
	key := tryKey("", "factor", strconv.FormatInt(self.Caller.Account, 10))
	wrong := false
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if err := takeOne(ctx, tx, key, freeProofs); err != nil {
			return err
		}
		switch {
		case len(proof.Assertion) > 0:
			kind, err = Passkey, h.assert(ctx, tx, self, proof)
		case proof.Recovery != "":
			kind, err = Recovery, h.recover(ctx, tx, self.Caller.Account, proof.Recovery)
		default:
			kind, err = Code, h.checkCode(ctx, tx, self.Caller.Account, proof.Code)
		}
		if errors.As(err, new(problem.Invalid)) { // the try is counted, and the ceremony used up
			wrong = true
			return nil
		}
		if err == nil {
			tx.Later(`DELETE FROM sign_in_failure WHERE key_hash = $1`, key)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if wrong {
		if err := self.refused(ctx, db, "factor_failed", map[string]any{"factor": kind}); err != nil {
			return "", err
		}
		return "", problem.InvalidField(factorField(kind), "wrong_"+factorField(kind), nil)
	}
	return kind, nil
}

func factorField(kind string) string {
	switch kind {
	case Passkey:
		return "passkey"
	case Recovery:
		return "recovery_code"
	}
	return "code"
}

var errFactor = problem.InvalidField("code", "wrong_code", nil)

// confirmed ends Confirm: the session gets its new token. A half-open one whose role demands another factor than the one
// shown stays half open.
func (h *House) confirmed(ctx context.Context, db *pg.DB, self *Self, factor string) (opened Opened, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		act := "identity_confirmed"
		if self.Pending == PendingFactor {
			act = "signed_in"
			f, err := factors(ctx, tx, self.Caller.Account)
			if err != nil {
				return err
			}
			if h.Lacks(self.Roles, f) && factor != Recovery {
				token, hash := newToken("")
				n, err := tx.Exec(ctx, `UPDATE session SET token_hash = $2, pending = 'enrol', factor = $3 WHERE token_hash = $1`, self.Caller.Session, hash, factor)
				if err == nil && n == 0 {
					err = problem.Unauthenticated{}
				}
				opened = Opened{Token: token, Pending: PendingEnrol, Previous: self.Previous}
				return err
			}
		}
		token, err := self.whole(ctx, tx, factor, "")
		if err != nil {
			return err
		}
		opened = Opened{Token: token, Previous: self.Previous}
		self.record(tx, act, map[string]any{"factor": factor})
		return nil
	})
	return opened, err
}

// enrolled ends the setting up of a factor: a session that waited for it is whole afterwards, under a new token.
func (h *House) enrolled(ctx context.Context, tx *pg.Tx, self *Self, kind string) (token string, err error) {
	self.record(tx, "factor_added", map[string]any{"factor": kind})
	if self.Pending != PendingEnrol {
		return "", nil
	}
	f, err := factors(ctx, tx, self.Caller.Account)
	if err != nil || h.Lacks(self.Roles, f) {
		return "", err
	}
	token, err = self.whole(ctx, tx, kind, "")
	if err == nil {
		self.record(tx, "signed_in", map[string]any{"factor": kind})
	}
	return token, err
}

// mayEnrol lets a factor be set up by whom the role leads to it, and by whoever has just proved who they are. The password
// alone, which somebody may have read over a shoulder, adds no factor to an account that has one.
func mayEnrol(ctx context.Context, tx *pg.Tx, self Self) error {
	if self.Pending == PendingEnrol || self.Pending == "" && self.Caller.Fresh(tx.Now()) {
		return nil
	}
	if self.Pending == PendingFactor {
		return problem.Unauthenticated{}
	}
	return problem.StepUp{}
}

// --- one-time codes (RFC 6238) ---

// NewCode is what an authenticator has to be told.
type NewCode struct {
	Ceremony string
	Secret   string // base32, in groups of four
	URL      string // otpauth, for the picture
}

// BeginCode makes a secret for an authenticator. It counts when EndCode has seen a code of it. Errors: problem.StepUp,
// problem.Conflict code_exists.
func (h *House) BeginCode(ctx context.Context, db *pg.DB, self Self) (n NewCode, err error) {
	raw := make([]byte, 20)
	rand.Read(raw) //nolint:errcheck // never fails: the program ends instead
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if err := mayEnrol(ctx, tx, self); err != nil {
			return err
		}
		f, err := factors(ctx, tx, self.Caller.Account)
		if err != nil {
			return err
		}
		if f.Has(Code) {
			return problem.Conflict{Code: "code_exists"}
		}
		n.Ceremony, err = h.begin(tx, "new_code", self.Caller.Session, raw)
		return err
	})
	if err != nil {
		return NewCode{}, err
	}
	return h.describe(n.Ceremony, self, raw), nil
}

func (h *House) describe(ceremony string, self Self, raw []byte) NewCode {
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	var grouped []string
	for group := range slices.Chunk([]byte(secret), 4) {
		grouped = append(grouped, string(group))
	}
	q := url.Values{"secret": {secret}, "issuer": {"Frist"}, "period": {strconv.Itoa(codeStep)}, "digits": {"6"}, "algorithm": {"SHA1"}}
	return NewCode{Ceremony: ceremony, Secret: strings.Join(grouped, " "), URL: "otpauth://totp/Frist:" + url.PathEscape(self.Login) + "?" + q.Encode()}
}

// EndCode keeps the authenticator when code is one of its codes. After a wrong one the same secret can be tried again: the
// error comes with it. token is new when this made a half-open session whole, else empty.
func (h *House) EndCode(ctx context.Context, db *pg.DB, self Self, ceremony, code string) (token string, again NewCode, err error) {
	wrong := false
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if err := mayEnrol(ctx, tx, self); err != nil {
			return err
		}
		var raw []byte
		if err := h.end(ctx, tx, "new_code", ceremony, self.Caller.Session, &raw); err != nil {
			return err
		}
		step, ok := h.matching(raw, code, 0)
		if !ok {
			wrong = true
			fresh, err := h.begin(tx, "new_code", self.Caller.Session, raw)
			again = h.describe(fresh, self, raw)
			return err
		}
		id := uuid.New()
		n, err := tx.Exec(ctx, `INSERT INTO account_factor (id, account_id, kind, name, secret, last_step, created_at, used_at) VALUES ($1, $2, 'totp', '', $3, $4, $5, $5)
			ON CONFLICT (account_id) WHERE kind = 'totp' DO NOTHING`, id, self.Caller.Account, h.seal("codes", id.String(), raw), step, tx.Now())
		if err != nil {
			return err
		}
		if n == 0 {
			return problem.Conflict{Code: "code_exists"}
		}
		token, err = h.enrolled(ctx, tx, &self, Code)
		return err
	})
	if err == nil && wrong {
		err = problem.InvalidField("code", "wrong_code", nil)
	}
	return token, again, err
}

// matching gives the half-minute whose code this is: the present one, the one before or the one after, and later than last.
func (h *House) matching(raw []byte, code string, last int64) (step int64, ok bool) {
	code = strings.Join(strings.Fields(code), "")
	if len(code) != 6 {
		return 0, false
	}
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	now := h.wall().Unix() / codeStep
	for _, at := range []int64{now - 1, now, now + 1} { // all three, always: how long it takes tells nothing
		want, err := hotp.GenerateCodeCustom(secret, uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && at > last {
			step, ok = at, true
		}
	}
	return step, ok
}

// checkCode takes a code once: the half-minute it belongs to must be later than that of the last one taken.
func (h *House) checkCode(ctx context.Context, tx *pg.Tx, account int64, code string) error {
	var id uuid.UUID
	var sealed []byte
	var last int64
	err := tx.QueryRow(ctx, `SELECT id, secret, last_step FROM account_factor WHERE account_id = $1 AND kind = 'totp' FOR UPDATE`, account).Scan(&id, &sealed, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return errFactor
	}
	if err != nil {
		return err
	}
	raw, err := h.unseal("codes", id.String(), sealed)
	if err != nil {
		return err
	}
	step, ok := h.matching(raw, code, last)
	if !ok {
		return errFactor
	}
	_, err = tx.Exec(ctx, `UPDATE account_factor SET last_step = $2, used_at = $3 WHERE id = $1`, id, step, tx.Now())
	return err
}

// --- passkeys (WebAuthn) ---

// keyring is an account as the library asks for it.
type keyring struct {
	handle      []byte
	login, name string
	credentials []webauthn.Credential
}

func (k keyring) WebAuthnID() []byte                         { return k.handle }
func (k keyring) WebAuthnName() string                       { return k.login }
func (k keyring) WebAuthnDisplayName() string                { return k.name }
func (k keyring) WebAuthnCredentials() []webauthn.Credential { return k.credentials }

// Passkeys reports whether this installation can have them: browsers bind them to its address.
func (h *House) Passkeys() bool {
	u, err := url.Parse(h.URL)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Hostname() == "localhost")
}

func (h *House) webauthn() (*webauthn.WebAuthn, error) {
	if !h.Passkeys() {
		return nil, problem.Conflict{Code: "no_passkeys"}
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil, err
	}
	return webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Frist", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AuthenticatorSelection: protocol.AuthenticatorSelection{UserVerification: protocol.VerificationPreferred, ResidentKey: protocol.ResidentKeyRequirementDiscouraged},
	})
}

func (h *House) keyring(ctx context.Context, tx *pg.Tx, self Self) (keyring, error) {
	var account [8]byte
	binary.BigEndian.PutUint64(account[:], uint64(self.Caller.Account))
	k := keyring{handle: h.mac("user handle", string(account[:]))[:16], login: self.Login, name: self.Caller.Name}
	rows, err := tx.Query(ctx, `SELECT secret FROM account_factor WHERE account_id = $1 AND kind = 'webauthn' ORDER BY created_at, id`, self.Caller.Account)
	if err != nil {
		return k, err
	}
	stored, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	for _, raw := range stored {
		var c webauthn.Credential
		if err := json.Unmarshal(raw, &c); err != nil {
			return k, errSealed
		}
		k.credentials = append(k.credentials, c)
	}
	return k, err
}

// Question is what the browser asks a passkey: options for navigator.credentials, and the ceremony's token for the answer.
type Question struct {
	Ceremony string `json:"ceremony"`
	Options  any    `json:"options"`
}

// BeginNewPasskey asks for a new passkey, BeginPasskey for one that is known.
func (h *House) BeginNewPasskey(ctx context.Context, db *pg.DB, self Self) (q Question, err error) {
	w, err := h.webauthn()
	if err != nil {
		return q, err
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if err := mayEnrol(ctx, tx, self); err != nil {
			return err
		}
		k, err := h.keyring(ctx, tx, self)
		if err != nil {
			return err
		}
		options, session, err := w.BeginRegistration(k, webauthn.WithExclusions(webauthn.Credentials(k.credentials).CredentialDescriptors()))
		if err != nil {
			return err
		}
		q.Options = options.Response
		q.Ceremony, err = h.begin(tx, "new_passkey", self.Caller.Session, session)
		return err
	})
	return q, err
}

// BeginPasskey asks for one of the account's passkeys. Errors: problem.Conflict no_passkeys when it has none.
func (h *House) BeginPasskey(ctx context.Context, db *pg.DB, self Self) (q Question, err error) {
	w, err := h.webauthn()
	if err != nil {
		return q, err
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		k, err := h.keyring(ctx, tx, self)
		if err != nil {
			return err
		}
		if len(k.credentials) == 0 {
			return problem.Conflict{Code: "no_passkeys"}
		}
		options, session, err := w.BeginLogin(k)
		if err != nil {
			return err
		}
		q.Options = options.Response
		q.Ceremony, err = h.begin(tx, "passkey", self.Caller.Session, session)
		return err
	})
	return q, err
}

// EndNewPasskey keeps the passkey that answered. token is new when this made a half-open session whole, else empty.
func (h *House) EndNewPasskey(ctx context.Context, db *pg.DB, self Self, ceremony, name string, answer []byte) (token string, err error) {
	w, err := h.webauthn()
	if err != nil {
		return "", err
	}
	name = strings.TrimSpace(name)
	if len(name) > longestName {
		return "", problem.InvalidField("name", "too_long", problem.Params{"max": longestName})
	}
	wrong := problem.InvalidField("passkey", "wrong_passkey", nil)
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return "", wrong
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if err := mayEnrol(ctx, tx, self); err != nil {
			return err
		}
		var session webauthn.SessionData
		if err := h.end(ctx, tx, "new_passkey", ceremony, self.Caller.Session, &session); err != nil {
			return err
		}
		k, err := h.keyring(ctx, tx, self)
		if err != nil {
			return err
		}
		credential, err := w.CreateCredential(k, session, parsed)
		if err != nil {
			return wrong
		}
		// What the key said when it was made is of no use later, and names its maker.
		credential.Attestation = webauthn.CredentialAttestation{}
		raw, err := json.Marshal(credential)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO account_factor (account_id, kind, name, credential_id, secret, created_at, used_at) VALUES ($1, 'webauthn', $2, $3, $4, $5, $5)
			ON CONFLICT (credential_id) DO NOTHING`, self.Caller.Account, name, credential.ID, raw, tx.Now())
		if err != nil {
			return err
		}
		if n == 0 {
			return wrong
		}
		token, err = h.enrolled(ctx, tx, &self, Passkey)
		return err
	})
	return token, err
}

// assert looks at a passkey's answer. A counter that runs backwards means that the key was copied: it is refused.
func (h *House) assert(ctx context.Context, tx *pg.Tx, self Self, proof Proof) error {
	wrong := problem.InvalidField("passkey", "wrong_passkey", nil)
	w, err := h.webauthn()
	if err != nil {
		return err
	}
	var session webauthn.SessionData
	if err := h.end(ctx, tx, "passkey", proof.Ceremony, self.Caller.Session, &session); err != nil {
		if errors.As(err, new(problem.NotFound)) {
			return wrong
		}
		return err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(proof.Assertion)
	if err != nil {
		return wrong
	}
	k, err := h.keyring(ctx, tx, self)
	if err != nil {
		return err
	}
	credential, err := w.ValidateLogin(k, session, parsed)
	if err != nil || credential.Authenticator.CloneWarning {
		return wrong
	}
	raw, err := json.Marshal(credential)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE account_factor SET secret = $3, used_at = $4 WHERE credential_id = $1 AND account_id = $2`, credential.ID, self.Caller.Account, raw, tx.Now())
	return err
}

// --- recovery codes ---

// hashRecovery needs no slow hash: a code holds 80 random bits.
func hashRecovery(account int64, code string) []byte {
	var plain strings.Builder
	for _, r := range strings.ToLower(code) {
		if r >= 'a' && r <= 'z' || r >= '2' && r <= '7' {
			plain.WriteRune(r)
		}
	}
	sum := sha256.Sum256([]byte("recovery\x00" + strconv.FormatInt(account, 10) + "\x00" + plain.String()))
	return sum[:]
}

func (h *House) recover(ctx context.Context, tx *pg.Tx, account int64, code string) error {
	n, err := tx.Exec(ctx, `DELETE FROM recovery_code WHERE account_id = $1 AND code_hash = $2`, account, hashRecovery(account, code))
	if err == nil && n == 0 {
		err = problem.InvalidField("recovery_code", "wrong_recovery_code", nil)
	}
	return err
}

// NewRecoveryCodes replaces the recovery codes by ten new ones and gives a token with which ShowRecoveryCodes shows them,
// once. Errors: problem.StepUp; problem.Conflict factor_first for accounts without a factor.
func (h *House) NewRecoveryCodes(ctx context.Context, db *pg.DB, self Self) (ceremony string, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if self.Pending != "" || !self.Caller.Fresh(tx.Now()) {
			return problem.StepUp{}
		}
		f, err := factors(ctx, tx, self.Caller.Account)
		if err != nil {
			return err
		}
		if len(f.List) == 0 {
			return problem.Conflict{Code: "factor_first"}
		}
		codes := make([]string, recoveryCodes)
		tx.Later(`DELETE FROM recovery_code WHERE account_id = $1`, self.Caller.Account)
		for i := range codes {
			var raw [10]byte
			rand.Read(raw[:]) //nolint:errcheck // never fails: the program ends instead
			c := strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
			codes[i] = c[:4] + "-" + c[4:8] + "-" + c[8:12] + "-" + c[12:]
			tx.Later(`INSERT INTO recovery_code (account_id, code_hash) VALUES ($1, $2)`, self.Caller.Account, hashRecovery(self.Caller.Account, codes[i]))
		}
		self.record(tx, "recovery_codes_made", map[string]any{"count": recoveryCodes})
		ceremony, err = h.begin(tx, "codes", self.binding(), codes)
		return err
	})
	return ceremony, err
}

// binding outlives a new token of the session: it is the account's.
func (s Self) binding() []byte {
	sum := sha256.Sum256([]byte("account\x00" + strconv.FormatInt(s.Caller.Account, 10)))
	return sum[:]
}

// ShowRecoveryCodes gives the codes that were just made, once; problem.NotFound afterwards.
func (h *House) ShowRecoveryCodes(ctx context.Context, db *pg.DB, self Self, ceremony string) (codes []string, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error { return h.end(ctx, tx, "codes", ceremony, self.binding(), &codes) })
	return codes, err
}

// RemoveFactor takes one of the caller's factors away. Errors: problem.StepUp; problem.NotFound; problem.Conflict
// last_factor when the caller's role needs it. With the last factor go the recovery codes.
func (h *House) RemoveFactor(ctx context.Context, db *pg.DB, self Self, id uuid.UUID) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		if self.Pending != "" || !self.Caller.Fresh(tx.Now()) {
			return problem.StepUp{}
		}
		// Two windows that each take one of two away wait for each other here.
		if _, err := tx.Exec(ctx, `SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE`, self.Caller.Account); err != nil {
			return err
		}
		f, err := factors(ctx, tx, self.Caller.Account)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(f.List, func(one Factor) bool { return one.ID == id })
		if at < 0 {
			return problem.NotFound{What: "factor"}
		}
		kind := f.List[at].Kind
		f.List = slices.Delete(f.List, at, at+1)
		if h.Lacks(self.Roles, f) {
			return problem.Conflict{Code: "last_factor"}
		}
		tx.Later(`DELETE FROM account_factor WHERE id = $1 AND account_id = $2`, id, self.Caller.Account)
		if len(f.List) == 0 {
			tx.Later(`DELETE FROM recovery_code WHERE account_id = $1`, self.Caller.Account)
		}
		self.record(tx, "factor_removed", map[string]any{"factor": kind})
		return nil
	})
}

// dropFactors takes all of them away, for a link that an administrator has handed out.
func dropFactors(tx *pg.Tx, account int64) {
	tx.Later(`DELETE FROM account_factor WHERE account_id = $1`, account)
	tx.Later(`DELETE FROM recovery_code WHERE account_id = $1`, account)
}
