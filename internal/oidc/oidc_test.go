package oidc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// liar is a provider that says what a test wants it to: only so can tokens be forged that no certified one would make.
type liar struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey
	answer func(w http.ResponseWriter, r *http.Request) // of the token endpoint
	meta   map[string]any
	pushed int
}

var noon = time.Date(2031, 5, 5, 12, 0, 0, 0, time.UTC)

func newLiar(t *testing.T) *liar {
	l := &liar{t: t}
	var err error
	if l.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	l.server = httptest.NewServer(mux)
	t.Cleanup(l.server.Close)
	u := l.server.URL
	l.meta = map[string]any{
		"issuer": u, "authorization_endpoint": u + "/auth", "token_endpoint": u + "/token", "jwks_uri": u + "/jwks",
		"pushed_authorization_request_endpoint": u + "/par", "id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"},
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { l.write(w, 200, l.meta) })
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		l.write(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &l.key.PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("/par", func(w http.ResponseWriter, r *http.Request) {
		l.pushed++
		for _, name := range []string{"client_assertion", "client_assertion_type", "code_challenge", "nonce", "state", "redirect_uri", "acr_values"} {
			if r.FormValue(name) == "" {
				t.Errorf("the pushed request lacks %s", name)
			}
		}
		if r.FormValue("code_challenge_method") != "S256" || r.FormValue("scope") != "openid" || r.FormValue("response_type") != "code" {
			t.Error(r.Form)
		}
		l.write(w, 201, map[string]any{"request_uri": "urn:x", "expires_in": 60})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { l.answer(w, r) })
	return l
}

func (l *liar) write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func keyFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (l *liar) provider() *Provider {
	l.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	p, err := New(Config{Name: "test", Issuer: l.server.URL, ClientID: "frist", KeyFile: keyFile(l.t, key), Redirect: "https://frist.example.no/login/retur", Wall: func() time.Time { return noon }})
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestWhatATokenMustPass(t *testing.T) {
	l := newLiar(t)
	p := l.provider()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, asked, err := p.Begin(t.Context(), "state", "", false)
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]any{
		"iss": l.server.URL, "aud": "frist", "sub": "s", "pid": "13897012345", "acr": High, "nonce": asked.Nonce,
		"iat": noon.Unix(), "exp": noon.Unix() + 120, "auth_time": noon.Unix() - 60,
	}
	with := func(changes map[string]any) map[string]any {
		all := maps.Clone(good)
		for name, value := range changes {
			if value == nil {
				delete(all, name)
			} else {
				all[name] = value
			}
		}
		return all
	}
	finish := func(token string, request Request) (Person, error) {
		l.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("code_verifier") != request.Verifier || r.FormValue("client_assertion") == "" || r.Header.Get("Authorization") != "" {
				t.Error("the code came without its verifier or the assertion")
			}
			l.write(w, 200, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": token})
		}
		return p.Finish(t.Context(), request, "code", "")
	}
	person, err := finish(sign(t, jose.RS256, l.key, "k", good), asked)
	if err != nil || person.Subject != "13897012345" || person.Level != High || person.Age != time.Minute {
		t.Fatalf("%+v %v", person, err)
	}
	high, anew := asked, asked
	high.Level, anew.Anew = High, true
	unsigned := func(header string) string {
		raw, _ := json.Marshal(good)
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(raw) + "."
	}
	public, err := x509.MarshalPKIXPublicKey(&l.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(changes map[string]any) string { return sign(t, jose.RS256, l.key, "k", with(changes)) }
	whole := signed(nil)
	for name, c := range map[string]struct {
		token   string
		request Request
	}{
		"none":                        {unsigned(`{"alg":"none"}`), asked},
		"None":                        {unsigned(`{"alg":"None","kid":"k"}`), asked},
		"another key":                 {sign(t, jose.RS256, other, "k", good), asked},
		"a key by its own name":       {sign(t, jose.RS256, other, "other", good), asked},
		"the public key as a secret":  {sign(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), "k", good), asked},
		"changed afterwards":          {strings.Replace(whole, ".", ".eyJ4IjoxfQ", 1), asked},
		"cut":                         {whole[:len(whole)-10], asked},
		"nothing":                     {"", asked},
		"three dots":                  {"...", asked},
		"another issuer":              {signed(map[string]any{"iss": "https://idporten.no"}), asked},
		"another audience":            {signed(map[string]any{"aud": "somebody"}), asked},
		"two audiences and no party":  {signed(map[string]any{"aud": []string{"frist", "somebody"}}), asked},
		"another party":               {signed(map[string]any{"azp": "somebody"}), asked},
		"run out":                     {signed(map[string]any{"exp": noon.Unix() - 1}), asked},
		"no expiry":                   {signed(map[string]any{"exp": nil}), asked},
		"issued tomorrow":             {signed(map[string]any{"iat": noon.Unix() + 86400, "exp": noon.Unix() + 90000}), asked},
		"issued long ago":             {signed(map[string]any{"iat": noon.Unix() - 3600}), asked},
		"not valid yet":               {signed(map[string]any{"nbf": noon.Unix() + 3600}), asked},
		"another nonce":               {signed(map[string]any{"nonce": "x"}), asked},
		"no nonce":                    {signed(map[string]any{"nonce": nil}), asked},
		"no level":                    {signed(map[string]any{"acr": nil}), asked},
		"a level that nobody knows":   {signed(map[string]any{"acr": "Level4"}), asked},
		"low":                         {signed(map[string]any{"acr": "idporten-loa-low"}), asked},
		"substantial where high is":   {signed(map[string]any{"acr": Substantial}), high},
		"no person":                   {signed(map[string]any{"pid": nil}), asked},
		"a number as person":          {signed(map[string]any{"pid": 13897012345}), asked},
		"not asked anew":              {signed(map[string]any{"auth_time": noon.Unix() - 3600}), anew},
		"not told when asked":         {signed(map[string]any{"auth_time": nil}), anew},
		"an empty nonce on both ends": {signed(map[string]any{"nonce": ""}), Request{Verifier: asked.Verifier, Level: Substantial}},
	} {
		if _, err := finish(c.token, c.request); !errors.As(err, new(ErrRefused)) || strings.Contains(err.Error(), "13897012345") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := finish(signed(map[string]any{"aud": []string{"frist", "x"}, "azp": "frist"}), asked); err != nil {
		t.Errorf("two audiences, and we are the party: %v", err)
	}
	if person, err := finish(signed(map[string]any{"auth_time": nil}), asked); err != nil || person.Age >= 0 {
		t.Errorf("no auth_time: %+v %v", person, err)
	}
	if _, err := p.Finish(t.Context(), asked, "code", "https://evil.example"); !errors.As(err, new(ErrRefused)) {
		t.Errorf("an answer in another's name: %v", err)
	}
}

func TestAProviderThatMisbehaves(t *testing.T) {
	l := newLiar(t)
	p := l.provider()
	_, asked, err := p.Begin(t.Context(), "state", "", false)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(" "), 5<<20)) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"bad grant": func(w http.ResponseWriter, _ *http.Request) {
			l.write(w, 400, map[string]any{"error": "invalid_grant"})
		},
		"no token": func(w http.ResponseWriter, _ *http.Request) {
			l.write(w, 200, map[string]any{"access_token": "a", "token_type": "Bearer"})
		},
		"two tokens": func(w http.ResponseWriter, _ *http.Request) {
			l.write(w, 200, map[string]any{"access_token": "a", "id_token": []string{"a", "b"}})
		},
	} {
		l.answer = answer
		if _, err := p.Finish(t.Context(), asked, "code", ""); !errors.As(err, new(ErrAway)) && !errors.As(err, new(ErrRefused)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l.server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := p.Begin(ctx, "state", "", false); !errors.As(err, new(ErrAway)) {
		t.Errorf("gone: %v", err)
	}
	for name, change := range map[string]func(m map[string]any){
		"another issuer":      func(m map[string]any) { m["issuer"] = "https://evil.example" },
		"no pushed requests":  func(m map[string]any) { delete(m, "pushed_authorization_request_endpoint") },
		"tokens without TLS":  func(m map[string]any) { m["token_endpoint"] = "http://idp.example/token" },
		"a page as a program": func(m map[string]any) { m["authorization_endpoint"] = "javascript:alert(1)" },
	} {
		l := newLiar(t)
		change(l.meta)
		if _, _, err := l.provider().Begin(t.Context(), "state", "", false); !errors.As(err, new(ErrAway)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSettings(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, odd, empty := keyFile(t, rsaKey), keyFile(t, curve), filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("secret words"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(lines ...string) []string {
		return append([]string{"PATH=/bin", "FRIST_OIDC_A_ISSUER=", "HOME=/"}, lines...)
	}
	all, err := Environment(env(
		"FRIST_OIDC_IDPORTEN_ISSUER=https://idporten.no", "FRIST_OIDC_IDPORTEN_CLIENT_ID=x", "FRIST_OIDC_IDPORTEN_KEY_FILE="+good, "FRIST_OIDC_IDPORTEN_LABEL=ID-porten", "FRIST_OIDC_IDPORTEN_LEVEL="+High,
		"FRIST_OIDC_HELSE_ID_ISSUER=https://helseid.no", "FRIST_OIDC_HELSE_ID_CLIENT_ID=y", "FRIST_OIDC_HELSE_ID_KEY_FILE="+good, "FRIST_OIDC_HELSE_ID_CLAIM=helseid://claims/identity/pid",
	), "https://frist.example.no/", "/login/retur")
	if err != nil || len(all) != 2 || all[0].Name != "helse-id" || all[1].Label != "ID-porten" || all[1].Redirect != "https://frist.example.no/login/retur" || all[1].Level != High {
		t.Fatalf("%+v %v", all, err)
	}
	for says, lines := range map[string][]string{
		"FRIST_OIDC_X_SECRET is not understood": {"FRIST_OIDC_X_SECRET=hush"},
		"provider x: the issuer":                {"FRIST_OIDC_X_CLIENT_ID=x"},
		"must be an https address":              {"FRIST_OIDC_X_ISSUER=http://idp.example", "FRIST_OIDC_X_CLIENT_ID=x", "FRIST_OIDC_X_KEY_FILE=" + good},
		"client id is missing":                  {"FRIST_OIDC_X_ISSUER=https://idp.example", "FRIST_OIDC_X_KEY_FILE=" + good},
		"key file is missing":                   {"FRIST_OIDC_X_ISSUER=https://idp.example", "FRIST_OIDC_X_CLIENT_ID=x"},
		"cannot be read":                        {"FRIST_OIDC_X_ISSUER=https://idp.example", "FRIST_OIDC_X_CLIENT_ID=x", "FRIST_OIDC_X_KEY_FILE=/nowhere"},
		"holds no PEM":                          {"FRIST_OIDC_X_ISSUER=https://idp.example", "FRIST_OIDC_X_CLIENT_ID=x", "FRIST_OIDC_X_KEY_FILE=" + empty},
		"RSA or P-256":                          {"FRIST_OIDC_X_ISSUER=https://idp.example", "FRIST_OIDC_X_CLIENT_ID=x", "FRIST_OIDC_X_KEY_FILE=" + odd},
		"the level must be":                     {"FRIST_OIDC_X_ISSUER=https://idp.example", "FRIST_OIDC_X_CLIENT_ID=x", "FRIST_OIDC_X_KEY_FILE=" + good, "FRIST_OIDC_X_LEVEL=Level4"},
	} {
		if _, err := Environment(env(lines...), "https://frist.example.no", "/login/retur"); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "secret words") {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := Environment(env("FRIST_OIDC_X_ISSUER=https://idp.example", "FRIST_OIDC_X_CLIENT_ID=x", "FRIST_OIDC_X_KEY_FILE="+good), "", "/login/retur"); err == nil || !strings.Contains(err.Error(), "FRIST_URL") {
		t.Errorf("without FRIST_URL: %v", err)
	}
}
