package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/services/masking/internal/keeper"
)

// Rules name columns that hold secrets: strangers do not see them.
func TestRedteam32_StrangersSeeCountsOnly(t *testing.T) {
	persons, err := identity.NewPersonVerifier(config.SignIn{}, t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	status := &keeper.Status{State: keeper.Rejected, Version: 3, Problems: []masking.Problem{{File: "a.yaml", Line: 3, Problem: "secret_column", Remedy: "r"}}, Findings: []keeper.Finding{{Rule: "r"}}}
	for name, tc := range map[string]struct {
		signIn           bool
		remote, host     string
		header           map[string]string
		status           int
		problems, public bool
	}{
		"on this machine":                        {remote: "127.0.0.1:5", host: "localhost:9102", status: 200, problems: true, public: true},
		"on this machine, by address":            {remote: "[::1]:5", host: "[::1]:9102", status: 200, problems: true, public: true},
		"from elsewhere":                         {remote: "10.0.0.7:5", host: "masking:9102", status: 200, public: true},
		"through a proxy":                        {remote: "127.0.0.1:5", host: "localhost", header: map[string]string{"X-Forwarded-For": "10.0.0.7"}, status: 200, public: true},
		"a page by DNS rebinding":                {remote: "127.0.0.1:5", host: "evil.example", status: 200, public: true},
		"a page elsewhere":                       {remote: "127.0.0.1:5", host: "localhost", header: map[string]string{"Origin": "https://evil.example"}, status: 200, public: true},
		"sign-in configured, nobody":             {signIn: true, remote: "127.0.0.1:5", host: "localhost", status: 200, public: true},
		"sign-in configured, a token of nowhere": {signIn: true, remote: "127.0.0.1:5", host: "localhost", header: map[string]string{"Authorization": "Bearer x"}, status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			(&API{Status: func() *keeper.Status { return status }, Streams: func() []Stream { return []Stream{{Name: "RECORDS"}} }, Persons: persons, SignIn: tc.signIn}).Mount(mux)
			r := httptest.NewRequest(http.MethodGet, "/v1/status", nil)
			r.RemoteAddr, r.Host = tc.remote, tc.host
			for k, v := range tc.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			_, problems := got["problems"]
			if w.Code != tc.status || problems != tc.problems || (got["version"] == float64(3)) != tc.public {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}
