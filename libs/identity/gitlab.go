package identity

import (
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// gitLab maps the claims of GitLab CI's ID tokens, on gitlab.com and on own
// servers (whose URL is the issuer). In a merge request from a fork, project_id
// names the fork, though its pipeline runs in the target project.
//
// https://docs.gitlab.com/ci/secrets/id_token_authentication
func gitLab(issuer string, c Claims) (*eventv1.Principal, error) {
	m := newMapping(c)
	p := &eventv1.Principal{
		Issuer: issuer, Preset: "gitlab-ci",
		Repository:        m.need("project_path"),
		RepositoryId:      m.needID("project_id"),
		RepositoryOwnerId: m.needID("namespace_id"),
		RunId:             m.needID("pipeline_id"),
		JobId:             m.needID("job_id"),
		Workflow:          m.want("ci_config_ref_uri"),
		Ref:               m.want("ref"),
		Environment:       m.want("environment"),
		Event:             m.want("pipeline_source"),
		Actor:             m.want("user_login"),
		ActorId:           m.want("user_id"),
	}
	// Personal data that no rule needs: the login is there.
	m.used["user_email"] = true
	p.Url = strings.TrimRight(issuer, "/") + "/" + p.Repository + "/-/pipelines/" + p.RunId
	if m.err == nil && !projectAgrees(c.Text("sub"), p.Repository) {
		m.err = wrongClaim("sub", "names another project than its project_path claim")
	}
	return m.principal(p)
}

// projectAgrees checks "project_path:acme/shop:ref_type:branch:ref:main". The
// components after the first are the project's choice.
func projectAgrees(sub, project string) bool {
	rest, ok := strings.CutPrefix(sub, "project_path:")
	if !ok {
		return true
	}
	path, _, _ := strings.Cut(rest, ":")
	return path == project
}
