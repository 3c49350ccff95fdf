package policy

import (
	"fmt"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/passkey"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// PeopleFile is the name of the people map beside the rules.
const PeopleFile = "people.yaml"

var (
	peopleKeys   = []string{"people", "relying_party", "changes"}
	personKeys   = []string{"name", "accounts", "passkeys"}
	accountKinds = []string{"github", "gitlab", "slack", "oidc", "webhook"}
)

// People joins the accounts of one person. It is immutable; the zero value
// knows nobody.
type People struct {
	byAccount map[string]string
	accounts  map[string][]string
	names     []string
	party     passkey.RelyingParty
	passkeys  map[string][]passkey.Key
	changed   *Approvers // of the changes block; nil without one
	schedule  schedule   // who is on call, who stands in for whom
}

// Person returns the name of the person to whom an account ("slack:U0DANA",
// "github:dana", "gitlab:dana", "oidc:dana@acme.example") belongs.
func (p *People) Person(account string) (string, bool) {
	name, ok := p.byAccount[normalAccount(account)]
	return name, ok
}

// Accounts returns the accounts of a person as written in the file, nil for an
// unknown name.
func (p *People) Accounts(name string) []string {
	return append([]string(nil), p.accounts[name]...)
}

// Names returns all names, sorted.
func (p *People) Names() []string { return append([]string(nil), p.names...) }

// Requesters returns the accounts of everybody behind a principal, without
// repetition: who caused the run, who pressed re-run, on whose behalf it acts.
// Nobody among them may approve.
func Requesters(p *eventv1.Principal) []string {
	prefix := "oidc:"
	switch p.GetPreset() {
	case "github-actions":
		prefix = "github:"
	case "gitlab-ci":
		prefix = "gitlab:"
	}
	var out []string
	add := func(prefix, account string) {
		if account == "" {
			return
		}
		a := prefix + account
		for _, have := range out {
			if normalAccount(have) == normalAccount(a) {
				return
			}
		}
		out = append(out, a)
	}
	add(prefix, p.GetActor())
	add(prefix, p.GetTriggeringActor())
	add("oidc:", p.GetOnBehalfOf())
	return out
}

// normalAccount spells an account in one way. Logins of GitHub and GitLab and
// e-mail addresses do not differ by case; other subjects do. Only ASCII is
// folded: no other letter may become an ASCII one.
func normalAccount(account string) string {
	kind, id, ok := strings.Cut(account, ":")
	if !ok {
		return account
	}
	kind = lowerASCII(kind)
	if kind == "github" || kind == "gitlab" || strings.Contains(id, "@") {
		id = lowerASCII(id)
	}
	return kind + ":" + id
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func (s *source) people(raw []byte) *People {
	p := &People{byAccount: map[string]string{}, accounts: map[string][]string{}, passkeys: map[string][]passkey.Key{}}
	root := s.root(raw)
	if root == nil {
		return p
	}
	var changes ast.Node
	for _, e := range s.entries(root, "the people file", peopleKeys) {
		switch e.key {
		case "relying_party":
			p.party = s.relyingParty(e.value)
		case "changes":
			changes = e.value
		case "people":
			for _, n := range s.list(e.value, "people") {
				s.person(n, p)
			}
		}
	}
	sort.Strings(p.names)
	if changes != nil {
		s.changes(changes, p)
	}
	return p
}

func (s *source) person(n ast.Node, p *People) {
	var name string
	var accounts, passkeys ast.Node
	for _, e := range s.entries(n, "a person", personKeys) {
		switch e.key {
		case "name":
			name = s.text(e.value, "name")
		case "accounts":
			accounts = e.value
		case "passkeys":
			passkeys = e.value
		}
	}
	switch {
	case name == "":
		s.bad(n, "a person without a name", "add name: and the name that rules use under approvers.persons")
		return
	case p.accounts[name] != nil:
		s.bad(n, fmt.Sprintf("person %q is there twice", name), "join the accounts under one name: one person counts once")
		return
	case accounts == nil:
		s.bad(n, fmt.Sprintf("person %q has no accounts", name), `add accounts: ["slack:U…", "github:login", "oidc:e-mail"]`)
		return
	}
	p.accounts[name] = []string{}
	p.names = append(p.names, name)
	for _, a := range s.list(accounts, "accounts") {
		s.account(a, name, p)
	}
	if passkeys != nil {
		s.passkeys(passkeys, name, p)
	}
}

func (s *source) account(n ast.Node, name string, p *People) {
	text := s.text(n, "an account")
	if text == "" {
		return
	}
	kind, id, ok := strings.Cut(text, ":")
	if !ok || id == "" {
		s.bad(n, fmt.Sprintf("account %q has no kind", text), "write kind:id, kinds are "+strings.Join(accountKinds, ", "))
		return
	}
	if !contains(accountKinds, kind) {
		s.bad(n, fmt.Sprintf("account kind %q is not known", kind), didYouMean(kind, accountKinds))
		return
	}
	if hook, of, _ := strings.Cut(id, ":"); kind == "webhook" && (hook == "" || of == "") {
		s.bad(n, fmt.Sprintf("account %q names no webhook", text), "write webhook:name:id, the name being one of approval.webhooks in gatestay.yaml")
		return
	}
	normal := normalAccount(text)
	if other, taken := p.byAccount[normal]; taken {
		s.bad(n, fmt.Sprintf("account %q already belongs to %q", text, other), "an account belongs to one person: remove it from one of them")
		return
	}
	p.byAccount[normal] = name
	p.accounts[name] = append(p.accounts[name], text)
}
