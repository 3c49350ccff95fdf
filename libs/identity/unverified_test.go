package identity_test

import (
	"encoding/base64"
	"testing"

	"github.com/gatestay/gatestay/libs/identity"
)

func TestUnverified(t *testing.T) {
	const gitHub = `{"iss":"https://token.actions.githubusercontent.com","sub":"repo:acme/shop:ref:refs/heads/main","repository":"acme/shop","repository_id":"1001","repository_owner_id":"2002","run_id":"5","event_name":"push","actor":"dana"}`
	const gitLab = `{"iss":"https://gitlab.com","sub":"project_path:acme/shop:ref_type:branch:ref:main","project_path":"acme/shop","project_id":"77","namespace_id":"88","pipeline_id":"5","job_id":"6","user_login":"kim"}`
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct{ raw, preset, id, owner string }{
		"a payload of GitHub":  {gitHub, "github-actions", "1001", "2002"},
		"a token of GitHub":    {encode(`{"alg":"RS256"}`) + "." + encode(gitHub) + "." + encode("signature") + "\n", "github-actions", "1001", "2002"},
		"a payload of GitLab":  {" " + gitLab, "gitlab-ci", "77", "88"},
		"anybody else's":       {`{"iss":"https://x","sub":"me"}`, "generic", "", ""},
		"no claims of its own": {`{"sub":"me"}`, "generic", "", ""},
	} {
		p, err := identity.Unverified(c.raw)
		if err != nil || p.GetPreset() != c.preset || p.GetRepositoryId() != c.id || p.GetRepositoryOwnerId() != c.owner {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	for _, raw := range []string{"", "x", "a.b.c", "{", `{"repository_owner_id":"1"}`, "[]"} {
		if p, err := identity.Unverified(raw); err == nil {
			t.Errorf("%q became %v", raw, p)
		}
	}
}
