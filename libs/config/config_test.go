package config_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/config"
)

func TestParseReportsEveryProblemWithItsRemedy(t *testing.T) {
	tests := []struct {
		name, yaml string
		want       []string
	}{
		{
			name: "unknown key with its line",
			yaml: "gateway:\n  idd: gw1\n",
			want: []string{"gatestay.yaml", "idd", "2"},
		},
		{
			name: "literal secret",
			yaml: "targets:\n  prod-db: {protocol: postgres, address: 'h:1', user: u, password: hunter2}\n",
			want: []string{"$.targets.prod-db.password", "env:NAME or file:PATH"},
		},
		{
			name: "several at once",
			yaml: "gateway: {id: 'a.b'}\nissuers: [{issuer: 'http://x'}]\ntargets:\n  prod-db: {protocol: mysql, tls: maybe}\n",
			want: []string{"$.gateway.id", "$.issuers[0].audience", "plain HTTP", "$.targets.prod-db.protocol", "$.targets.prod-db.address", "$.targets.prod-db.tls"},
		},
		{
			name: "plaintext beyond this machine",
			yaml: "gateway: {postgres: {listen: '0.0.0.0:5432', plaintext: true}, api: {plaintext: true}}\n",
			want: []string{"$.gateway.postgres.plaintext", "loopback", "$.gateway.api.plaintext"},
		},
		{
			name: "a token of nobody's",
			yaml: "issuers: [{issuer: 'https://a', audience: x}]\ngateway: {postgres: {auth: scram, oauth: {issuer: 'https://a/'}}, api: {auth: password}}\n",
			want: []string{"$.gateway.postgres.auth", "password, oauthbearer", "$.gateway.postgres.oauth.issuer", "exact URL", "$.gateway.api.auth"},
		},
		{
			name: "a scope for nobody",
			yaml: "gateway: {postgres: {oauth: {scope: openid}}}\n",
			want: []string{"$.gateway.postgres.oauth.scope"},
		},
		{
			name: "duration",
			yaml: "targets:\n  prod-db: {protocol: postgres, address: 'h:1', user: u, session_limit: soon}\n",
			want: []string{"not a duration", "15m"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Parse([]byte(tt.yaml), "gatestay.yaml", t.TempDir())
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error does not say %q:\n%v", w, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a secret:\n%v", err)
			}
		})
	}
}

func TestParse(t *testing.T) {
	c, err := config.Parse([]byte("targets:\n  prod-db:\n    protocol: postgres\n    address: 'h:1'\n    user: u\n    password: 'env:PW'\n    session_limit: 90s\n\ngateway: {id: gw1, drain_timeout: '2m'}\n"), "x", "/etc/g")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Targets["prod-db"].SessionLimit.Or(0); got != 90*time.Second {
		t.Errorf("session_limit %v", got)
	}
	if got := c.Gateway.DrainTimeout.Or(0); got != 2*time.Minute {
		t.Errorf("drain_timeout %v", got)
	}
	if got := c.Path("keys/a"); got != "/etc/g/keys/a" {
		t.Errorf("Path = %s", got)
	}
}

func TestSecretResolve(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GATESTAY_TEST_PW", "from-env")
	for ref, want := range map[config.Secret]string{"file:pw": "s3cret", "env:GATESTAY_TEST_PW": "from-env"} {
		got, err := ref.Resolve(dir)
		if err != nil || got != want {
			t.Errorf("%s = %q, %v", ref, got, err)
		}
	}
	for _, ref := range []config.Secret{"plain", "env:GATESTAY_TEST_UNSET", "file:missing", "vault:x"} {
		if _, err := ref.Resolve(dir); err == nil {
			t.Errorf("%s resolved", ref)
		}
	}
}

func TestWatchSeesContentNotTouches(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "one")
	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan struct{}, 16), make(chan error, 1)
	go func() { done <- config.Watch(ctx, dir, zerolog.Nop(), func() { changed <- struct{}{} }) }()
	expect := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatalf("no change seen after %s", what)
		}
	}
	// The watch may not have taken its first look yet: change until it is seen.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 1; len(changed) == 0; i++ {
		write(file, strings.Repeat("x", i))
		if i > 500 {
			t.Fatal("no change seen")
		}
		<-tick.C
	}
	expect("a write")
	for len(changed) > 0 {
		<-changed
	}
	if err := os.Rename(file, filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	expect("a rename")
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "sub", "c.yaml"), "new folder")
	expect("a file in a new folder")
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
