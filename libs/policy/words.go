package policy

import (
	"fmt"
	"strings"

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
	if names := a.unknownNames(); len(names) > 0 && a.in.Facts != nil {
		s += "; not known of it: " + strings.Join(names, ", ")
	}
	return s
}

func (e *Engine) why(a *activation, r *rule) string {
	switch r.Effect {
	case Allow:
		return "rule " + quoted(r.Name) + " allows it"
	case Hold:
		return "rule " + quoted(r.Name) + " holds " + what(a.in.Facts) + " on " + a.in.Target.Name + " until approved by " + e.people.approvers(r.Approvers)
	default:
		s := "rule " + quoted(r.Name) + " denies " + what(a.in.Facts) + " on " + a.in.Target.Name
		if r.condition != nil && r.condition.uses&a.unknown != 0 {
			s += "; not known of it: " + strings.Join(variablesOf(r.condition.uses&a.unknown), ", ")
		}
		return s
	}
}

func variablesOf(s set) []string {
	var out []string
	s.each(func(v variable) { out = append(out, variableNames[v]) })
	return out
}

// approvers names who may approve: "dana or kim in Slack", "2 of dana, kim, lee".
func (p *People) approvers(a *Approvers) string {
	var names []string
	slack := len(a.SlackUsers) > 0
	add := func(name string) {
		if !contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range a.Persons {
		add(name)
		for _, account := range p.accounts[name] {
			slack = slack || strings.HasPrefix(account, "slack:")
		}
	}
	for _, id := range a.SlackUsers {
		if name, ok := p.Person("slack:" + id); ok {
			add(name)
			continue
		}
		add("Slack user " + id)
	}
	s := either(names)
	if a.Count > 1 {
		s = fmt.Sprintf("%d of %s", a.Count, strings.Join(names, ", "))
		if int(a.Count) == len(names) {
			s = strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
		}
	}
	if slack {
		s += " in Slack"
	}
	return s
}

func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// Approvers says in words who may approve: "dana or kim in Slack".
func (e *Engine) Approvers(a *eventv1.Approvers) string {
	return e.people.approvers(&Approvers{SlackUsers: a.GetSlackUsers(), Persons: a.GetPersons(), Count: a.GetCount()})
}
