package account_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/fxamacker/cbor/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
)

var here = account.Visit{Address: "192.0.2.1", Device: "Firefox, Linux"}

// door is a house with a clock on the wall that the test turns.
type door struct {
	*account.House
	*pgtest.Env
	t    *testing.T
	wall time.Time
}

func newDoor(t *testing.T) *door {
	d := &door{Env: world(t), t: t, wall: time.Date(2031, 5, 5, 12, 0, 0, 0, time.UTC)}
	d.House = &account.House{Key: []byte("0123456789abcdef0123456789abcdef"), URL: "https://frist.example.no", Wall: func() time.Time { return d.wall }}
	return d
}

func (d *door) enter(login string) account.Opened {
	d.t.Helper()
	o, err := account.SignIn(d.t.Context(), d.DB, login, password, here)
	if err != nil {
		d.t.Fatal(err)
	}
	return o
}

func (d *door) self(token string) account.Self {
	d.t.Helper()
	self, err := account.WhoseSession(d.t.Context(), d.DB, token)
	if err != nil {
		d.t.Fatal(err)
	}
	return self
}

// code sets an authenticator up, and gives its secret and the session's token.
func (d *door) code(token string) (secret, after string) {
	d.t.Helper()
	n, err := d.BeginCode(d.t.Context(), d.DB, d.self(token))
	if err != nil {
		d.t.Fatal(err)
	}
	secret = strings.ReplaceAll(n.Secret, " ", "")
	after, _, err = d.EndCode(d.t.Context(), d.DB, d.self(token), n.Ceremony, d.now(secret))
	if err != nil {
		d.t.Fatal(err)
	}
	if after == "" {
		after = token
	}
	return secret, after
}

func (d *door) now(secret string) string {
	d.t.Helper()
	code, err := totp.GenerateCode(secret, d.wall)
	if err != nil {
		d.t.Fatal(err)
	}
	return code
}

func wrongField(err error, field string) bool {
	var invalid problem.Invalid
	return errors.As(err, &invalid) && invalid.Fields[0].Name == field
}

func (d *door) confirm(token string, p account.Proof) (account.Opened, error) {
	d.t.Helper()
	return d.Confirm(d.t.Context(), d.DB, token, p, here)
}

func TestThoseWithPowerMustHaveASecondFactor(t *testing.T) {
	d := newDoor(t)
	for _, c := range []struct {
		login        string
		municipality int
		role         access.Role
		pending      string
		codeIsEnough bool
	}{
		{"kari", 1, access.Caseworker, "", true},
		{"per", 1, access.Approver, "", true},
		{"vera", 1, access.PrivacyOfficer, "", true},
		{"adm", 1, access.Administrator, account.PendingEnrol, true},
		{"ida", 0, access.Support, account.PendingEnrol, false},
		{"odd", 0, access.Operator, account.PendingEnrol, false},
		{"petra", 0, access.PlatformAdministrator, account.PendingEnrol, true},
	} {
		add(t, d.Env, c.municipality, c.login, c.role)
		o := d.enter(c.login)
		if o.Pending != c.pending || alive(t, d.Env, o.Token) != (c.pending == "") {
			t.Errorf("%s: %q", c.login, o.Pending)
		}
		if c.pending == "" {
			continue
		}
		// A half-open session is nobody, has no roles and proves nothing.
		if self := d.self(o.Token); self.Caller.Can(access.RoundRead) || self.Caller.Database() != "" || self.Pending != c.pending {
			t.Errorf("%s may already: %+v", c.login, self.Caller.Roles)
		}
		if _, err := d.confirm(o.Token, account.Proof{Password: password}); err == nil {
			t.Errorf("%s confirms with a password what waits for a factor", c.login)
		}
		_, token := d.code(o.Token)
		if alive(t, d.Env, token) != c.codeIsEnough {
			t.Errorf("%s: a one-time code opens: %t", c.login, !c.codeIsEnough)
		}
		if c.codeIsEnough && token == o.Token {
			t.Errorf("%s: the token is the old one", c.login)
		}
	}
	d.Codes = true // an installation that takes codes from support and operator
	add(t, d.Env, 0, "ina", access.Support)
	if _, token := d.code(d.enter("ina").Token); !alive(t, d.Env, token) {
		t.Error("codes are allowed and do not open")
	}
	// A half-open session has a quarter of an hour.
	o := d.enter("odd")
	d.SetNow(d.Now().Add(15*time.Minute + time.Second))
	if _, err := account.WhoseSession(t.Context(), d.DB, o.Token); !errors.As(err, new(problem.Unauthenticated)) {
		t.Errorf("half open after a quarter of an hour: %v", err)
	}
}

func TestACodeIsTakenOnce(t *testing.T) {
	d := newDoor(t)
	add(t, d.Env, 1, "kari", access.Caseworker)
	secret, _ := d.code(d.enter("kari").Token)
	if d.Count(t, `SELECT count(*) FROM account_factor WHERE position($1::bytea in secret) > 0 OR position('`+secret+`'::bytea in secret) > 0`, []byte(secret)) != 0 {
		t.Error("the secret lies open in the database")
	}
	try := func(code string) error {
		t.Helper()
		o := d.enter("kari")
		if o.Pending != account.PendingFactor {
			t.Fatalf("pending %q", o.Pending)
		}
		got, err := d.confirm(o.Token, account.Proof{Code: code})
		if err == nil && (!alive(t, d.Env, got.Token) || alive(t, d.Env, o.Token)) {
			t.Error("the new token does not open, or the old one does")
		}
		return err
	}
	if err := try(d.now(secret)); !wrongField(err, "code") {
		t.Errorf("the code of the setting up was taken again: %v", err)
	}
	d.wall = d.wall.Add(30 * time.Second)
	if err := try(d.now(secret)); err != nil {
		t.Errorf("the next code: %v", err)
	}
	if err := try(d.now(secret)); !wrongField(err, "code") {
		t.Errorf("replayed: %v", err)
	}
	at := d.wall
	for _, c := range []struct {
		apart time.Duration
		ok    bool
	}{{-60 * time.Second, false}, {60 * time.Second, false}, {30 * time.Second, true}} {
		d.wall = at.Add(c.apart)
		code := d.now(secret)
		d.wall = at
		d.SetNow(d.Now().Add(time.Hour)) // past any delay
		if err := try(code); (err == nil) != c.ok {
			t.Errorf("a code of %s: %v", c.apart, err)
		}
	}
	for _, code := range []string{"", "123", "abcdef", "1234567", strings.Repeat("1", 5000), "१२३४५६"} {
		d.SetNow(d.Now().Add(time.Hour))
		if err := try(code); !wrongField(err, "code") {
			t.Errorf("%.10q: %v", code, err)
		}
	}
	// Guessing is slowed: three wrong ones, then one waits.
	d.SetNow(d.Now().Add(25 * time.Hour))
	o := d.enter("kari")
	for i := range 4 {
		_, err := d.confirm(o.Token, account.Proof{Code: "000000"})
		if slow := errors.As(err, new(problem.TooMany)); slow != (i == 3) {
			t.Errorf("guess %d: %v", i, err)
		}
	}
	// Two windows with one code: one gets in.
	d.SetNow(d.Now().Add(25 * time.Hour))
	d.wall = d.wall.Add(time.Hour)
	tokens := []string{d.enter("kari").Token, d.enter("kari").Token}
	code := d.now(secret)
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for _, token := range tokens {
		wg.Go(func() {
			if _, err := d.House.Confirm(t.Context(), d.DB, token, account.Proof{Code: code}, here); err == nil {
				mu.Lock()
				in++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if in != 1 {
		t.Errorf("%d got in with one code", in)
	}
}

func TestASecretOfAnotherKeyOrRowOpensNothing(t *testing.T) {
	d := newDoor(t)
	add(t, d.Env, 1, "kari", access.Caseworker)
	add(t, d.Env, 1, "eva", access.Caseworker)
	secret, _ := d.code(d.enter("kari").Token)
	d.code(d.enter("eva").Token)
	// Whoever can write rows cannot give eva's account kari's authenticator.
	d.Exec(t, `UPDATE account_factor SET secret = (SELECT secret FROM account_factor f JOIN account a ON a.id = f.account_id WHERE a.login = 'kari')
		WHERE account_id = (SELECT id FROM account WHERE login = 'eva')`)
	d.wall = d.wall.Add(time.Minute)
	if _, err := d.confirm(d.enter("eva").Token, account.Proof{Code: d.now(secret)}); err == nil || problem.Public(err) {
		t.Errorf("a moved secret: %v", err)
	}
	d.Key = []byte("ffffffffffffffffffffffffffffffff")
	if _, err := d.confirm(d.enter("kari").Token, account.Proof{Code: d.now(secret)}); err == nil || problem.Public(err) {
		t.Errorf("another key: %v", err)
	}
}

func TestRecoveryCodesWorkOnceAndAreShownOnce(t *testing.T) {
	d := newDoor(t)
	add(t, d.Env, 1, "kari", access.Caseworker)
	o := d.enter("kari")
	if _, err := d.NewRecoveryCodes(t.Context(), d.DB, d.self(o.Token)); err == nil {
		t.Error("recovery codes without a factor")
	}
	_, token := d.code(o.Token)
	ceremony, err := d.NewRecoveryCodes(t.Context(), d.DB, d.self(token))
	if err != nil {
		t.Fatal(err)
	}
	codes, err := d.ShowRecoveryCodes(t.Context(), d.DB, d.self(token), ceremony)
	if err != nil || len(codes) != 10 {
		t.Fatalf("%v %v", codes, err)
	}
	if _, err := d.ShowRecoveryCodes(t.Context(), d.DB, d.self(token), ceremony); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("shown twice: %v", err)
	}
	got, err := d.confirm(d.enter("kari").Token, account.Proof{Recovery: strings.ToUpper(strings.ReplaceAll(codes[3], "-", " "))})
	if err != nil || !alive(t, d.Env, got.Token) {
		t.Errorf("a recovery code as somebody types it: %v", err)
	}
	if _, err := d.confirm(d.enter("kari").Token, account.Proof{Recovery: codes[3]}); !wrongField(err, "recovery_code") {
		t.Errorf("used twice: %v", err)
	}
	again, err := d.NewRecoveryCodes(t.Context(), d.DB, d.self(got.Token))
	if err != nil || again == "" {
		t.Fatal(err)
	}
	if _, err := d.confirm(d.enter("kari").Token, account.Proof{Recovery: codes[4]}); !wrongField(err, "recovery_code") {
		t.Errorf("an old one after new ones were made: %v", err)
	}
	if n := d.Count(t, `SELECT count(*) FROM recovery_code`); n != 10 {
		t.Errorf("%d codes", n)
	}
}

func TestAFactorIsTakenAwayWithAProofAndTheLastOneNotAtAll(t *testing.T) {
	d := newDoor(t)
	add(t, d.Env, 1, "adm", access.Administrator)
	add(t, d.Env, 1, "kari", access.Caseworker)
	_, token := d.code(d.enter("adm").Token)
	f, err := account.FindFactors(t.Context(), d.DB, d.self(token))
	if err != nil || len(f.List) != 1 {
		t.Fatal(err)
	}
	remove := func(token string, id uuid.UUID) error {
		return d.RemoveFactor(t.Context(), d.DB, d.self(token), id)
	}
	var conflict problem.Conflict
	if err := remove(token, f.List[0].ID); !errors.As(err, &conflict) || conflict.Code != "last_factor" {
		t.Errorf("the last one that the role needs: %v", err)
	}
	_, hers := d.code(d.enter("kari").Token)
	if err := remove(hers, f.List[0].ID); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("somebody else's: %v", err)
	}
	own, err := account.FindFactors(t.Context(), d.DB, d.self(hers))
	if err != nil {
		t.Fatal(err)
	}
	d.SetNow(d.Now().Add(6 * time.Minute))
	if err := remove(hers, own.List[0].ID); !errors.As(err, new(problem.StepUp)) {
		t.Errorf("without a fresh proof: %v", err)
	}
	if _, err := d.BeginCode(t.Context(), d.DB, d.self(hers)); !errors.As(err, new(problem.StepUp)) {
		t.Errorf("a new factor without a fresh proof: %v", err)
	}
	half := d.enter("kari") // has a factor, and has not shown it
	if _, err := d.BeginCode(t.Context(), d.DB, d.self(half.Token)); !errors.As(err, new(problem.Unauthenticated)) {
		t.Errorf("who knows the password only sets up a factor beside the owner's: %v", err)
	}
	if err := remove(half.Token, own.List[0].ID); err == nil {
		t.Error("who knows the password only takes the factor away")
	}
}

func TestStepUpGivesANewTokenAndFiveMinutes(t *testing.T) {
	d := newDoor(t)
	id := add(t, d.Env, 1, "kari", access.Caseworker)
	token := d.enter("kari").Token
	fresh := func(token string) bool {
		c, _, err := account.Resolve(t.Context(), d.DB, token)
		return err == nil && c.Fresh(d.Now())
	}
	begin := d.Now()
	if !fresh(token) {
		t.Error("a password alone does not count for who needs no more")
	}
	d.SetNow(begin.Add(5 * time.Minute))
	if fresh(token) {
		t.Error("fresh after five minutes")
	}
	d.Exec(t, `INSERT INTO stored_search (municipality_id, account_id, session_hash, terms, created_at) SELECT 1, $1, token_hash, '{}', now() FROM session`, id)
	for _, p := range []account.Proof{{}, {Password: "wrong"}, {Code: "123456"}} {
		if _, err := d.confirm(token, p); !wrongField(err, "password") {
			t.Errorf("%+v: %v", p.Password, err)
		}
	}
	d.SetNow(begin.Add(10 * time.Minute))
	if _, err := d.Confirm(t.Context(), d.DB, token, account.Proof{Password: password}, account.Visit{Address: "198.51.100.1"}); !errors.As(err, new(problem.Forbidden)) {
		t.Errorf("from a strange network: %v", err)
	}
	o, err := d.confirm(token, account.Proof{Password: password})
	if err != nil || !fresh(o.Token) || alive(t, d.Env, token) {
		t.Errorf("%v", err)
	}
	if n := d.Count(t, `SELECT count(*) FROM stored_search JOIN session ON token_hash = session_hash`); n != 1 {
		t.Error("the search was lost with the old token")
	}
	if _, err := d.confirm(token, account.Proof{Password: password}); !errors.As(err, new(problem.Unauthenticated)) {
		t.Errorf("the old token: %v", err)
	}
	// With a factor, both are asked for.
	secret, token := d.code(o.Token)
	d.wall = d.wall.Add(time.Minute)
	if _, err := d.confirm(token, account.Proof{Password: password}); !wrongField(err, "code") {
		t.Errorf("the password alone: %v", err)
	}
	if _, err := d.confirm(token, account.Proof{Code: d.now(secret)}); !wrongField(err, "password") {
		t.Errorf("the code alone: %v", err)
	}
	if o, err = d.confirm(token, account.Proof{Password: password, Code: d.now(secret)}); err != nil || !fresh(o.Token) {
		t.Errorf("both: %v", err)
	}
	// The demo's clock takes the freshness along, and a persona confirms with a click.
	if err := account.Travel(t.Context(), d.DB, 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	d.SetNow(d.Now().AddDate(0, 0, 90))
	if !fresh(o.Token) {
		t.Error("a turned clock takes the proof away")
	}
	demo, err := account.SignInDemo(t.Context(), d.DB, "kari")
	if err != nil || !fresh(demo) {
		t.Errorf("a persona: %v", err)
	}
	d.SetNow(d.Now().Add(10 * time.Minute))
	if o, err = d.confirm(demo, account.Proof{}); err != nil || !fresh(o.Token) {
		t.Errorf("one click: %v", err)
	}
	d.Exec(t, `ALTER TABLE installation DISABLE TRIGGER stamped_once`)
	d.Exec(t, `UPDATE installation SET demo = false`)
	if _, err = d.confirm(o.Token, account.Proof{}); err == nil {
		t.Error("one click outside a demo")
	}
}

// softKey is an authenticator in software, with a counter that a test can turn back.
type softKey struct {
	t       *testing.T
	id      []byte
	key     *ecdsa.PrivateKey
	counter uint32
	origin  string
}

func newSoftKey(t *testing.T, origin string) *softKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return &softKey{t: t, id: id, key: key, origin: origin}
}

var b64 = base64.RawURLEncoding.EncodeToString

func (k *softKey) clientData(kind string, challenge []byte) []byte {
	raw, err := json.Marshal(map[string]any{"type": kind, "challenge": b64(challenge), "origin": k.origin, "crossOrigin": false})
	if err != nil {
		k.t.Fatal(err)
	}
	return raw
}

func (k *softKey) authData(host string, flags byte, more []byte) []byte {
	k.counter++
	hash := sha256.Sum256([]byte(host))
	out := append(hash[:], flags)
	out = binary.BigEndian.AppendUint32(out, k.counter)
	return append(out, more...)
}

func (k *softKey) create(q account.Question) []byte {
	k.t.Helper()
	options := q.Options.(protocol.PublicKeyCredentialCreationOptions)
	public, err := k.key.PublicKey.ECDH()
	if err != nil {
		k.t.Fatal(err)
	}
	point := public.Bytes()
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:65]})
	if err != nil {
		k.t.Fatal(err)
	}
	data := slices.Concat(make([]byte, 16), binary.BigEndian.AppendUint16(nil, uint16(len(k.id))), k.id, cose)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": k.authData(options.RelyingParty.ID, 0x45, data)})
	if err != nil {
		k.t.Fatal(err)
	}
	return k.answer(map[string]any{"clientDataJSON": b64(k.clientData("webauthn.create", options.Challenge)), "attestationObject": b64(object)})
}

func (k *softKey) get(q account.Question) []byte {
	k.t.Helper()
	options := q.Options.(protocol.PublicKeyCredentialRequestOptions)
	client, data := k.clientData("webauthn.get", options.Challenge), k.authData(options.RelyingPartyID, 0x05, nil)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(bytes.Clone(data), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.key, digest[:])
	if err != nil {
		k.t.Fatal(err)
	}
	return k.answer(map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature)})
}

func (k *softKey) answer(response map[string]any) []byte {
	raw, err := json.Marshal(map[string]any{"id": b64(k.id), "rawId": b64(k.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	if err != nil {
		k.t.Fatal(err)
	}
	return raw
}

func TestPasskeys(t *testing.T) {
	d := newDoor(t)
	add(t, d.Env, 0, "odd", access.Operator)
	add(t, d.Env, 0, "ida", access.Support)
	enrol := func(login string, key *softKey) (string, error) {
		t.Helper()
		o := d.enter(login)
		q, err := d.BeginNewPasskey(t.Context(), d.DB, d.self(o.Token))
		if err != nil {
			t.Fatal(err)
		}
		return d.EndNewPasskey(t.Context(), d.DB, d.self(o.Token), q.Ceremony, "Nøkkel", key.create(q))
	}
	if _, err := enrol("odd", newSoftKey(t, "https://frist.example.com")); !wrongField(err, "passkey") {
		t.Errorf("made on a false page: %v", err)
	}
	key := newSoftKey(t, "https://frist.example.no")
	token, err := enrol("odd", key)
	if err != nil || !alive(t, d.Env, token) {
		t.Fatalf("%v", err)
	}
	if _, err := enrol("ida", key); !wrongField(err, "passkey") {
		t.Errorf("one key for two accounts: %v", err)
	}
	ask := func(token string) account.Question {
		t.Helper()
		q, err := d.BeginPasskey(t.Context(), d.DB, d.self(token))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	show := func(token string, q account.Question, answer []byte) error {
		d.SetNow(d.Now().Add(time.Second))
		d.Exec(t, `DELETE FROM sign_in_failure`)
		_, err := d.confirm(token, account.Proof{Ceremony: q.Ceremony, Assertion: answer})
		return err
	}
	half := d.enter("odd").Token
	q := ask(half)
	if err := show(half, q, key.get(q)); err != nil {
		t.Errorf("the passkey: %v", err)
	}
	half = d.enter("odd").Token
	q = ask(half)
	answer := key.get(q)
	other := d.enter("odd").Token
	if err := show(other, q, answer); !wrongField(err, "passkey") {
		t.Errorf("an answer to another session's question: %v", err)
	}
	q = ask(half)
	if err := show(half, q, answer); !wrongField(err, "passkey") {
		t.Errorf("an old answer to a new question: %v", err)
	}
	if err := show(half, q, key.get(q)); !wrongField(err, "passkey") {
		t.Errorf("a question that was answered already: %v", err)
	}
	q = ask(half)
	for name, bad := range map[string][]byte{"nothing": []byte("{}"), "no JSON": []byte("x"), "a stranger's": newSoftKey(t, "https://frist.example.no").get(q)} {
		q = ask(half)
		if err := show(half, q, bad); !wrongField(err, "passkey") {
			t.Errorf("%s: %v", name, err)
		}
	}
	key.origin = "https://evil.example"
	q = ask(half)
	if err := show(half, q, key.get(q)); !wrongField(err, "passkey") {
		t.Errorf("from a false page: %v", err)
	}
	key.origin = "https://frist.example.no"
	key.counter = 0 // a copy of the key that was used less
	q = ask(half)
	if err := show(half, q, key.get(q)); !wrongField(err, "passkey") {
		t.Errorf("a copied key: %v", err)
	}
	key.counter = 100
	q = ask(half)
	if err := show(half, q, key.get(q)); err != nil {
		t.Errorf("the true one again: %v", err)
	}
	// An address that browsers give no passkeys for.
	d.URL = "http://127.0.0.1:8080"
	if d.Passkeys() {
		t.Error("passkeys on an address without a name")
	}
}
