package approval

import (
	"slices"
	"strconv"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Describe says in one phrase who the principal is: "job deploy of acme/shop,
// run 4711, on main, started by dana". What the caller merely said is marked
// so. The text is one visible line (Visible); it is not escaped for any markup.
func Describe(p *eventv1.Principal) string {
	if p == nil {
		return "nobody"
	}
	parts := []string{origin(p)}
	if p.RunId != "" {
		run := "run " + p.RunId
		if p.Preset == "gitlab-ci" {
			run = "pipeline " + p.RunId
		}
		if p.RunAttempt != "" && p.RunAttempt != "1" {
			run += " attempt " + p.RunAttempt
		}
		parts = append(parts, run)
	}
	if p.Ref != "" {
		parts = append(parts, "on "+Ref(p.Ref))
	}
	if p.Actor != "" {
		parts = append(parts, "started by "+p.Actor)
	}
	if p.TriggeringActor != "" && p.TriggeringActor != p.Actor {
		parts = append(parts, "run again by "+p.TriggeringActor)
	}
	if p.Agent != "" {
		parts = append(parts, "agent "+p.Agent+said(p, "agent"))
	}
	if p.OnBehalfOf != "" {
		parts = append(parts, "on behalf of "+p.OnBehalfOf+said(p, "on_behalf_of"))
	}
	return Visible(strings.Join(parts, ", "))
}

// origin names the job and its repository, or the subject where there is none.
func origin(p *eventv1.Principal) string {
	what := ""
	switch {
	case p.Job != "":
		what = "job " + p.Job
	case p.Workflow != "":
		what = "workflow " + p.Workflow
	}
	switch {
	case what != "" && p.Repository != "":
		return what + " of " + p.Repository
	case p.Repository != "":
		return "a job of " + p.Repository
	case what != "":
		return what + " of " + p.Subject
	case p.Subject != "":
		return p.Subject
	}
	return "an unnamed principal of " + p.Issuer
}

func said(p *eventv1.Principal, field string) string {
	if slices.Contains(p.Asserted, field) {
		return " (unverified)"
	}
	return ""
}

// Ref shortens a Git ref to what people call it: main, tag v1, pull request 7.
func Ref(ref string) string {
	if b, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return b
	}
	if t, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag " + t
	}
	if pr, ok := strings.CutPrefix(ref, "refs/pull/"); ok {
		number, _, _ := strings.Cut(pr, "/")
		return "pull request " + number
	}
	return ref
}

// Headline names verb and objects first: "UPDATE public.customers", "INSERT
// public.archive (reading public.customers)". More than three are counted.
func Headline(verb string, objects []*eventv1.Object) string {
	if verb == "" {
		verb = "unknown command"
	}
	head := strings.ToUpper(verb)
	if strings.HasPrefix(verb, planVerb) { // prose, not SQL
		head = strings.ToUpper(verb[:1]) + verb[1:]
	}
	changed, read := objectNames(objects)
	switch {
	case len(changed) > 0 && len(read) > 0:
		head += " " + atMostThree(changed) + " (reading " + atMostThree(read) + ")"
	case len(changed) > 0:
		head += " " + atMostThree(changed)
	case len(read) > 0:
		head += " " + atMostThree(read)
	}
	return Visible(head)
}

func atMostThree(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:3], ", ") + " and " + strconv.Itoa(len(names)-3) + " more"
}

// objectNames lists what is changed, and what is only read, each once.
func objectNames(objects []*eventv1.Object) (changed, read []string) {
	for _, o := range objects {
		name := o.GetName()
		if o.GetSchema() != "" {
			name = o.GetSchema() + "." + name
		}
		list := &changed
		if o.GetAccess() == "read" {
			list = &read
		}
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	read = slices.DeleteFunc(read, func(name string) bool { return slices.Contains(changed, name) })
	return changed, read
}
