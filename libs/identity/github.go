package identity

import (
	"net/url"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// gitHub maps the claims of GitHub Actions, on github.com, with data residency
// (ghe.com) and on GitHub Enterprise Server.
//
// https://docs.github.com/en/actions/reference/security/oidc
func gitHub(issuer string, c Claims) (*eventv1.Principal, error) {
	m := newMapping(c)
	p := &eventv1.Principal{
		Issuer: issuer, Preset: "github-actions",
		Repository:        m.need("repository"),
		RepositoryId:      m.needID("repository_id"),
		RepositoryOwnerId: m.needID("repository_owner_id"),
		RunId:             m.needID("run_id"),
		RunAttempt:        m.want("run_attempt"),
		JobId:             m.want("check_run_id"), // missing on older servers
		Workflow:          m.want("workflow"),
		Ref:               m.want("ref"),
		Environment:       m.want("environment"),
		Event:             m.want("event_name"),
		Actor:             m.want("actor"),
		ActorId:           m.want("actor_id"),
		TriggeringActor:   m.want("triggering_actor"),
	}
	m.used["server_url"] = true
	p.Url = gitHubServer(issuer, c) + "/" + p.Repository + "/actions/runs/" + p.RunId
	if m.err == nil && !subjectAgrees(c.Text("sub"), p) {
		m.err = wrongClaim("sub", "names another repository than its repository claims")
	}
	return m.principal(p)
}

// subjectAgrees checks the repository in sub against the repository claims. Its
// two forms are "repo:acme/shop:…" and, for repositories made, renamed or moved
// since July 2026, "repo:acme@2002/shop@1001:…" with ids that are never reused.
// GitHub announced the second with "-" in place of "@", so both are understood.
// A sub that begins otherwise was customised by its organization and says
// nothing that the other claims do not.
func subjectAgrees(sub string, p *eventv1.Principal) bool {
	rest, ok := strings.CutPrefix(sub, "repo:")
	if !ok {
		return true
	}
	repository, _, _ := strings.Cut(rest, ":")
	if repository == p.GetRepository() {
		return true
	}
	owner, name, ok := strings.Cut(repository, "/")
	return ok && hasID(owner, p.GetRepositoryOwnerId()) && hasID(name, p.GetRepositoryId())
}

func hasID(s, id string) bool {
	return strings.HasSuffix(s, "@"+id) || strings.HasSuffix(s, "-"+id)
}

// gitHubServer returns the web address of the server whose issuer this is.
func gitHubServer(issuer string, c Claims) string {
	if u, err := url.Parse(c.Text("server_url")); err == nil && u.Scheme == "https" && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return "https://github.com"
	}
	switch {
	case u.Host == "token.actions.githubusercontent.com":
		return "https://github.com"
	case strings.HasPrefix(u.Host, "token.actions.") && strings.HasSuffix(u.Host, ".ghe.com"):
		return "https://" + strings.TrimPrefix(u.Host, "token.actions.")
	case strings.HasPrefix(u.Path, "/_services/token"):
		return "https://" + u.Host
	default:
		return "https://github.com"
	}
}
