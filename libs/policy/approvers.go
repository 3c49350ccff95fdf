package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/hours"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	maxApprovers      = 20
	maxApproverGroups = 8 // of an all_of: every set of them is looked at
)

var (
	memberKeys   = []string{"slack_users", "slack_groups", "persons", "oidc_groups", "on_call", "hours"}
	approverKeys = append(append([]string{}, memberKeys...), "count", "all_of", "channel", "reason", "step_up", "escalate")
	groupKeys    = append(append([]string{}, memberKeys...), "count", "name", "escalate")

	slackGroupID = regexp.MustCompile(`^S[A-Z0-9]+$`)
)

// Members names people who may approve. Who is in a group is asked at the vote.
type Members struct {
	SlackUsers  []string `json:"slack_users,omitempty"`  // Slack user ids
	SlackGroups []string `json:"slack_groups,omitempty"` // ids of Slack user groups
	Persons     []string `json:"persons,omitempty"`      // names in the people map
	OIDCGroups  []string `json:"oidc_groups,omitempty"`  // as the sign-in provider names them
	// OnCall are rotations of the schedule: who is on call when voting.
	OnCall []string `json:"on_call,omitempty"`
	// Hours, if any, are when they may approve.
	Hours hours.List `json:"hours,omitempty"`
	// Escalate is nil where nobody else is asked later.
	Escalate *Escalation `json:"escalate,omitempty"`
}

// Approvers says who may approve, and how many distinct persons must: Count of
// Members, or, of AllOf, each group's own.
type Approvers struct {
	Members
	Count   uint32          `json:"count"`
	AllOf   []ApproverGroup `json:"all_of,omitempty"`
	Channel string          `json:"channel,omitempty"` // Slack channel id
	// ReasonRequired: who approves must say why.
	ReasonRequired bool `json:"reason_required,omitempty"`
	// StepUp is empty, or StepUpPasskey.
	StepUp string `json:"step_up,omitempty"`
}

// ApproverGroup is one of the groups of an all_of. One person fills one place
// of one group.
type ApproverGroup struct {
	Name string `json:"name"`
	Members
	Count uint32 `json:"count"`
}

// groups returns what must each be met: AllOf, or the flat list alone.
func (a *Approvers) groups() []ApproverGroup {
	if len(a.AllOf) > 0 {
		return a.AllOf
	}
	return []ApproverGroup{{Members: a.Members, Count: a.Count}}
}

// Open reports that a group is among the members: how many they are is not
// known beforehand.
func (m *Members) Open() bool {
	return len(m.SlackGroups)+len(m.OIDCGroups)+len(m.OnCall) > 0 || m.Escalate != nil && m.Escalate.To.Open()
}

func (m *Members) empty() bool { return !m.Open() && len(m.SlackUsers)+len(m.Persons) == 0 }

// Event returns the approvers as a request carries them.
func (a *Approvers) Event() *eventv1.Approvers {
	flat := a.event()
	out := &eventv1.Approvers{
		SlackUsers: flat.SlackUsers, SlackGroups: flat.SlackGroups, Persons: flat.Persons, OidcGroups: flat.OidcGroups, Hours: flat.Hours, OnCall: flat.OnCall, Escalation: flat.Escalation,
		Count: a.Count, Channel: a.Channel, ReasonRequired: a.ReasonRequired, StepUp: a.StepUp,
	}
	for _, g := range a.AllOf {
		of := g.event()
		of.Name, of.Count = g.Name, g.Count
		out.AllOf = append(out.AllOf, of)
	}
	return out
}

// event returns the members as a group of a request.
func (m *Members) event() *eventv1.ApproverGroup {
	return &eventv1.ApproverGroup{
		SlackUsers: slices.Clone(m.SlackUsers), SlackGroups: slices.Clone(m.SlackGroups), Persons: slices.Clone(m.Persons), OidcGroups: slices.Clone(m.OIDCGroups),
		Hours: m.Hours.Event(), OnCall: slices.Clone(m.OnCall), Escalation: m.Escalate.event(),
	}
}

// grouped is what Approvers and ApproverGroup have in common.
type grouped interface {
	GetSlackUsers() []string
	GetSlackGroups() []string
	GetPersons() []string
	GetOidcGroups() []string
	GetHours() []*eventv1.Hours
	GetEscalation() *eventv1.Escalation
	GetOnCall() []string
}

func membersOf(g grouped) Members {
	return Members{
		SlackUsers: g.GetSlackUsers(), SlackGroups: g.GetSlackGroups(), Persons: g.GetPersons(), OIDCGroups: g.GetOidcGroups(),
		Hours: hours.Of(g.GetHours()), OnCall: g.GetOnCall(), Escalate: escalationOf(g.GetEscalation()),
	}
}

// approversOf is the reverse of Event.
func approversOf(a *eventv1.Approvers) *Approvers {
	out := &Approvers{
		Members: membersOf(a), Count: a.GetCount(), Channel: a.GetChannel(), ReasonRequired: a.GetReasonRequired(), StepUp: a.GetStepUp(),
	}
	for _, g := range a.GetAllOf() {
		out.AllOf = append(out.AllOf, ApproverGroup{Name: g.GetName(), Count: g.GetCount(), Members: membersOf(g)})
	}
	return out
}

func (s *source) approvers(n ast.Node) *Approvers {
	a := &Approvers{Count: 1}
	entries := s.entries(n, "approvers", approverKeys)
	if entries == nil && s.mapping(n, "approvers") == nil {
		return nil
	}
	var all, count ast.Node
	for _, e := range entries {
		switch e.key {
		case "count":
			count = e.value
			a.Count = uint32(s.number(e.value, "count", 1, maxApprovers)) //nolint:gosec // bounded just now
		case "all_of":
			all = e.value
			a.AllOf = s.approverGroups(e.value)
		case "channel":
			a.Channel = s.text(e.value, "channel")
		case "reason":
			a.ReasonRequired = s.required(e.value, "reason")
		case "step_up":
			a.StepUp = s.stepUp(e.value)
		default:
			s.members(e, &a.Members)
		}
	}
	switch {
	case all != nil && (!a.empty() || count != nil):
		s.bad(all, "approvers has all_of and a list of its own", "move slack_users, slack_groups, persons, oidc_groups and count into a group of all_of")
	case all != nil && (len(a.Hours) > 0 || a.Escalate != nil):
		s.bad(all, "approvers has all_of, and hours or escalate beside it", "write them inside each group of all_of that has them")
	case all != nil:
		a.Count = 0
		for _, g := range a.AllOf {
			a.Count += g.Count
		}
	case a.empty():
		s.bad(n, "approvers names nobody: nobody could approve", "add slack_users: [U…], slack_groups: [S…], persons: [name], oidc_groups: [name] or on_call: [rotation]")
	}
	return a
}

// members reads one of memberKeys.
func (s *source) members(e entry, m *Members) {
	switch e.key {
	case "slack_users":
		m.SlackUsers = s.texts(e.value, "slack_users")
	case "persons":
		m.Persons = s.texts(e.value, "persons")
	case "oidc_groups":
		m.OIDCGroups = s.texts(e.value, "oidc_groups")
	case "on_call":
		m.OnCall = s.texts(e.value, "on_call")
	case "hours":
		m.Hours = s.hours(e.value)
	case "escalate":
		m.Escalate = s.escalation(e.value)
	case "slack_groups":
		m.SlackGroups = s.texts(e.value, "slack_groups")
		for _, id := range m.SlackGroups {
			if !slackGroupID.MatchString(id) {
				s.bad(e.value, fmt.Sprintf("%q is not the id of a Slack user group", id), "write its id, S…, not its handle: Slack shows it in the address of the group's page")
			}
		}
	}
}

func (s *source) approverGroups(n ast.Node) []ApproverGroup {
	var out []ApproverGroup
	nodes := s.list(n, "all_of")
	for _, n := range nodes {
		g := ApproverGroup{Count: 1}
		for _, e := range s.entries(n, "a group of all_of", groupKeys) {
			switch e.key {
			case "name":
				g.Name = s.text(e.value, "name")
			case "count":
				g.Count = uint32(s.number(e.value, "count", 1, maxApprovers)) //nolint:gosec // bounded just now
			default:
				s.members(e, &g.Members)
			}
		}
		switch {
		case g.Name == "":
			s.bad(n, "a group of all_of without a name", "add name: approvers see which group is still missing")
		case slices.ContainsFunc(out, func(have ApproverGroup) bool { return have.Name == g.Name }):
			s.bad(n, fmt.Sprintf("group %q is twice in all_of", g.Name), "give each group a name of its own")
		case g.empty():
			s.bad(n, fmt.Sprintf("group %q names nobody: nobody could approve", g.Name), "add slack_users: [U…], slack_groups: [S…], persons: [name], oidc_groups: [name] or on_call: [rotation]")
		}
		out = append(out, g)
	}
	if len(nodes) < 2 || len(nodes) > maxApproverGroups {
		s.bad(n, fmt.Sprintf("all_of has %d groups", len(nodes)), fmt.Sprintf("write 2 to %d groups, or a flat list for one", maxApproverGroups))
	}
	return out
}

// checkApprovers makes sure that the named persons exist, and are enough.
func (e *Engine) checkApprovers(s *source, r *rule) {
	e.checkStepUp(s, r)
	at := r.nodes["approvers"]
	groups := r.Approvers.groups()
	in, index := [][]bool{}, map[string]int{}
	var counts []int
	var fixed []int // groups whose members are known beforehand
	for g := range groups {
		if !groups[g].Open() {
			fixed = append(fixed, g)
			counts = append(counts, int(groups[g].Count))
		}
		var persons []string
		for _, m := range groups[g].sources() {
			persons = append(persons, m.Persons...)
			for _, name := range m.OnCall {
				if e.people.schedule.rotations[name] == nil {
					s.bad(at, fmt.Sprintf("rotation %q is not in %s", name, ScheduleFile), didYouMean(name, slices.Collect(maps.Keys(e.people.schedule.rotations))))
				}
			}
		}
		for _, name := range persons {
			if e.people.accounts[name] == nil {
				remedy := "add the person with a slack or oidc account"
				if n := nearest(name, e.people.names); n != "" {
					remedy = fmt.Sprintf("did you mean %q?", n)
				}
				s.bad(at, fmt.Sprintf("approver %q is not in %s", name, PeopleFile), remedy)
			}
		}
	}
	for i, g := range fixed {
		var persons []string
		for _, m := range groups[g].sources() {
			persons = append(persons, e.people.named(m)...)
		}
		for _, person := range persons {
			if !e.people.proves(person, r.Approvers.StepUp) {
				continue
			}
			v, ok := index[person]
			if !ok {
				v = len(in)
				index[person], in = v, append(in, make([]bool, len(fixed)))
			}
			in[v][i] = true
		}
	}
	if len(fixed) == 0 || electorate.Fillable(in, counts, 0) {
		return
	}
	if len(r.Approvers.AllOf) == 0 {
		switch {
		case r.Approvers.StepUp != "":
			s.bad(at, fmt.Sprintf("count is %d, but of the persons whom approvers names %d have a passkey in %s", r.Approvers.Count, len(in), PeopleFile), "add passkeys for more of them ('Your passkeys' in the inbox), name others, or lower the count")
		case len(in) > 0:
			s.bad(at, fmt.Sprintf("count is %d, but approvers names %d distinct person(s)", r.Approvers.Count, len(in)), "name more persons, or lower the count: one person counts once")
		}
		return
	}
	who := "distinct person(s)"
	if r.Approvers.StepUp != "" {
		who += " who have a passkey in " + PeopleFile
	}
	s.bad(at, fmt.Sprintf("all_of can never be met: its groups name %d %s, and one person fills one place of one group", len(in), who), "name more persons, or lower a count")
}

// named returns the distinct persons whom members name without groups; a Slack
// user whom the map does not know is one of their own.
func (p *People) named(m *Members) []string {
	var out []string
	add := func(name string) {
		if !contains(out, name) {
			out = append(out, name)
		}
	}
	for _, name := range m.Persons {
		add(name)
	}
	for _, id := range m.SlackUsers {
		if name, ok := p.Person("slack:" + id); ok {
			add(name)
		} else {
			add("slack:" + id)
		}
	}
	return out
}

// approversText says exactly who the approvers are: equal texts, equal approvers.
func approversText(a *eventv1.Approvers) string {
	if a == nil {
		return "nobody"
	}
	of := approversOf(a)
	var parts []string
	for _, g := range of.groups() {
		text := fmt.Sprintf("%d of persons [%s], slack_users [%s]", g.Count, sorted(g.Persons), sorted(g.SlackUsers))
		if len(g.SlackGroups) > 0 {
			text += ", slack_groups [" + sorted(g.SlackGroups) + "]"
		}
		if len(g.OIDCGroups) > 0 {
			text += ", oidc_groups [" + sorted(g.OIDCGroups) + "]"
		}
		if len(g.OnCall) > 0 {
			text += ", on_call [" + sorted(g.OnCall) + "]"
		}
		if len(g.Hours) > 0 {
			text += ", hours [" + g.Hours.String() + "]"
		}
		if x := g.Escalate; x != nil {
			text += ", after " + Short(x.After) + " also of " + approversText((&Approvers{Members: x.To, Count: 1}).Event())
		}
		if g.Name != "" {
			text = g.Name + ": " + text
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, "; and ")
	if of.StepUp != "" {
		text += ", with a " + of.StepUp
	}
	if of.Channel != "" {
		text += " in " + of.Channel
	}
	return text
}

func sorted(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), " ") }
