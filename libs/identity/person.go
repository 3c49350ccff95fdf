package identity

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
)

const maxGroups = 1000

// Person is a human who signed in.
type Person struct {
	Subject string
	Email   string // empty unless the provider verified it
	Name    string // as the provider says it, for display only
	// Account is how the people map names this person: "oidc:" and the verified
	// e-mail address, or the subject where there is none.
	Account string
	// Groups are those that the token's groups claim names, at most 1,000.
	Groups []string
	Nonce  string // as sent with the sign-in request; who sent one must compare
	Expiry time.Time
}

// PersonVerifier verifies the ID tokens that people sign in with. Safe for
// concurrent use.
type PersonVerifier struct {
	issuer *issuer // nil where no provider is configured: nobody gets in
}

// NewPersonVerifier returns a verifier for the sign-in section of the
// configuration. Relative paths start at dir. Without a provider it refuses
// everybody; a provider that is down is no error here.
func NewPersonVerifier(cfg config.SignIn, dir string, clock func() time.Time) (*PersonVerifier, error) {
	if cfg.Issuer == "" {
		return &PersonVerifier{}, nil
	}
	i, err := newIssuer(issuerOptions{url: cfg.Issuer, audience: cfg.ClientID, ca: cfg.CA, dir: dir, loopback: cfg.Loopback, clock: clock})
	if err != nil {
		return nil, err
	}
	return &PersonVerifier{issuer: i}, nil
}

// Verify returns who an ID token speaks for, or a *refusal.Refusal.
func (v *PersonVerifier) Verify(ctx context.Context, idToken string) (*Person, error) {
	if v.issuer == nil {
		return nil, &refusal.Refusal{
			Code: refusal.TokenIssuer, Message: "nobody can sign in here: no provider is configured",
			Hint: "name one under sign_in in gatestay.yaml",
		}
	}
	t, err := parseJWT(idToken)
	if err != nil {
		return nil, signIn(refusal.TokenInvalid, "the ID token is not valid: "+err.Error())
	}
	if iss, _ := t.claims["iss"].(string); iss != v.issuer.url {
		return nil, signIn(refusal.TokenIssuer, "the ID token is not one of "+v.issuer.url)
	}
	expiry, err := v.issuer.verify(ctx, idToken, t)
	if err != nil {
		var r *refusal.Refusal
		if errors.As(err, &r) && r.Code == refusal.TokenTime {
			return nil, signIn(r.Code, "you are signed out: "+r.Message)
		}
		return nil, err
	}
	return person(t.claims, v.issuer.audience, expiry)
}

func person(c Claims, clientID string, expiry time.Time) (*Person, error) {
	// GitLab signs people and jobs with the same keys, and a job chooses its
	// token's audience freely: it could choose ours.
	for _, name := range []string{"run_id", "repository_id", "pipeline_id", "job_id", "project_id"} {
		if _, present := c[name]; present {
			return nil, signIn(refusal.TokenClaims, "this is the token of a job, not of a person")
		}
	}
	if azp, present := c["azp"]; (present || len(c.audience()) > 1) && azp != clientID {
		return nil, signIn(refusal.TokenAudience, "the ID token was given to another application")
	}
	p := &Person{Name: c.Text("name"), Nonce: c.Text("nonce"), Expiry: expiry, Groups: groups(c["groups"])}
	if p.Subject, _ = c["sub"].(string); p.Subject == "" {
		return nil, missing("sub")
	}
	if c.Text("email_verified") == "true" {
		p.Email = c.Text("email")
	}
	switch {
	case p.Email != "":
		p.Account = "oidc:" + p.Email
	case strings.Contains(p.Subject, "@"):
		// It could be somebody else's address.
		return nil, signIn(refusal.TokenClaims, "the subject looks like an e-mail address that the provider did not verify")
	default:
		p.Account = "oidc:" + p.Subject
	}
	return p, nil
}

// groups reads a claim that is a list of names. One that is anything else, or
// longer than a token of a person can be, names none.
func groups(claim any) []string {
	list, _ := claim.([]any)
	if len(list) > maxGroups {
		return nil
	}
	var out []string
	for _, v := range list {
		if name, ok := v.(string); ok && name != "" {
			out = append(out, name)
		}
	}
	return out
}

func signIn(code refusal.Code, message string) error {
	return &refusal.Refusal{Code: code, Message: message, Hint: "run 'gatestay login'"}
}

type personKey struct{}

// PersonFrom returns who RequirePerson let in.
func PersonFrom(ctx context.Context) (*Person, bool) {
	p, ok := ctx.Value(personKey{}).(*Person)
	return p, ok
}

// WithPerson returns a context that carries a person, as RequirePerson makes it.
func WithPerson(ctx context.Context, p *Person) context.Context {
	return context.WithValue(ctx, personKey{}, p)
}

// RequirePerson lets requests through that carry "Authorization: Bearer" with a
// person's ID token. Others get 401 (503 while the provider is down) with
// {"code","message","hint"}. No other header, cookie or parameter is looked at.
func (v *PersonVerifier) RequirePerson(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := v.authenticate(r)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(WithPerson(r.Context(), p)))
			return
		}
		status := http.StatusUnauthorized
		if errors.Is(err, ErrIssuerUnavailable) {
			status = http.StatusServiceUnavailable
		}
		refused := &refusal.Refusal{Code: refusal.TokenInvalid, Message: "sign-in failed"}
		_ = errors.As(err, &refused)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("WWW-Authenticate", `Bearer realm="gatestay"`)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"code": string(refused.Code), "message": refused.Message, "hint": refused.Hint,
		})
	})
}

func (v *PersonVerifier) authenticate(r *http.Request) (*Person, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return nil, signIn(refusal.TokenInvalid, "not signed in")
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil, signIn(refusal.TokenInvalid, "not signed in")
	}
	return v.Verify(r.Context(), token)
}
