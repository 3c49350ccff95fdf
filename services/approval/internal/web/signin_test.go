package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/services/approval/internal/api"
)

// provider signs dana in, whatever the answer.
type provider struct{ down bool }

func (p provider) Begin(context.Context) (identity.Attempt, string, error) {
	if p.down {
		return identity.Attempt{}, "", errors.New("no route to 10.1.2.3: secret-detail")
	}
	return identity.Attempt{State: "s"}, "https://login.acme.example/authorize", nil
}

func (provider) Finish(context.Context, identity.Attempt, url.Values) (*identity.Person, error) {
	return &identity.Person{Account: "oidc:dana@acme.example", Name: "Dana"}, nil
}

func serve(t *testing.T, at string, p provider) func(path string, cookies ...*http.Cookie) *http.Response {
	t.Helper()
	w, err := New(Options{
		URL: at, SignIn: p, Secret: bytes.Repeat([]byte{7}, 32), Backend: func() *api.Backend { return nil }, Now: time.Now, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	w.Mount(mux)
	return func(path string, cookies ...*http.Cookie) *http.Response {
		r := httptest.NewRequest(http.MethodGet, at+path, nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		return rec.Result()
	}
}

func TestRedteam32_InboxCookiesOverHTTPS(t *testing.T) {
	get := serve(t, "https://approvals.acme.example", provider{})
	begun := get("/signin/start?return=/grants")
	end := get("/signin/callback?code=c&state=s", begun.Cookies()...)
	if end.StatusCode != http.StatusSeeOther || end.Header.Get("Location") != "/grants" || end.Header.Get("Strict-Transport-Security") == "" {
		t.Fatalf("got %d, %v", end.StatusCode, end.Header)
	}
	seen := 0
	for _, c := range append(begun.Cookies(), end.Cookies()...) {
		seen++
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("a cookie that others could set or read: %v", c)
		}
		if strings.Contains(c.Value, "dana") || c.MaxAge > int(sessionLife.Seconds()) {
			t.Errorf("a cookie that tells, or stays: %v", c)
		}
	}
	if seen != 3 { // the sign-in's, its end, the session's
		t.Errorf("%d cookies", seen)
	}
	// What was begun over one address is no session at another.
	if other := serve(t, "https://other.acme.example", provider{})("/signin/callback?code=c&state=s"); other.StatusCode != http.StatusForbidden {
		t.Errorf("got %d", other.StatusCode)
	}
}

func TestNotReadyAndNotReachable(t *testing.T) {
	get := serve(t, "http://127.0.0.1:9103", provider{down: true})
	if a := get("/"); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("without a bus: %d", a.StatusCode)
	}
	a := get("/signin/start")
	body := new(bytes.Buffer)
	if _, err := body.ReadFrom(a.Body); err != nil {
		t.Fatal(err)
	}
	if a.StatusCode == http.StatusSeeOther || strings.Contains(body.String(), "secret-detail") {
		t.Errorf("without a provider: %d %s", a.StatusCode, body)
	}
}
