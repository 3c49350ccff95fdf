package localissuer

import (
	"context"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/service"
)

// Person is somebody who can sign in.
type Person struct {
	Name    string // short: what 'gatestay login --as' takes
	Title   string // display name
	Subject string
	Email   string
	Groups  []string // of the token's groups claim
}

// Options says how to run an issuer. Dir is needed; the rest has defaults.
type Options struct {
	Dir     string           // folder of its keys (mode 0700)
	Listen  string           // loopback host:port; default 127.0.0.1:0
	Clients []string         // client ids of people's applications; default gatestay-cli
	People  []Person         // default Dana and Kim of acme.example
	Clock   func() time.Time // default time.Now
	// Interval is the least time between two polls of a device; default 5s.
	Interval time.Duration
}

// Issuer is a running issuer. Safe for concurrent use.
type Issuer struct {
	o        Options
	listener net.Listener
	url      string
	key      *rsa.PrivateKey
	signer   jose.Signer
	secret   string

	mu      sync.Mutex
	codes   map[string]*grant  // authorization codes
	devices map[string]*device // by device code
}

// New loads or makes the keys and opens the listener, so that URL is known.
func New(o Options) (*Issuer, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("localissuer: no folder for the keys")
	}
	if addr, err := netip.ParseAddrPort(o.Listen); err != nil || !addr.Addr().IsLoopback() {
		return nil, fmt.Errorf("localissuer: %q: listens on loopback addresses only, e.g. 127.0.0.1:0", o.Listen)
	}
	key, err := loadKey(filepath.Join(o.Dir, "issuer.pem"))
	if err != nil {
		return nil, err
	}
	secret, err := loadSecret(filepath.Join(o.Dir, SecretFile))
	if err != nil {
		return nil, err
	}
	i := &Issuer{o: o, key: key, secret: secret, codes: map[string]*grant{}, devices: map[string]*device{}}
	i.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: keyID(key)}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("localissuer: signer: %w", err)
	}
	if i.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("localissuer: %w", err)
	}
	i.url = "http://" + i.listener.Addr().String()
	return i, nil
}

func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if len(o.Clients) == 0 {
		o.Clients = []string{"gatestay-cli"}
	}
	if len(o.People) == 0 {
		o.People = []Person{
			{Name: "dana", Title: "Dana", Subject: "local-dana", Email: "dana@acme.example"},
			{Name: "kim", Title: "Kim", Subject: "local-kim", Email: "kim@acme.example"},
		}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	return o
}

// URL is the issuer's URL, as in the iss claim: http://127.0.0.1:port.
func (i *Issuer) URL() string { return i.url }

// IssuerFor is the iss claim of a preset's job tokens: the URL itself for
// GitHub's, and a path below it for the others, since an issuer has one preset.
func (i *Issuer) IssuerFor(preset string) string {
	if preset == "" || preset == GitHub {
		return i.url
	}
	return i.url + "/" + preset
}

// JobIssuers is the section of a gateway's configuration that accepts the job
// tokens made here, of all presets.
func (i *Issuer) JobIssuers() []config.Issuer {
	var out []config.Issuer
	for _, preset := range []string{GitHub, GitLab, Generic} {
		out = append(out, config.Issuer{
			Name: "local-" + preset, Preset: preset, Issuer: i.IssuerFor(preset), Audience: DefaultAudience, Loopback: true,
		})
	}
	return out
}

// Secret is the mint secret, as in the file.
func (i *Issuer) Secret() string { return i.secret }

// Serve answers until ctx ends.
func (i *Issuer) Serve(ctx context.Context) error {
	if err := service.ServeHTTP(ctx, i.listener, i.Handler()); err != nil {
		return fmt.Errorf("localissuer: %w", err)
	}
	return nil
}

// Close frees the address of an issuer that was never served.
func (i *Issuer) Close() error {
	if err := i.listener.Close(); err != nil {
		return fmt.Errorf("localissuer: %w", err)
	}
	return nil
}

// Handler returns all endpoints behind the Host and Origin guard.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /{preset}/.well-known/openid-configuration", i.jobDiscovery)
	mux.HandleFunc("GET /keys", i.keys)
	mux.Handle("POST /mint", i.requireSecret(i.mintHTTP))
	mux.Handle("POST /job", i.requireSecret(i.job))
	mux.Handle("POST /signin", i.requireSecret(i.signIn))
	mux.HandleFunc("GET /actions/token", i.actionsToken)
	mux.HandleFunc("GET /authorize", i.authorizePage)
	mux.HandleFunc("POST /authorize", i.authorizeChoice)
	mux.HandleFunc("POST /token", i.token)
	mux.HandleFunc("POST /device_authorization", i.deviceAuthorization)
	mux.HandleFunc("GET /device", i.devicePage)
	mux.HandleFunc("POST /device", i.deviceChoice)
	return i.guard(mux)
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": i.url, "jwks_uri": i.url + "/keys",
		"authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
		"device_authorization_endpoint":         i.url + "/device_authorization",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"code_challenge_methods_supported":      []string{"S256"},
		"grant_types_supported":                 []string{"authorization_code", deviceGrant},
		"token_endpoint_auth_methods_supported": []string{"none"},
		"scopes_supported":                      []string{"openid", "email", "profile"},
	})
}

// jobDiscovery is the document of a preset that has an issuer of its own. It
// signs nobody in.
func (i *Issuer) jobDiscovery(w http.ResponseWriter, r *http.Request) {
	preset := r.PathValue("preset")
	if preset != GitLab && preset != Generic {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": i.IssuerFor(preset), "jwks_uri": i.url + "/keys",
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: i.key.Public(), KeyID: keyID(i.key), Algorithm: "RS256", Use: "sig"},
	}})
}

func (i *Issuer) person(name string) (Person, bool) {
	for _, p := range i.o.People {
		if p.Name == name {
			return p, true
		}
	}
	return Person{}, false
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
