// Package oidc speaks OpenID Connect with a provider of identities, in the shape of ID-porten: the request is pushed (PAR,
// RFC 9126), the client proves itself by a signed assertion (RFC 7523), the code is bound by PKCE (RFC 7636), and the answer
// is an id_token whose every claim that matters is looked at. It knows nothing of accounts.
package oidc

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

// Levels of ID-porten: how surely the provider knows the person.
const (
	Substantial = "idporten-loa-substantial"
	High        = "idporten-loa-high"
)

const (
	patience    = 10 * time.Second
	largest     = 1 << 20 // of an answer, in bytes
	clockApart  = time.Minute
	oldestToken = 10 * time.Minute
	assertion   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// What a provider may sign with; whatever it says of itself, "none" is not among them.
var algorithms = []string{string(jose.RS256), string(jose.PS256), string(jose.ES256)}

// Config says how a provider is reached and who we are there.
type Config struct {
	Name     string // in addresses, as "idporten"
	Label    string // on buttons, as "ID-porten"
	Issuer   string
	ClientID string
	KeyFile  string // PEM: PKCS 8, RSA of 2048 bits or more, or P-256
	KeyID    string // under which the provider knows the key; empty: its RFC 7638 thumbprint
	Level    string // asked for unless more is needed; empty: Substantial
	Claim    string // that names the person; empty: pid
	Redirect string // where the provider sends people back
	Wall     func() time.Time
}

// Provider is one of them. Make it with New.
type Provider struct {
	Config
	signer jose.Signer
	client *http.Client

	mu    sync.Mutex
	found *discovered
}

type discovered struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	par      string
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// New reads the key and looks at the rest. The provider itself is asked when somebody signs in: that it is away keeps
// nobody else out.
func New(c Config) (*Provider, error) {
	wrong := func(format string, args ...any) error { return fmt.Errorf("provider "+c.Name+": "+format, args...) }
	if !plainName.MatchString(c.Name) {
		return nil, wrong("the name must be letters, digits and hyphens")
	}
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || !private(u) {
		return nil, wrong("the issuer must be an https address")
	}
	if c.ClientID == "" {
		return nil, wrong("the client id is missing")
	}
	if c.Redirect == "" {
		return nil, wrong("FRIST_URL must say where people are sent back")
	}
	if c.Level == "" {
		c.Level = Substantial
	}
	if c.Level != Substantial && c.Level != High {
		return nil, wrong("the level must be %s or %s", Substantial, High)
	}
	if c.Claim == "" {
		c.Claim = "pid"
	}
	if c.Label == "" {
		c.Label = c.Name
	}
	if c.Wall == nil {
		c.Wall = time.Now //nolint:forbidigo // the provider's clock is the real one, whatever the demo's shows
	}
	p := &Provider{Config: c, client: &http.Client{
		Timeout: patience, Transport: capped{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if p.signer, err = readKey(c.KeyFile, c.KeyID); err != nil {
		return nil, wrong("%w", err)
	}
	return p, nil
}

// private reports whether nobody on the way can read along: TLS, or this machine.
func private(u *url.URL) bool {
	ip, _ := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback())
}

// Environment reads the providers from variables as FRIST_OIDC_IDPORTEN_ISSUER, _CLIENT_ID, _KEY_FILE and, where they
// differ from the ordinary, _LABEL, _KEY_ID, _LEVEL, _CLAIM. site is FRIST_URL; back is the path people are sent back to.
// The order is that of the names.
func Environment(environ []string, site, back string) ([]*Provider, error) {
	given := map[string]*Config{}
	for _, line := range environ {
		variable, value, _ := strings.Cut(line, "=")
		rest, ok := strings.CutPrefix(variable, "FRIST_OIDC_")
		if !ok || value == "" {
			continue
		}
		for suffix, field := range map[string]func(*Config) *string{
			"_ISSUER": func(c *Config) *string { return &c.Issuer }, "_CLIENT_ID": func(c *Config) *string { return &c.ClientID },
			"_KEY_FILE": func(c *Config) *string { return &c.KeyFile }, "_LABEL": func(c *Config) *string { return &c.Label },
			"_KEY_ID": func(c *Config) *string { return &c.KeyID }, "_LEVEL": func(c *Config) *string { return &c.Level },
			"_CLAIM": func(c *Config) *string { return &c.Claim },
		} {
			if name, ok := strings.CutSuffix(rest, suffix); ok && name != "" {
				name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
				if given[name] == nil {
					given[name] = &Config{Name: name}
				}
				*field(given[name]) = value
				ok = true
				rest = ""
				break
			}
		}
		if rest != "" {
			return nil, fmt.Errorf("%s is not understood: a provider has _ISSUER, _CLIENT_ID, _KEY_FILE, _LABEL, _KEY_ID, _LEVEL and _CLAIM", variable)
		}
	}
	var names []string
	for name := range given {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []*Provider
	for _, name := range names {
		if site != "" {
			given[name].Redirect = strings.TrimSuffix(site, "/") + back
		}
		p, err := New(*given[name])
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func readKey(file, id string) (jose.Signer, error) {
	if file == "" {
		return nil, errors.New("the key file is missing")
	}
	raw, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, fmt.Errorf("the key file cannot be read: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("the key file holds no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the key file holds no key in PKCS 8")
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	jwk := jose.JSONWebKey{Key: private, KeyID: id}
	if id == "" {
		thumb, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, errors.New("the key is of a kind that is not known")
		}
		jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	}
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256} {
		if signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jwk}, nil); err == nil {
			if signed, err := signer.Sign([]byte("{}")); err == nil && signed != nil {
				return signer, nil
			}
		}
	}
	return nil, errors.New("the key must be RSA or P-256")
}

// capped refuses answers that are larger than any honest one.
type capped struct{ next http.RoundTripper }

func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.next.RoundTrip(r)
	if err == nil {
		answer.Body = &cappedBody{ReadCloser: answer.Body, left: largest}
	}
	return answer, err
}

type cappedBody struct {
	io.ReadCloser
	left int
}

var errTooLarge = errors.New("oidc: the provider's answer is too large")

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= n
	return n, err
}

// ErrAway says that the provider does not answer, or not as it should.
type ErrAway struct{ Why string }

// ErrRefused says that what the provider answered is not to be believed, and why, in a few words without a value.
type ErrRefused struct{ Why string }

func (e ErrAway) Error() string    { return "oidc: the provider is away: " + e.Why }
func (e ErrRefused) Error() string { return "oidc: refused: " + e.Why }

func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	// The keys are fetched later too: their context must not end with this request.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
	if err != nil {
		return nil, ErrAway{"discovery"}
	}
	var more struct {
		PAR string `json:"pushed_authorization_request_endpoint"`
	}
	if err := provider.Claims(&more); err != nil || more.PAR == "" {
		return nil, ErrAway{"it takes no pushed requests"}
	}
	for _, endpoint := range []string{more.PAR, provider.Endpoint().AuthURL, provider.Endpoint().TokenURL} {
		u, err := url.Parse(endpoint)
		if err != nil || !private(u) {
			return nil, ErrAway{"it names an endpoint without TLS"}
		}
	}
	p.found = &discovered{provider: provider, par: more.PAR, verifier: provider.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), p.client),
		&oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: algorithms, Now: p.Wall})}
	return p.found, nil
}

func (p *Provider) config(d *discovered) *oauth2.Config {
	endpoint := d.provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	return &oauth2.Config{ClientID: p.ClientID, Endpoint: endpoint, RedirectURL: p.Redirect, Scopes: []string{oidc.ScopeOpenID}}
}

// assertion is who we are, signed, for two minutes and one use.
func (p *Provider) assertion() (string, error) {
	now := p.Wall().Unix()
	claims, err := json.Marshal(map[string]any{"iss": p.ClientID, "sub": p.ClientID, "aud": p.Issuer, "jti": rand.Text(), "iat": now, "exp": now + 120})
	if err != nil {
		return "", err
	}
	signed, err := p.signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// Request is one way to the provider and back. Keep it where only the browser that is sent can use it.
type Request struct {
	Nonce, Verifier string
	Level           string // at least this
	Anew            bool   // the person must prove anew who they are
	Asked           int64  // when, by the real clock
}

// Begin pushes a request and gives the address to send the browser to. state comes back with the answer.
func (p *Provider) Begin(ctx context.Context, state, level string, anew bool) (address string, request Request, err error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", Request{}, err
	}
	if level == "" {
		level = p.Level
	}
	request = Request{Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Level: level, Anew: anew, Asked: p.Wall().Unix()}
	options := []oauth2.AuthCodeOption{oidc.Nonce(request.Nonce), oauth2.S256ChallengeOption(request.Verifier), oauth2.SetAuthURLParam("acr_values", level)}
	if anew {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	made, err := url.Parse(p.config(d).AuthCodeURL(state, options...))
	if err != nil {
		return "", Request{}, err
	}
	form := made.Query()
	signed, err := p.assertion()
	if err != nil {
		return "", Request{}, err
	}
	form.Set("client_assertion_type", assertion)
	form.Set("client_assertion", signed)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.par, strings.NewReader(form.Encode()))
	if err != nil {
		return "", Request{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := p.client.Do(r)
	if err != nil {
		return "", Request{}, ErrAway{"the pushed request"}
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	var pushed struct {
		URI string `json:"request_uri"`
	}
	if answer.StatusCode != http.StatusCreated || json.NewDecoder(answer.Body).Decode(&pushed) != nil || pushed.URI == "" {
		return "", Request{}, ErrAway{fmt.Sprintf("the pushed request was answered with %d", answer.StatusCode)}
	}
	to, err := url.Parse(d.provider.Endpoint().AuthURL)
	if err != nil {
		return "", Request{}, err
	}
	q := to.Query()
	q.Set("client_id", p.ClientID)
	q.Set("request_uri", pushed.URI)
	to.RawQuery = q.Encode()
	return to.String(), request, nil
}

// Person is who the provider says has come.
type Person struct {
	Subject string        // the value of the claim: a national id. Hash it; never keep or log it.
	Level   string        // Substantial or High
	Age     time.Duration // since the person proved it; negative when the provider does not say
}

// Finish exchanges the code and looks at the id_token: signature, issuer, audience, authorized party, expiry, age, nonce,
// level, and that the person was asked anew where that was wanted. issuer is the parameter iss of the answer (RFC 9207).
func (p *Provider) Finish(ctx context.Context, request Request, code, issuer string) (Person, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	if issuer != "" && issuer != p.Issuer {
		return Person{}, ErrRefused{"the answer is another provider's"}
	}
	signed, err := p.assertion()
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.config(d).Exchange(ctx, code, oauth2.VerifierOption(request.Verifier),
		oauth2.SetAuthURLParam("client_assertion_type", assertion), oauth2.SetAuthURLParam("client_assertion", signed))
	if err != nil {
		if answered := (*oauth2.RetrieveError)(nil); errors.As(err, &answered) && answered.Response.StatusCode < 500 {
			return Person{}, ErrRefused{"the code was not taken"}
		}
		return Person{}, ErrAway{"the code could not be exchanged"}
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Person{}, ErrRefused{"there is no id_token"}
	}
	return p.look(ctx, d, request, raw)
}

// look is what an id_token must pass.
func (p *Provider) look(ctx context.Context, d *discovered, request Request, raw string) (Person, error) {
	token, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return Person{}, ErrRefused{"signature, issuer, audience or expiry"} // err would repeat claims
	}
	var claims struct {
		Party    string `json:"azp"`
		Level    string `json:"acr"`
		AuthTime *int64 `json:"auth_time"`
	}
	var all map[string]any
	if token.Claims(&claims) != nil || token.Claims(&all) != nil {
		return Person{}, ErrRefused{"the claims cannot be read"}
	}
	now := p.Wall()
	switch {
	case token.Nonce == "" || subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(request.Nonce)) != 1:
		return Person{}, ErrRefused{"nonce"}
	case token.IssuedAt.After(now.Add(clockApart)) || token.IssuedAt.Before(now.Add(-oldestToken)):
		return Person{}, ErrRefused{"the time of issue"}
	case claims.Party != "" && claims.Party != p.ClientID, claims.Party == "" && len(token.Audience) != 1:
		return Person{}, ErrRefused{"the authorized party"}
	case !Enough(claims.Level, Substantial), !Enough(claims.Level, request.Level):
		return Person{}, ErrRefused{"level"}
	}
	person := Person{Level: claims.Level, Age: -1}
	if claims.AuthTime != nil {
		person.Age = max(now.Sub(time.Unix(*claims.AuthTime, 0)), 0)
	}
	if request.Anew && (claims.AuthTime == nil || *claims.AuthTime < request.Asked-int64(clockApart/time.Second)) {
		return Person{}, ErrRefused{"the person was not asked anew"}
	}
	person.Subject, _ = all[p.Claim].(string)
	if person.Subject == "" || len(person.Subject) > 200 {
		return Person{}, ErrRefused{"it names no person"}
	}
	return person, nil
}

// Enough reports whether a level is at least the one that is wanted.
func Enough(level, wanted string) bool {
	order := []string{Substantial, High}
	return slices.Contains(order, level) && slices.Index(order, level) >= slices.Index(order, wanted)
}
