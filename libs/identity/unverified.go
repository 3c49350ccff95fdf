package identity

import (
	"fmt"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Unverified reads whom a token, or a token's payload as JSON, would speak for
// if it were verified. Anybody can write one: it is for tools that explain and
// show, never for a decision.
func Unverified(raw string) (*eventv1.Principal, error) {
	raw = strings.TrimSpace(raw)
	var claims Claims
	var err error
	if strings.HasPrefix(raw, "{") {
		claims, err = parseObject([]byte(raw))
	} else {
		var t *jwt
		if t, err = parseJWT(raw); err == nil {
			claims = t.claims
		}
	}
	if err != nil {
		return nil, fmt.Errorf("identity: not a token: %w", err)
	}
	name := "generic"
	switch {
	case claims.Text("repository_owner_id") != "":
		name = "github-actions"
	case claims.Text("project_path") != "":
		name = "gitlab-ci"
	}
	return presets[name](claims.Text("iss"), claims)
}
