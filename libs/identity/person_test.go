package identity

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
)

type people struct {
	*world
	verifier *PersonVerifier
}

func newPeople(t *testing.T) *people {
	t.Helper()
	w := &world{authority: newAuthority(t, true), clock: newClock()}
	v, err := NewPersonVerifier(config.SignIn{Issuer: w.server.URL, ClientID: "gatestay-cli", CA: w.ca}, "", w.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &people{world: w, verifier: v}
}

func (p *people) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	return sign(t, merge(map[string]any{
		"iss": p.server.URL, "aud": "gatestay-cli", "sub": "u-17", "email": "dana@acme.example", "email_verified": true, "name": "Dana",
		"iat": p.Now().Unix(), "exp": p.Now().Add(time.Hour).Unix(),
	}, changes), "rsa", jose.RS256, nil)
}

func TestPerson_Account(t *testing.T) {
	p := newPeople(t)
	for name, c := range map[string]struct {
		changes map[string]any
		account string
		code    refusal.Code
	}{
		"verified address":            {nil, "oidc:dana@acme.example", ""},
		"verified, said as text":      {map[string]any{"email_verified": "true"}, "oidc:dana@acme.example", ""},
		"unverified address":          {map[string]any{"email_verified": false}, "oidc:u-17", ""},
		"nothing said of the address": {map[string]any{"email_verified": nil}, "oidc:u-17", ""},
		"no address":                  {map[string]any{"email": nil}, "oidc:u-17", ""},
		"a subject like an address":   {map[string]any{"email_verified": false, "sub": "kim@acme.example"}, "", refusal.TokenClaims},
		"no subject":                  {map[string]any{"sub": nil}, "", refusal.TokenClaims},
		"another client":              {map[string]any{"aud": "wiki"}, "", refusal.TokenAudience},
		"several, for us":             {map[string]any{"aud": []string{"wiki", "gatestay-cli"}, "azp": "gatestay-cli"}, "oidc:dana@acme.example", ""},
		"several, for another":        {map[string]any{"aud": []string{"wiki", "gatestay-cli"}, "azp": "wiki"}, "", refusal.TokenAudience},
		"several, for nobody":         {map[string]any{"aud": []string{"wiki", "gatestay-cli"}}, "", refusal.TokenAudience},
		"expired":                     {map[string]any{"exp": p.Now().Add(-time.Hour).Unix()}, "", refusal.TokenTime},
		"another issuer":              {map[string]any{"iss": "https://id.example"}, "", refusal.TokenIssuer},
	} {
		t.Run(name, func(t *testing.T) {
			person, err := p.verifier.Verify(t.Context(), p.token(t, c.changes))
			if c.code != "" {
				wantRefusal(t, err, c.code)
				return
			}
			if err != nil || person.Account != c.account {
				t.Fatalf("got %+v, %v; want %s", person, err, c.account)
			}
		})
	}
}

func TestPerson_Groups(t *testing.T) {
	p := newPeople(t)
	for want, claim := range map[string]any{
		"dba ops": []any{"dba", "ops", 7, ""}, "": "dba", " ": nil, "  ": make([]string, 1001),
	} {
		person, err := p.verifier.Verify(t.Context(), p.token(t, map[string]any{"groups": claim}))
		if err != nil || strings.Join(person.Groups, " ") != strings.TrimSpace(want) {
			t.Errorf("%v: got %+v, %v", claim, person, err)
		}
	}
}

func TestRedteam04_JobPosesAsPerson(t *testing.T) {
	p := newPeople(t)
	// GitLab signs jobs and people with the same keys; a job picks its audience.
	job := p.project(map[string]any{"aud": "gatestay-cli", "email": "dana@acme.example", "email_verified": true})
	_, err := p.verifier.Verify(t.Context(), sign(t, job, "rsa", jose.RS256, nil))
	wantRefusal(t, err, refusal.TokenClaims)
	_, err = p.verifier.Verify(t.Context(), sign(t, p.job(map[string]any{"aud": "gatestay-cli"}), "rsa", jose.RS256, nil))
	wantRefusal(t, err, refusal.TokenClaims)
}

func TestRedteam04_IdentityInHeaders(t *testing.T) {
	p := newPeople(t)
	handler := p.verifier.RequirePerson(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		person, ok := PersonFrom(r.Context())
		if !ok {
			t.Error("nobody in the context")
		}
		_, _ = w.Write([]byte(person.Account))
	}))
	call := func(header http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?access_token=x", nil)
		r.Header = header
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	good := p.token(t, nil)
	for name, header := range map[string]http.Header{
		"nothing":        {},
		"proxy headers":  {"X-Forwarded-User": {"dana"}, "X-Forwarded-Email": {"dana@acme.example"}, "X-Remote-User": {"dana"}},
		"cookie":         {"Cookie": {"token=" + good}},
		"basic":          {"Authorization": {"Basic " + good}},
		"no scheme":      {"Authorization": {good}},
		"two at once":    {"Authorization": {"Bearer " + good, "Bearer " + good}},
		"not a token":    {"Authorization": {"Bearer dana"}},
		"spaces":         {"Authorization": {"Bearer  " + good}},
		"another client": {"Authorization": {"Bearer " + p.token(t, map[string]any{"aud": "wiki"})}},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(header)
			var body struct{ Code, Message, Hint string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusUnauthorized || body.Code == "" || body.Hint == "" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		})
	}
	if w := call(http.Header{"Authorization": {"Bearer " + good}, "X-Forwarded-User": {"kim"}}); w.Code != http.StatusOK || w.Body.String() != "oidc:dana@acme.example" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	p.fail(down)
	p.advance(2 * usableFor)
	if w := call(http.Header{"Authorization": {"Bearer " + p.token(t, nil)}}); w.Code != http.StatusServiceUnavailable {
		t.Fatalf("provider down: %d", w.Code)
	}
}

func TestPerson_NoProvider(t *testing.T) {
	v, err := NewPersonVerifier(config.SignIn{}, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), "x")
	wantRefusal(t, err, refusal.TokenIssuer)
	if _, err := NewPersonVerifier(config.SignIn{Issuer: "https://id.example"}, "", time.Now); err == nil {
		t.Fatal("a provider without a client id was accepted")
	}
}
