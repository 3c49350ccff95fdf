package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestVerify_GitHub(t *testing.T) {
	w := newWorld(t, "github-actions")
	want := &eventv1.Principal{
		Issuer: w.server.URL, Preset: "github-actions", Subject: "repo:acme@2002/shop@1001:environment:production",
		Repository: "acme/shop", RepositoryId: "1001", RepositoryOwnerId: "2002", Workflow: "deploy",
		RunId: "900", RunAttempt: "2", JobId: "77", Ref: "refs/heads/main", Environment: "production", Event: "push",
		Actor: "kim", ActorId: "55", Url: "https://github.com/acme/shop/actions/runs/900",
		Claims: map[string]string{"repository_owner": "acme", "runner_environment": "github-hosted"},
	}
	v := w.accepted(t, sign(t, w.job(nil), "rsa", jose.RS256, nil))
	if diff := cmp.Diff(want, v.Principal, protocmp.Transform()); diff != "" {
		t.Fatal(diff)
	}
	if !v.Expiry.Equal(w.Now().Add(5 * time.Minute)) {
		t.Fatalf("expiry %v", v.Expiry)
	}
}

func TestVerify_GitHubSubjects(t *testing.T) {
	w := newWorld(t, "github-actions")
	for name, c := range map[string]struct {
		sub  any
		code refusal.Code
	}{
		"names":                     {"repo:acme/shop:ref:refs/heads/main", ""},
		"ids":                       {"repo:acme@2002/shop@1001:ref:refs/heads/main", ""},
		"ids, as first announced":   {"repo:acme-2002/shop-1001:ref:refs/heads/main", ""},
		"ids, an older name":        {"repo:acme@2002/store@1001:pull_request", ""},
		"customised":                {"repository_owner_id:2002:environment:production", ""},
		"another repository's name": {"repo:acme/other:ref:refs/heads/main", refusal.TokenClaims},
		"another repository's id":   {"repo:acme@2002/shop@6666:ref:refs/heads/main", refusal.TokenClaims},
		"another owner's id":        {"repo:acme@6666/shop@1001:ref:refs/heads/main", refusal.TokenClaims},
		"an id that ends alike":     {"repo:acme@12002/shop@1001:ref:refs/heads/main", refusal.TokenClaims},
		"no repository":             {"repo:", refusal.TokenClaims},
		"a longer name":             {"repo:acme/shop2:ref:refs/heads/main", refusal.TokenClaims},
		"none":                      {nil, refusal.TokenClaims},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, w.job(map[string]any{"sub": c.sub}), "rsa", jose.RS256, nil)
			if c.code == "" {
				w.accepted(t, token)
			} else {
				w.refused(t, token, c.code)
			}
		})
	}
}

func TestVerify_GitHubServers(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://token.actions.githubusercontent.com":      "https://github.com",
		"https://token.actions.githubusercontent.com/acme": "https://github.com",
		"https://token.actions.octocorp.ghe.com":           "https://octocorp.ghe.com",
		"https://git.acme.example/_services/token":         "https://git.acme.example",
		"http://127.0.0.1:4400":                            "https://github.com",
	} {
		if got := gitHubServer(issuer, Claims{}); got != want {
			t.Errorf("%s: %s, want %s", issuer, got, want)
		}
	}
	for server, want := range map[string]string{
		"https://git.acme.example": "https://git.acme.example", "javascript:alert(1)//x": "https://github.com", "http://x": "https://github.com",
	} {
		if got := gitHubServer("https://token.actions.githubusercontent.com", Claims{"server_url": server}); got != want {
			t.Errorf("%s: %s, want %s", server, got, want)
		}
	}
}

func TestVerify_GitLab(t *testing.T) {
	w := newWorld(t, "gitlab-ci")
	want := &eventv1.Principal{
		Issuer: w.server.URL, Preset: "gitlab-ci", Subject: "project_path:acme/tools/shop:ref_type:branch:ref:main",
		Repository: "acme/tools/shop", RepositoryId: "42", RepositoryOwnerId: "7",
		Workflow: "gitlab.example/acme/tools/shop//.gitlab-ci.yml@refs/heads/main",
		RunId:    "500", JobId: "501", Ref: "main", Environment: "production", Event: "push", Actor: "kim", ActorId: "55",
		Url:    w.server.URL + "/acme/tools/shop/-/pipelines/500",
		Claims: map[string]string{"namespace_path": "acme/tools", "ref_protected": "true"},
	}
	got := w.accepted(t, sign(t, w.project(nil), "rsa", jose.RS256, nil)).Principal
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Fatal(diff)
	}
	// Ids as numbers are the same ids.
	if p := w.accepted(t, sign(t, w.project(map[string]any{"project_id": 42}), "rsa", jose.RS256, nil)).Principal; p.GetRepositoryId() != "42" {
		t.Fatalf("%v", p)
	}
	w.refused(t, sign(t, w.project(map[string]any{"sub": "project_path:acme/other:ref_type:branch:ref:main"}), "rsa", jose.RS256, nil), refusal.TokenClaims)
}

func TestVerify_Generic(t *testing.T) {
	w := newWorld(t, "generic")
	claims := merge(w.job(nil), map[string]any{"sub": "job-7", "team": "payments", "level": 3, "trusted": true, "list": []int{1}, "none": nil})
	p := w.accepted(t, sign(t, claims, "rsa", jose.RS256, nil)).Principal
	if p.GetSubject() != "job-7" || p.GetClaims()["team"] != "payments" || p.GetClaims()["level"] != "3" || p.GetClaims()["trusted"] != "true" ||
		p.GetClaims()["repository_id"] != "1001" || p.GetRepositoryId() != "" {
		t.Fatalf("%v", p)
	}
	for _, absent := range []string{"list", "none", "exp", "iss", "aud", "jti"} {
		if v, ok := p.GetClaims()[absent]; ok {
			t.Errorf("claim %s: %q", absent, v)
		}
	}
}

func TestVerify_AgentAndOnBehalfOf(t *testing.T) {
	for _, preset := range []string{"github-actions", "generic"} {
		w := newWorld(t, preset)
		p := w.accepted(t, sign(t, w.job(map[string]any{"agent": "claude", "on_behalf_of": "dana@acme.example"}), "rsa", jose.RS256, nil)).Principal
		if p.GetAgent() != "claude" || p.GetOnBehalfOf() != "dana@acme.example" || len(p.GetAsserted()) != 0 {
			t.Fatalf("%v", p)
		}
	}
}

func TestVerify_MissingClaims(t *testing.T) {
	gh, gl, plain := newWorld(t, "github-actions"), newWorld(t, "gitlab-ci"), newWorld(t, "generic")
	check := func(w *world, claims map[string]any, name string) {
		t.Helper()
		r := w.refused(t, sign(t, claims, "rsa", jose.RS256, nil), refusal.TokenClaims)
		if want := `"` + name + `"`; !strings.Contains(r.Message, want) {
			t.Errorf("%q does not name %s", r.Message, want)
		}
	}
	for _, name := range []string{"repository", "repository_id", "repository_owner_id", "run_id", "sub"} {
		check(gh, gh.job(map[string]any{name: nil}), name)
		check(gh, gh.job(map[string]any{name: ""}), name)
	}
	for _, name := range []string{"project_path", "project_id", "namespace_id", "pipeline_id", "job_id", "sub"} {
		check(gl, gl.project(map[string]any{name: nil}), name)
	}
	check(gh, gh.job(map[string]any{"repository_id": "1001 or so"}), "repository_id")
	check(gh, gh.job(map[string]any{"repository_id": []string{"1001"}}), "repository_id")
	check(plain, plain.job(map[string]any{"sub": nil}), "sub")
}

func TestVerify_Algorithms(t *testing.T) {
	w := newWorld(t, "github-actions")
	w.publish("rsa", "p256", "p384", "p521", "ed25519")
	w.advance(2 * freshFor)
	for alg, key := range map[jose.SignatureAlgorithm]string{
		jose.RS256: "rsa", jose.RS384: "rsa", jose.RS512: "rsa", jose.PS256: "rsa", jose.PS384: "rsa", jose.PS512: "rsa",
		jose.ES256: "p256", jose.ES384: "p384", jose.ES512: "p521", jose.EdDSA: "ed25519",
	} {
		w.accepted(t, sign(t, w.job(nil), key, alg, nil))
	}
}

func TestVerify_ReusableTokens(t *testing.T) {
	w := newWorld(t, "generic")
	no := false
	c := w.config("generic")
	c.SingleUse = &no
	w.verifier = w.newVerifier(c)
	token := sign(t, w.job(map[string]any{"exp": w.Now().Add(30 * 24 * time.Hour).Unix()}), "rsa", jose.RS256, nil)
	if v := w.accepted(t, token); v.SingleUse {
		t.Fatal("single use, though configured otherwise")
	}
}

func TestKeys_Rotation(t *testing.T) {
	w := newWorld(t, "github-actions")
	w.accepted(t, sign(t, w.job(nil), "rsa", jose.RS256, nil))
	// A new key works as soon as it signs.
	w.publish("rsa", "rsa-2")
	w.advance(askAgain + time.Second)
	w.accepted(t, sign(t, w.job(nil), "rsa-2", jose.RS256, nil))
	w.accepted(t, sign(t, w.job(nil), "rsa", jose.RS256, nil))
	// A withdrawn key stops within the hour.
	w.publish("rsa-2")
	w.advance(freshFor + time.Second)
	w.refused(t, sign(t, w.job(nil), "rsa", jose.RS256, nil), refusal.TokenInvalid)
	w.accepted(t, sign(t, w.job(nil), "rsa-2", jose.RS256, nil))
}

func TestKeys_IssuerDownAtStart(t *testing.T) {
	w := &world{authority: newAuthority(t, true), clock: newClock()}
	w.fail(down)
	w.verifier = w.newVerifier(w.config("github-actions"))
	token := sign(t, w.job(nil), "rsa", jose.RS256, nil)
	_, err := w.verifier.Verify(t.Context(), token)
	wantRefusal(t, err, refusal.TokenIssuer)
	if !errors.Is(err, ErrIssuerUnavailable) {
		t.Fatalf("%v does not say that the issuer is unavailable", err)
	}
	w.fail(nil)
	w.advance(afterFailure)
	w.accepted(t, token)
}

func TestKeys_IssuerDownLater(t *testing.T) {
	w := newWorld(t, "github-actions")
	w.fail(down)
	for range 23 {
		w.advance(time.Hour)
		w.accepted(t, sign(t, w.job(nil), "rsa", jose.RS256, nil))
	}
	// After a day without a look at the keys, none is trusted.
	w.advance(2 * time.Hour)
	_, err := w.verifier.Verify(t.Context(), sign(t, w.job(nil), "rsa", jose.RS256, nil))
	if !errors.Is(err, ErrIssuerUnavailable) {
		t.Fatalf("got %v", err)
	}
	w.fail(nil)
	w.advance(afterFailure)
	w.accepted(t, sign(t, w.job(nil), "rsa", jose.RS256, nil))
}

func TestKeys_CallerGoesAway(t *testing.T) {
	w := &world{authority: newAuthority(t, true), clock: newClock()}
	w.fail(down)
	w.verifier = w.newVerifier(w.config("github-actions"))
	w.advance(afterFailure)
	release := make(chan struct{})
	w.fail(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	token := sign(t, w.job(nil), "rsa", jose.RS256, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.verifier.Verify(ctx, token); err == nil {
		t.Fatal("verified without keys")
	}
	close(release)
	w.fail(nil)
	// Another caller need not wait for the pause after a failure.
	w.accepted(t, token)
}

func TestNewVerifier_WrongConfiguration(t *testing.T) {
	for name, c := range map[string][]config.Issuer{
		"preset": {{Preset: "jenkins", Issuer: "https://a.example", Audience: "x"}},
		"twice":  {{Preset: "generic", Issuer: "https://a.invalid", Audience: "x"}, {Preset: "generic", Issuer: "https://a.invalid", Audience: "y"}},
		"CA":     {{Preset: "generic", Issuer: "https://a.example", Audience: "x", CA: "none.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewVerifier(t.Context(), c, t.TempDir(), time.Now); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

func down(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }

func BenchmarkVerify(b *testing.B) {
	for key, alg := range map[string]jose.SignatureAlgorithm{"rsa": jose.RS256, "p256": jose.ES256} {
		b.Run(string(alg), func(b *testing.B) {
			w := newWorld(b, "github-actions")
			w.publish("rsa", "p256")
			w.advance(2 * freshFor)
			token := sign(b, w.job(nil), key, alg, nil)
			for b.Loop() {
				if _, err := w.verifier.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
