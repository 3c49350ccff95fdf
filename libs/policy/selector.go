package policy

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Selector says which principals a rule is about. Every field that is set must
// be equal, compared exactly as text; Repository is for display and is never
// compared where an id is pinned.
type Selector struct {
	Any               bool   `json:"any,omitempty"` // every verified principal
	Issuer            string `json:"issuer,omitempty"`
	Subject           string `json:"subject,omitempty"`
	Preset            string `json:"preset,omitempty"`
	Repository        string `json:"repository,omitempty"`
	RepositoryID      string `json:"repository_id,omitempty"`
	RepositoryOwnerID string `json:"repository_owner_id,omitempty"`
	Workflow          string `json:"workflow,omitempty"`
	Ref               string `json:"ref,omitempty"`
	Environment       string `json:"environment,omitempty"`
	Event             string `json:"event,omitempty"`
	Agent             string `json:"agent,omitempty"`

	Line   int `json:"-"`
	Column int `json:"-"`
}

// PresetGitHub is the preset whose repositories need the owner's id pinned too.
const PresetGitHub = "github-actions"

var selectorKeys = []string{"any", "issuer", "subject", "preset", "repository", "repository_id", "repository_owner_id", "workflow", "ref", "environment", "event", "agent"}

// String names the selector as a person would.
func (s Selector) String() string {
	var parts []string
	for _, f := range s.fields() {
		if f.want != "" {
			parts = append(parts, f.name+" "+f.want)
		}
	}
	switch {
	case s.Repository != "":
		parts = append([]string{s.Repository}, parts...)
	case s.Any:
		parts = append([]string{"any principal"}, parts...)
	}
	return strings.Join(parts, ", ")
}

// Pinned reports whether the selector could match a principal of the preset
// ("" for any preset): a repository needs its id, and GitHub's its owner's too.
func (s Selector) Pinned(preset string) bool {
	if s.Repository == "" && s.RepositoryID == "" {
		return true
	}
	if s.RepositoryID == "" {
		return false
	}
	return s.RepositoryOwnerID != "" || preset != PresetGitHub && s.Preset != PresetGitHub
}

type field struct {
	name string
	want string
	have func(*eventv1.Principal) string
}

func (s *Selector) fields() []field {
	return []field{
		{"issuer", s.Issuer, (*eventv1.Principal).GetIssuer},
		{"subject", s.Subject, (*eventv1.Principal).GetSubject},
		{"preset", s.Preset, (*eventv1.Principal).GetPreset},
		{"repository_id", s.RepositoryID, (*eventv1.Principal).GetRepositoryId},
		{"repository_owner_id", s.RepositoryOwnerID, (*eventv1.Principal).GetRepositoryOwnerId},
		{"workflow", s.Workflow, (*eventv1.Principal).GetWorkflow},
		{"ref", s.Ref, (*eventv1.Principal).GetRef},
		{"environment", s.Environment, (*eventv1.Principal).GetEnvironment},
		{"event", s.Event, (*eventv1.Principal).GetEvent},
		{"agent", s.Agent, (*eventv1.Principal).GetAgent},
	}
}

// matcher is a compiled selector.
type matcher struct {
	Selector
	want []field // those that are set
}

func newMatcher(s Selector) *matcher {
	m := &matcher{Selector: s}
	for _, f := range m.fields() {
		if f.want != "" {
			m.want = append(m.want, f)
		}
	}
	return m
}

// match is how far something matched.
type match int8

// The matches between no and full can only restrict.
const (
	matchNo       match = iota
	matchAsserted       // by what the caller merely said
	matchNamed          // by a repository's name, its ids not being pinned
	matchFull
)

// match compares; the second result names the first field that differs, or
// what keeps the match from being full.
func (m *matcher) match(p *eventv1.Principal) (match, string) {
	got, why := matchFull, ""
	for _, f := range m.want {
		have := f.have(p)
		if have != f.want {
			if have == "" {
				return matchNo, "the token has no " + f.name
			}
			return matchNo, f.name + " is " + have + ", not " + f.want
		}
		if len(p.GetAsserted()) > 0 && contains(p.GetAsserted(), f.name) {
			got, why = matchAsserted, f.name+" is only asserted by the caller"
		}
	}
	if m.Pinned(p.GetPreset()) {
		return got, why
	}
	if m.RepositoryID == "" && m.Repository != p.GetRepository() {
		return matchNo, "repository is " + p.GetRepository() + ", not " + m.Repository + ", and its ids are not pinned"
	}
	if got == matchAsserted {
		return got, why
	}
	return matchNamed, "the ids of " + m.display() + " are not pinned"
}

func (m *matcher) display() string {
	if m.Repository != "" {
		return m.Repository
	}
	return "repository " + m.RepositoryID
}

func (s *source) selector(n ast.Node) (Selector, bool) {
	var sel Selector
	sel.Line, sel.Column = place(n)
	text := map[string]*string{
		"issuer": &sel.Issuer, "subject": &sel.Subject, "preset": &sel.Preset, "repository": &sel.Repository, "workflow": &sel.Workflow,
		"ref": &sel.Ref, "environment": &sel.Environment, "event": &sel.Event, "agent": &sel.Agent,
	}
	before := len(s.problems)
	entries := s.entries(n, "a principal", selectorKeys)
	for _, e := range entries {
		switch e.key {
		case "any":
			if sel.Any = s.boolean(e.value, "any"); !sel.Any && len(s.problems) == before {
				s.bad(e.value, "any: false says nothing", "remove it")
			}
		case "repository_id":
			sel.RepositoryID = s.id(e.value, e.key)
		case "repository_owner_id":
			sel.RepositoryOwnerID = s.id(e.value, e.key)
		default:
			*text[e.key] = s.text(e.value, e.key)
		}
	}
	if len(s.problems) > before {
		return sel, false
	}
	named := sel.Repository != "" || sel.RepositoryID != "" || sel.RepositoryOwnerID != "" || sel.Subject != ""
	switch {
	case sel.Any && named:
		s.bad(n, "any: true beside a repository, owner or subject", "keep one of them: any is every verified principal")
	case !sel.Any && !named:
		s.bad(n, "a principal that names nobody", "add repository and repository_id, or any: true for every verified principal")
	case sel.Subject != "" && sel.Issuer == "" && sel.RepositoryID == "":
		s.bad(n, "a subject without its issuer", "add issuer: two issuers may give out the same subject")
	case strings.ContainsAny(sel.RepositoryID+sel.RepositoryOwnerID, "*?"):
		s.bad(n, "ids are compared exactly: a wildcard matches nothing", "write the id")
	default:
		return sel, true
	}
	return sel, false
}
