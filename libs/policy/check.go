package policy

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/command"
)

// Finding is something that is allowed to be written, but silently does not
// do what it seems to.
type Finding struct {
	Kind   string `json:"kind"` // one of the Found constants
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Target string `json:"target,omitempty"`
	What   string `json:"what"`
	Remedy string `json:"remedy"`
}

// String returns "file:line:column: what; remedy".
func (f Finding) String() string {
	p := Problem{File: f.File, Line: f.Line, Column: f.Column, Rule: f.Rule, What: f.What, Remedy: f.Remedy}
	if f.File == "" {
		p.File = "target " + f.Target
	}
	return p.String()
}

// The kinds of findings.
const (
	FoundUnpinned    = "unpinned"          // a repository without its ids
	FoundIssuer      = "issuer"            // a selector that no configured issuer's tokens match, or several may
	FoundNoTarget    = "no-target"         // a rule about no configured target
	FoundUncovered   = "uncovered-target"  // a target that no rule lets anybody use
	FoundShadowed    = "shadowed"          // a rule that another always beats
	FoundNever       = "never"             // a condition that is never true
	FoundWhole       = "whole-list"        // a condition that compares the whole list of functions
	FoundAsserted    = "asserted"          // an allow rule that asks for what callers merely say
	FoundUnmapped    = "unmapped-approver" // an approver whom the people map does not know, or who cannot vote
	FoundLone        = "lone-approver"     // only one person could approve
	FoundOverlap     = "overlapping-holds" // of two hold rules only one's approvers are asked
	FoundPasskeys    = "passkey-changes"   // who can change the people map can add a passkey without one
	FoundNoRules     = "no-rules"          // nothing is allowed at all
	FoundMissingName = "missing-name"      // a condition about a table or column that the catalog does not have (likewise)
	FoundMaskTarget  = "mask-target"       // a mask about no configured target (found by gatestay policy check)
	FoundMaskColumn  = "mask-column"       // a mask for a column that the catalog does not have (found by gatestay policy check --catalog)
)

// Surroundings is what a policy is checked against.
type Surroundings struct {
	Targets []Target  // nil: not known, no finding about them
	Issuers []Issuer  // nil: not known
	Now     time.Time // zero: not known, no finding about what is over
	// PeopleChanges is the configuration's policy.people_changes; empty: not known.
	PeopleChanges string
}

// Issuer is one configured issuer of job tokens.
type Issuer struct{ URL, Preset string }

// Check returns what silently never applies, by place.
func Check(e *Engine, s Surroundings) []Finding {
	c := &checker{engine: e, Surroundings: s}
	if len(e.rules) == 0 {
		c.found = append(c.found, Finding{Kind: FoundNoRules, File: ".", What: "there is no rule: everything is denied", Remedy: "write an allow or hold rule"})
	}
	for _, r := range e.rules {
		c.pins(r)
		c.issuers(r)
		c.targets(r)
		c.condition(r)
		c.whole(r)
		c.asserted(r)
		c.approvers(r)
		c.shadowed(r)
	}
	c.overlaps()
	c.freezes()
	c.passkeys()
	c.uncovered()
	sort.SliceStable(c.found, func(i, j int) bool {
		a, b := c.found[i], c.found[j]
		if a.File != b.File {
			return a.File < b.File
		}
		return a.Line < b.Line
	})
	return c.found
}

type checker struct {
	Surroundings
	engine *Engine
	found  []Finding
}

func (c *checker) add(kind string, r *rule, key, what, remedy string) {
	line, column := r.Line, r.Column
	if n := r.nodes[key]; n != nil {
		line, column = place(n)
	}
	c.found = append(c.found, Finding{Kind: kind, File: r.File, Line: line, Column: column, Rule: r.Name, What: what, Remedy: remedy})
}

func (c *checker) addSelector(kind string, r *rule, s Selector, what, remedy string) {
	c.found = append(c.found, Finding{Kind: kind, File: r.File, Line: s.Line, Column: s.Column, Rule: r.Name, What: what, Remedy: remedy})
}

// pins finds repositories whose ids are missing.
func (c *checker) pins(r *rule) {
	for _, s := range r.Principals {
		github := s.Preset == PresetGitHub || s.Preset == "" && c.only(PresetGitHub)
		missing := ""
		switch {
		case s.Repository == "" && s.RepositoryID == "":
			continue
		case s.RepositoryID == "":
			missing = "has no repository_id"
		case s.RepositoryOwnerID == "" && github:
			missing = "has no repository_owner_id"
		default:
			continue
		}
		name := s.Repository
		if name == "" {
			name = "repository " + s.RepositoryID
		}
		effect := "so it matches nothing: a name can be taken over by somebody else"
		if r.Effect != Allow {
			effect = "so it goes by a name that can change, and only restricts"
		}
		c.addSelector(FoundUnpinned, r, s, name+" "+missing+", "+effect, "pin it: gatestay policy pin "+pinHint(s))
	}
}

func pinHint(s Selector) string {
	name := s.Repository
	if name == "" {
		name = "OWNER/NAME"
	}
	id := s.RepositoryID
	if id == "" {
		id = "ID"
	}
	return fmt.Sprintf("%s --repository-id %s --owner-id ID", name, id)
}

// only reports whether all configured issuers are of one preset.
func (c *checker) only(preset string) bool {
	for _, i := range c.Issuers {
		if i.Preset != preset {
			return false
		}
	}
	return len(c.Issuers) > 0
}

// issuers finds selectors that fit no issuer, and ids that two issuers may
// both give out.
func (c *checker) issuers(r *rule) {
	if c.Issuers == nil {
		return
	}
	for _, s := range r.Principals {
		fitting := 0
		for _, i := range c.Issuers {
			if (s.Issuer == "" || s.Issuer == i.URL) && (s.Preset == "" || s.Preset == i.Preset) {
				fitting++
			}
		}
		switch {
		case fitting == 0:
			c.addSelector(FoundIssuer, r, s, "no configured issuer makes tokens with this issuer and preset, so it matches nothing", "correct it, or add the issuer to gatestay.yaml")
		case fitting > 1 && (s.RepositoryID != "" || s.RepositoryOwnerID != ""):
			c.addSelector(FoundIssuer, r, s, fmt.Sprintf("%d configured issuers may give out these ids, each for another repository", fitting), "add issuer: with the URL of the one you mean")
		}
	}
}

func (c *checker) targets(r *rule) {
	if c.Targets == nil || len(c.covered(r)) > 0 {
		return
	}
	key := "targets"
	if len(r.Environments) > 0 {
		key = "environments"
	}
	c.add(FoundNoTarget, r, key, "no configured target is among its "+targetsOf(&r.Rule)+", so it never applies", "correct the name, or add the target to gatestay.yaml")
}

func (c *checker) covered(r *rule) []Target {
	var out []Target
	for _, t := range c.Targets {
		if r.coversTarget(t) {
			out = append(out, t)
		}
	}
	return out
}

// possible returns the classes of commands for which the condition could hold.
// Of commands with an unknown class, only a rule that speaks of the unknown is
// said to be about them, although deny and hold rules match many of them.
func (r *rule) possible() map[command.Class]bool {
	out := map[command.Class]bool{}
	for _, class := range []command.Class{command.Read, command.Write, command.DDL, command.Admin, command.Session} {
		a := &activation{in: &Input{Facts: &command.Facts{Class: class}}}
		o, _, err := r.condition.eval(a, allVariables&^commandClass.set())
		out[class] = o == yes || o == unknown && err == nil
	}
	a := &activation{in: &Input{}, unknown: commandVariables &^ commandUnknown.set()}
	o, _, err := r.condition.eval(a, allVariables&^commandUnknown.set())
	out[command.Unknown] = o == yes || o == unknown && err == nil && r.condition.uses.has(commandUnknown)
	return out
}

func (c *checker) condition(r *rule) {
	for _, possible := range r.possible() {
		if possible {
			return
		}
	}
	c.add(FoundNever, r, "when", "its condition is false, whatever the command is", "correct the condition, or remove the rule")
}

// asserted finds allow rules that ask for what they cannot believe, and others
// that a reason does not lift although they read so.
func (c *checker) asserted(r *rule) {
	if r.Effect != Allow {
		if r.condition != nil && r.condition.uses.has(sessionReason) && r.matchesUnsaid() {
			c.add(FoundAsserted, r, "when", "session.reason, which anybody can type, does not lift a "+string(r.Effect)+": the rule matches as if no reason were given", `to demand a reason write "reason: required" at the rules that allow or hold`)
		}
		return
	}
	if r.condition != nil && r.condition.uses.has(sessionReason) {
		c.add(FoundAsserted, r, "when", "an allow rule cannot rest on session.reason, which anybody can type: it is unknown here", `to demand a reason write "reason: required"`)
	}
	const said = set(1<<principalAgent | 1<<principalOnBehalfOf)
	if r.condition != nil && r.condition.uses&said != 0 {
		names := strings.Join(variablesOf(r.condition.uses&said), " and ")
		c.add(FoundAsserted, r, "when", "an allow rule sees "+names+" as unknown unless the issuer signs it", "let a deny or hold rule decide by it, or make the issuer sign it")
	}
	for _, s := range r.Principals {
		if s.Agent != "" {
			c.addSelector(FoundAsserted, r, s, "an allow rule with agent: matches only where the issuer signs the agent; one that the caller names does not count", "let a deny or hold rule decide by it, or make the issuer sign it")
		}
	}
}

// matchesUnsaid reports that the condition may be true without any reason.
func (r *rule) matchesUnsaid() bool {
	a := &activation{in: &Input{}, hidden: sessionReason.set()}
	o, _, err := r.condition.eval(a, allVariables&^sessionReason.set())
	return o != no || err != nil
}

func (c *checker) approvers(r *rule) {
	if r.Approvers == nil {
		return
	}
	groups := r.Approvers.groups()
	for i := range groups {
		c.approverGroup(r, &groups[i])
	}
}

func (c *checker) approverGroup(r *rule, g *ApproverGroup) {
	people := c.engine.people
	able := map[string]bool{}
	for _, id := range g.SlackUsers {
		name, ok := people.Person("slack:" + id)
		if !ok {
			name = id
			c.add(FoundUnmapped, r, "approvers", "Slack user "+id+" is not in "+PeopleFile+": it cannot be told whether they requested the command themselves", "add the person with all their accounts to "+PeopleFile)
		}
		able[name] = true
	}
	for _, name := range g.Persons {
		if !people.has(name, "slack:", "oidc:") {
			c.add(FoundUnmapped, r, "approvers", name+" has neither a slack nor an oidc account in "+PeopleFile+", and so no way to vote", "add one")
			continue
		}
		able[name] = true
	}
	if len(g.OIDCGroups) > 0 && !slices.ContainsFunc(people.names, func(name string) bool { return people.has(name, "oidc:") }) {
		c.add(FoundUnmapped, r, "approvers", "oidc_groups lets nobody vote: no person in "+PeopleFile+" has an oidc account, and who is not in the map does not vote as a member of such a group", "add the members with their oidc accounts to "+PeopleFile)
	}
	if len(able) == 1 && !g.Open() {
		who := ""
		if g.Name != "" {
			who = " for group " + quoted(g.Name)
		}
		c.add(FoundLone, r, "approvers", "only one person can approve"+who+": what they request themselves, and what somebody outside "+PeopleFile+" requests (that needs two), can never be approved", "name a second approver")
	}
}

// uncovered finds targets that nobody can use.
func (c *checker) uncovered() {
	for _, t := range c.Targets {
		used := false
		for _, r := range c.engine.rules {
			if r.Effect == Deny || !r.coversTarget(t) {
				continue
			}
			for _, s := range r.Principals {
				used = used || s.Pinned("")
			}
		}
		if !used {
			c.found = append(c.found, Finding{Kind: FoundUncovered, Target: t.Name, What: "no allow or hold rule covers it: every connection to it is refused", Remedy: "write a rule for it, or remove the target"})
		}
	}
}
