package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// who names a principal in a sentence.
func who(p *eventv1.Principal) string {
	switch {
	case p.GetRepository() != "":
		return "job " + p.GetRepository()
	case p.GetRepositoryId() != "":
		return "job of repository " + p.GetRepositoryId()
	case p.GetSubject() != "":
		return p.GetSubject()
	default:
		return "this principal"
	}
}

// what names a command in a sentence: its verb and objects.
func what(f *command.Facts) string {
	if f == nil || f.Class == command.Unknown || f.Class == "" || f.IsUnknown("class") {
		s := "a command that could not be classified"
		if f != nil && f.Why != "" {
			s += " (" + f.Why + ")"
		}
		return s
	}
	verb := f.Verb
	if verb == "" {
		verb = "a " + string(f.Class)
	}
	names := objects(f, func(command.Class) bool { return true })
	switch n := len(names); {
	case n == 0 || f.IsUnknown("objects"):
		return verb
	case n > 3:
		return fmt.Sprintf("%s of %s and %d more", verb, strings.Join(names[:3], ", "), n-3)
	default:
		return verb + " of " + strings.Join(names, ", ")
	}
}

func whyDefault(a *activation) string {
	s := "no rule allows " + what(a.in.Facts) + " on " + a.in.Target.Name + " to " + who(a.in.Principal)
	if f := a.in.Facts; f != nil && f.Why != "" && f.Class != command.Unknown {
		return s + "; " + f.Why
	}
	if names := a.unknownNames(); len(names) > 0 && a.in.Facts != nil {
		s += "; not known of it: " + strings.Join(names, ", ")
	}
	return s
}

func (e *Engine) why(a *activation, r *rule) string {
	by := "rule " + quoted(r.Name)
	if r.Freeze != nil {
		by = r.whyFrozen()
	}
	switch r.Effect {
	case Allow:
		return by + " allows it"
	case Hold:
		return by + " holds " + what(a.in.Facts) + " on " + a.in.Target.Name + " until approved by " + e.people.approvers(r.Approvers, Requesters(a.in.Principal), a.in.At)
	default:
		s := by + " denies " + what(a.in.Facts) + " on " + a.in.Target.Name
		if r.condition != nil && r.condition.uses&a.unknown != 0 {
			s += "; not known of it: " + strings.Join(variablesOf(r.condition.uses&a.unknown), ", ")
		}
		return s
	}
}

// whyWeaker says why a freeze denies what its approvers could approve.
func (e *Engine) whyWeaker(a *activation, f, base *rule) string {
	return f.whyFrozen() + " denies " + what(a.in.Facts) + " on " + a.in.Target.Name + ": rule " + quoted(base.Name) + " asks for more approval than the freeze does"
}

// whyCopy says which masked column would go where.
func whyCopy(f *command.Facts) string {
	c := f.Copies[0]
	from, to := "a masked column", c.To.Name
	if c.From.Name != "" {
		from = "the masked column " + columns([]command.Column{c.From})[0]
	}
	switch {
	case c.To.Table == "":
	case c.To.Name == "*":
		to = (command.Object{Schema: c.To.Schema, Name: c.To.Table}).String()
	default:
		to = columns([]command.Column{c.To})[0]
	}
	where := "where no mask covers it"
	if c.Over.Name != "" {
		where = "where its mask does not cover it, and the one that does may tell more"
	}
	return "it would put " + from + " into " + to + ", " + where + ", and no rule that matches says masked_copies: allow"
}

func variablesOf(s set) []string {
	var out []string
	s.each(func(v variable) { out = append(out, variableNames[v]) })
	return out
}

// approvers says who may approve what the accounts in requesters ask for: "dana
// or kim in Slack", "2 of dana, kim, lee", "1 of dba (kim) and 2 of security
// (members of Slack group S0SEC)". A requester is not among them, and one whom
// the map does not know asks for one more.
func (p *People) approvers(a *Approvers, requesters []string, at time.Time) string {
	asked, unknown := p.behind(requesters)
	with := ""
	if a.StepUp != "" {
		with = ", with a " + a.StepUp
	}
	if len(a.AllOf) == 0 {
		return p.group(&a.Members, max(int(a.Count), 1)+unknown, asked, a.StepUp, at) + with
	}
	var parts []string
	for _, g := range a.AllOf {
		parts = append(parts, fmt.Sprintf("%d of %s (%s)", max(g.Count, 1), g.Name, p.group(&g.Members, 1, asked, a.StepUp, at)))
	}
	s := "each of " + strings.Join(parts, ", ")
	if unknown > 0 {
		s += fmt.Sprintf(", and %d more of each", unknown)
	}
	return s + with
}

// Eligible returns who may approve what the accounts in requesters ask for, by
// name, and how many distinct persons it takes. A requester is not among them,
// and one whom the map does not know asks for one more.
func (p *People) Eligible(a *Approvers, requesters []string) (names []string, count int) {
	asked, unknown := p.behind(requesters)
	for _, g := range a.groups() {
		of, _ := p.eligible(&g.Members, asked, a.StepUp, time.Time{})
		for _, name := range of {
			if !contains(names, name) {
				names = append(names, name)
			}
		}
		count += max(int(g.Count), 1)
	}
	return names, count + unknown
}

// eligible names the members who have not asked, and can vote as stepUp asks; slack says that some can vote
// there.
func (p *People) eligible(m *Members, asked map[string]bool, stepUp string, at time.Time) (names []string, slack bool) {
	slack = len(m.SlackUsers) > 0 && stepUp == ""
	for _, name := range p.named(m) {
		id, stranger := strings.CutPrefix(name, "slack:")
		switch {
		case !p.proves(name, stepUp):
		case stranger:
			names = append(names, "Slack user "+id)
		case !asked[name]:
			names = append(names, name)
			slack = slack || stepUp == "" && p.has(name, "slack:")
			names = append(names, p.standIns(name, asked, at)...)
		}
	}
	for _, name := range m.OnCall {
		names = append(names, p.onCallInWords(name, asked, at))
	}
	for _, id := range m.SlackGroups {
		names = append(names, "a member of Slack group "+id)
	}
	for _, name := range m.OIDCGroups {
		names = append(names, "a member of sign-in group "+name)
	}
	return names, slack
}

// group names the members who have not asked, and how many of them it takes.
func (p *People) group(m *Members, count int, asked map[string]bool, stepUp string, at time.Time) string {
	s := p.members(m, count, asked, stepUp, at)
	if when := whenOpen(m.Hours, at); when != "" {
		s += " (" + when + ")"
	}
	s += p.escalates(m, asked, stepUp, at)
	return s
}

func (p *People) members(m *Members, count int, asked map[string]bool, stepUp string, at time.Time) string {
	names, slack := p.eligible(m, asked, stepUp, at)
	s := either(names)
	switch {
	case len(names) == 0:
		return "nobody: all approvers are among the requesters"
	case m.Open():
		if count > 1 {
			s = fmt.Sprintf("%d of %s", count, strings.Join(names, ", "))
		}
		return s
	case count == len(names) && count > 1:
		s = strings.Join(names[:count-1], ", ") + " and " + names[count-1]
	case count > len(names):
		s = fmt.Sprintf("%d approvers, of whom there is only %s", count, s)
	case count > 1:
		s = fmt.Sprintf("%d of %s", count, strings.Join(names, ", "))
	}
	if slack {
		s += " in Slack"
	}
	return s
}

// has reports that a person has an account of one of these kinds.
func (p *People) has(name string, kinds ...string) bool {
	return slices.ContainsFunc(p.accounts[name], func(account string) bool {
		return slices.ContainsFunc(kinds, func(kind string) bool { return strings.HasPrefix(account, kind) })
	})
}

// behind returns the persons whose accounts these are, and how many accounts
// are nobody's.
func (p *People) behind(accounts []string) (persons map[string]bool, unknown int) {
	persons = map[string]bool{}
	for _, account := range accounts {
		if name, ok := p.Person(account); ok {
			persons[name] = true
		} else {
			unknown++
		}
	}
	return persons, unknown
}

func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// Approvers says in words who may approve what these accounts ask for: "dana or
// kim in Slack". at is the moment from which it is seen; zero: none.
func (p *People) Approvers(a *eventv1.Approvers, requesters []string, at time.Time) string {
	return p.approvers(approversOf(a), requesters, at)
}
