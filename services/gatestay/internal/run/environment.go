package run

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Names of what a child of 'gatestay run' finds in its environment.
const (
	RunVariable    = "GATESTAY_RUN"    // id of the run, to quote
	SocketVariable = "GATESTAY_SOCKET" // where 'gatestay can' asks inside a run
)

// stripped are variables that a CI system puts tokens into, from which more
// could be made than this run was meant for. CI_JOB_TOKEN stays: it opens
// GitLab's own API (a child may need it to clone), never Gatestay.
var stripped = []string{
	"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GATESTAY_ID_TOKEN",
}

// strippedPrefix are GitLab's older job tokens: CI_JOB_JWT, CI_JOB_JWT_V1, _V2.
const strippedPrefix = "CI_JOB_JWT"

// diverting are libpq's variables that would lead past the proxy, or ask of it
// what it does not do.
var diverting = []string{
	"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGREQUIREAUTH", "PGCHANNELBINDING", "PGREQUIRESSL", "PGSSLMODE",
	"PGSSLNEGOTIATION", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL", "PGSSLCRLDIR", "PGGSSENCMODE", "PGTARGETSESSIONATTRS",
	"PGLOADBALANCEHOSTS",
}

// childEnvironment is parent's without tokens and without what would divert
// libpq, and with set.
func childEnvironment(parent []string, set map[string]string, token, audience string) []string {
	out := make([]string, 0, len(parent)+len(set))
	for _, entry := range parent {
		name, value, _ := strings.Cut(entry, "=")
		_, replaced := set[name]
		if !replaced && !slices.Contains(stripped, name) && !slices.Contains(diverting, name) &&
			!strings.HasPrefix(name, strippedPrefix) && !opensGatestay(value, token, audience) {
			out = append(out, entry)
		}
	}
	for name, value := range set {
		out = append(out, name+"="+value)
	}
	sort.Strings(out)
	return out
}

// opensGatestay reports that a value is the token of this run, or another OIDC
// token for the same audience, whatever the variable is called.
func opensGatestay(value, token, audience string) bool {
	value = strings.TrimSpace(value)
	if value != "" && value == strings.TrimSpace(token) {
		return true
	}
	parts := strings.Split(value, ".")
	if len(parts) != 3 || !strings.HasPrefix(value, "ey") {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Audience any `json:"aud"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return false
	}
	switch aud := claims.Audience.(type) {
	case string:
		return aud == audience
	case []any:
		return slices.Contains(aud, any(audience))
	default:
		return false
	}
}

// base are the variables that all ways share.
func base(target, runID string) map[string]string {
	return map[string]string{"PGDATABASE": target, "PGUSER": "gatestay", RunVariable: runID}
}

// viaSocket are the variables of a child that connects to the socket in dir.
func viaSocket(target, runID, dir string) map[string]string {
	v := base(target, runID)
	v["PGHOST"], v["PGPORT"] = dir, "5432"
	v["PGPASSWORD"] = "unused" // some drivers insist on one
	v["PGSSLMODE"], v["PGGSSENCMODE"] = "disable", "disable"
	v[SocketVariable] = filepath.Join(dir, controlSocket)
	return v
}

// viaLoopback are those of a child that connects to a port with this run's
// password.
func viaLoopback(target, runID, dir string, address net.Addr, password string) map[string]string {
	v := viaSocket(target, runID, dir)
	v["PGHOST"], v["PGPORT"], _ = net.SplitHostPort(address.String())
	v["PGPASSWORD"] = password
	return v
}

// direct are those of a child that connects to the gateway itself: libpq must
// insist on TLS and on the gateway's name, since by default it would fall back.
func direct(target string, r *Run, g *Gateway) (map[string]string, error) {
	v := base(target, r.ID)
	var err error
	if v["PGHOST"], v["PGPORT"], err = net.SplitHostPort(g.postgres); err != nil {
		return nil, err //nolint:wrapcheck // checked before
	}
	v["PGPASSWORD"] = string(r.Credential)
	v["PGSSLMODE"], v["PGGSSENCMODE"], v["PGSSLROOTCERT"] = "verify-full", "disable", "system"
	if g.ca != "" {
		if v["PGSSLROOTCERT"], err = filepath.Abs(g.ca); err != nil {
			return nil, err //nolint:wrapcheck // names the path
		}
	}
	return v, nil
}
