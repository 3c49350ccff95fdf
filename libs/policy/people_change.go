package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/passkey"
)

// changesKeys are those of the block that says who may approve a change of the map.
var changesKeys = []string{"persons", "count", "channel", "step_up"}

// Changes returns who may approve a change of this map: whom its changes block
// names, else every person who has an account to vote with.
func (p *People) Changes() *Approvers {
	if p.changed != nil {
		a := *p.changed
		return &a
	}
	a := &Approvers{Count: 1}
	for _, name := range p.names {
		if p.has(name, "slack:", "oidc:") {
			a.Persons = append(a.Persons, name)
		}
	}
	return a
}

func (s *source) changes(n ast.Node, p *People) {
	a := &Approvers{Count: 1}
	for _, e := range s.entries(n, "changes", changesKeys) {
		switch e.key {
		case "persons":
			a.Persons = s.texts(e.value, "persons")
		case "count":
			a.Count = uint32(s.number(e.value, "count", 1, maxApprovers)) //nolint:gosec // bounded just now
		case "channel":
			a.Channel = s.text(e.value, "channel")
		case "step_up":
			a.StepUp = s.stepUp(e.value)
		}
	}
	if len(a.Persons) == 0 {
		s.bad(n, "changes names nobody: nobody could approve a change of this file", "add persons: [name, …], or leave changes out: then every person may")
	}
	able := 0
	for _, name := range a.Persons {
		switch {
		case p.accounts[name] == nil:
			s.bad(n, fmt.Sprintf("changes names %q, who is not in this file", name), "add the person, or correct the name")
		case p.proves(name, a.StepUp):
			able++
		}
	}
	if able > 0 && able < int(a.Count) || able == 0 && a.StepUp != "" {
		s.bad(n, fmt.Sprintf("changes needs %d, and only %d of its persons can approve", a.Count, able), "name more persons, or lower count")
	}
	p.changed = a
}

// Change is what another state of the people map would change.
type Change struct {
	// Lines tell it to people, one fact a line; none: nothing that matters changes.
	Lines []string
	// Touched are accounts, as the map in force has them, of everybody whose own
	// accounts or passkeys it adds or alters: none of them may approve it.
	Touched []string
}

// Change compares this map with one that is to take its place.
func (p *People) Change(next *People) Change {
	var c Change
	touched := map[string]bool{}
	for _, name := range union(p.names, next.names) {
		before, after := p.about(name), next.about(name)
		added, removed := minus(after, before), minus(before, after)
		if len(added)+len(removed) == 0 {
			continue
		}
		switch {
		case p.accounts[name] == nil:
			c.Lines = append(c.Lines, "+ person "+name+": "+strings.Join(after, ", "))
		case next.accounts[name] == nil:
			c.Lines = append(c.Lines, "- person "+name+": "+strings.Join(before, ", "))
		default:
			for _, what := range removed {
				c.Lines = append(c.Lines, "- "+name+": "+what)
			}
			for _, what := range added {
				c.Lines = append(c.Lines, "+ "+name+": "+what)
			}
		}
		if next.accounts[name] != nil { // whoever is only removed gains nothing
			touched[name] = true
		}
		for _, account := range next.accounts[name] { // also under another name
			if owner, ok := p.Person(account); ok {
				touched[owner] = true
			}
		}
		for _, k := range next.passkeys[name] {
			if owner := p.holder(k); owner != "" {
				touched[owner] = true
			}
		}
	}
	if p.party != next.party {
		line := "passkeys are used nowhere"
		if next.party.ID != "" {
			line = fmt.Sprintf("passkeys are used at %s (%s)", next.party.Origin, next.party.ID)
		}
		if p.party.ID != "" {
			line += fmt.Sprintf(", no longer at %s (%s)", p.party.Origin, p.party.ID)
		}
		c.Lines = append(c.Lines, line)
	}
	if was, is := approversText(p.Changes().Event()), approversText(next.Changes().Event()); was != is && (p.changed != nil || next.changed != nil) {
		c.Lines = append(c.Lines, "changes of this file are approved by "+is+", not by "+was)
	}
	for _, name := range p.names {
		if touched[name] {
			c.Touched = append(c.Touched, p.accounts[name]...)
		}
	}
	return c
}

// about lists what the map holds of a person, in words.
func (p *People) about(name string) []string {
	out := p.Accounts(name)
	for _, k := range p.passkeys[name] {
		out = append(out, "passkey "+k.Name+" ("+k.Fingerprint()+")")
	}
	return out
}

func (p *People) holder(k passkey.Key) string {
	for name, keys := range p.passkeys {
		for _, have := range keys {
			if string(have.ID) == string(k.ID) || string(have.Public) == string(k.Public) {
				return name
			}
		}
	}
	return ""
}

func union(a, b []string) []string {
	out := append(append([]string{}, a...), b...)
	slices.Sort(out)
	return slices.Compact(out)
}

func minus(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// ReadPeople reads a people map by itself; of no bytes, that of a folder without
// one. The error is a *ProblemsError.
func ReadPeople(raw []byte) (*People, error) {
	if len(raw) == 0 {
		return &People{}, nil
	}
	s := &source{file: PeopleFile}
	p := s.people(raw)
	if len(s.problems) > 0 {
		return nil, &ProblemsError{Problems: s.problems}
	}
	return p, nil
}
