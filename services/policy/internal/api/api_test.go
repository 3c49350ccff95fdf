package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy/internal/api"
	"github.com/gatestay/gatestay/services/policy/internal/keeper"
)

func handler(t *testing.T, signIn bool) http.Handler {
	t.Helper()
	cfg := config.SignIn{}
	if signIn {
		cfg = config.SignIn{Issuer: "http://127.0.0.1:1", ClientID: "gatestay", Loopback: true}
	}
	persons, err := identity.NewPersonVerifier(cfg, t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	status := &keeper.Status{
		State: keeper.Rejected, Version: 3, Hash: "ab", Problems: []policy.Problem{{File: "secret-plan.yaml", Line: 1, What: "w"}},
		Bundle: &eventv1.Bundle{Version: 3, Files: map[string][]byte{"rules.yaml": []byte("rules: [] # secret-plan")}},
	}
	(&api.API{Status: func() *keeper.Status { return status }, Persons: persons, SignIn: signIn}).Mount(mux)
	return mux
}

// Who may not read the policy learns its version, and nothing of its rules.
func TestRedteam32_PolicyIsNotOpenToStrangers(t *testing.T) {
	cases := []struct {
		name           string
		signIn         bool
		remote, host   string
		header         [2]string
		status, bundle int
		sees           bool // what is private
	}{
		{"this machine, nobody can sign in", false, "127.0.0.1:9", "127.0.0.1:80", [2]string{}, 200, 200, true},
		{"IPv6 loopback", false, "[::1]:9", "localhost:80", [2]string{}, 200, 200, true},
		{"another machine", false, "10.0.0.9:9", "policy:80", [2]string{}, 200, 403, false},
		{"through a proxy on this machine", false, "127.0.0.1:9", "127.0.0.1", [2]string{"X-Forwarded-For", "10.0.0.9"}, 200, 403, false},
		{"a page in a browser on this machine", false, "127.0.0.1:9", "127.0.0.1", [2]string{"Origin", "https://evil.example"}, 200, 403, false},
		{"a name that was rebound to this machine", false, "127.0.0.1:9", "evil.example", [2]string{}, 200, 403, false},
		{"people sign in, this machine does not", true, "127.0.0.1:9", "127.0.0.1", [2]string{}, 200, 401, false},
		{"people sign in, a bad token", true, "127.0.0.1:9", "127.0.0.1", [2]string{"Authorization", "Bearer x"}, 401, 401, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := handler(t, c.signIn)
			for path, want := range map[string]int{"/v1/status": c.status, "/v1/bundle": c.bundle} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.RemoteAddr, r.Host = c.remote, c.host
				if c.header[0] != "" {
					r.Header.Set(c.header[0], c.header[1])
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
				}
				if got := strings.Contains(w.Body.String(), "secret-plan"); got != c.sees {
					t.Errorf("%s: sees what is private: %v\n%s", path, got, w.Body)
				}
				if path == "/v1/status" && want == 200 && !strings.Contains(w.Body.String(), `"version":3`) {
					t.Errorf("no version in %s", w.Body)
				}
			}
		})
	}
}
