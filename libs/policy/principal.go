package policy

import (
	"fmt"
	"slices"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// principalFields returns where a principal's fields are set, by name.
func principalFields(p *eventv1.Principal) map[string]*string {
	return map[string]*string{
		"issuer": &p.Issuer, "subject": &p.Subject, "preset": &p.Preset, "repository": &p.Repository, "repository_id": &p.RepositoryId,
		"repository_owner_id": &p.RepositoryOwnerId, "workflow": &p.Workflow, "run_id": &p.RunId, "ref": &p.Ref, "environment": &p.Environment,
		"event": &p.Event, "actor": &p.Actor, "triggering_actor": &p.TriggeringActor, "agent": &p.Agent, "on_behalf_of": &p.OnBehalfOf,
	}
}

// ParsePrincipal reads "repository_id=1001,environment=production,claims.x=y"
// as people write it on a command line. asserted=agent names a field that the
// caller merely says.
func ParsePrincipal(text string) (*eventv1.Principal, error) {
	p := &eventv1.Principal{}
	fields := principalFields(p)
	for _, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || value == "" {
			return nil, fmt.Errorf("policy: %q is not name=value; write e.g. repository_id=1001,repository_owner_id=2002", pair)
		}
		claim, isClaim := strings.CutPrefix(name, "claims.")
		switch {
		case isClaim:
			if p.Claims == nil {
				p.Claims = map[string]string{}
			}
			p.Claims[claim] = value
		case name == "asserted":
			p.Asserted = append(p.Asserted, value)
		case fields[name] == nil:
			return nil, fmt.Errorf("policy: a principal has no field %q; %s", name, didYouMean(name, casePrincipal))
		default:
			*fields[name] = value
		}
	}
	for _, name := range p.Asserted {
		if fields[name] == nil && !slices.Contains(casePrincipal, name) {
			return nil, fmt.Errorf("policy: asserted=%s: a principal has no such field; %s", name, didYouMean(name, casePrincipal))
		}
	}
	return p, nil
}
