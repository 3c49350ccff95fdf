package localissuer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Presets that the issuer can imitate.
const (
	GitHub  = "github-actions"
	GitLab  = "gitlab-ci"
	Generic = "generic"
)

// jobClaims returns what a job of the preset carries, with base (the times and
// such) and changes applied over it. A nil value removes a claim. sub is made of
// the result, unless it is given.
func jobClaims(preset string, now time.Time, base, changes map[string]any) (map[string]any, error) {
	if _, forged := changes["iss"]; forged {
		return nil, errors.New("localissuer: iss cannot be chosen: this issuer speaks for itself only")
	}
	claims := map[string]any{}
	run := strconv.FormatInt(now.UnixMilli(), 10) // a new run each time
	switch preset {
	case GitHub, "":
		claims = map[string]any{
			"repository": "acme/shop", "repository_id": "1001", "repository_owner": "acme", "repository_owner_id": "2002",
			"repository_visibility": "private", "workflow": "deploy", "workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
			"job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
			"run_id":           run, "run_number": "1", "run_attempt": "1", "check_run_id": run + "1",
			"ref": "refs/heads/main", "ref_type": "branch", "sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d", "head_ref": "", "base_ref": "",
			"event_name": "push", "actor": "kim", "actor_id": "3001", "runner_environment": "github-hosted",
		}
	case GitLab:
		claims = map[string]any{
			"namespace_id": "2002", "namespace_path": "acme", "project_id": "1001", "project_path": "acme/shop",
			"user_id": "3001", "user_login": "kim", "user_email": "kim@acme.example", "user_access_level": "developer",
			"pipeline_id": run, "pipeline_source": "push", "job_id": run + "1",
			"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
			"runner_id": 1, "runner_environment": "gitlab-hosted", "sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
			"ci_config_ref_uri": "gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main", "project_visibility": "private",
		}
	case Generic:
		claims["sub"] = "local-job"
	default:
		return nil, fmt.Errorf("localissuer: the preset %q is not known; known: %s, %s, %s", preset, GitHub, GitLab, Generic)
	}
	apply(claims, base)
	apply(claims, changes)
	if _, given := changes["sub"]; !given {
		switch preset {
		case GitHub, "":
			claims["sub"] = gitHubSubject(claims)
		case GitLab:
			claims["sub"] = fmt.Sprintf("project_path:%v:ref_type:%v:ref:%v", claims["project_path"], claims["ref_type"], claims["ref"])
		}
	}
	return claims, nil
}

// gitHubSubject makes the default sub with immutable ids, as repositories have
// it that were made since July 2026.
func gitHubSubject(c map[string]any) string {
	repository, _ := c["repository"].(string)
	owner, name, _ := strings.Cut(repository, "/")
	prefix := fmt.Sprintf("repo:%s@%v/%s@%v:", owner, c["repository_owner_id"], name, c["repository_id"])
	environment, _ := c["environment"].(string)
	switch {
	case environment != "":
		return prefix + "environment:" + strings.ReplaceAll(environment, ":", "%3A")
	case c["event_name"] == "pull_request":
		return prefix + "pull_request"
	default:
		return fmt.Sprintf("%sref:%v", prefix, c["ref"])
	}
}

func apply(claims, changes map[string]any) {
	for name, v := range changes {
		if v == nil {
			delete(claims, name)
		} else {
			claims[name] = v
		}
	}
}
