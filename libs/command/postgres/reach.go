package postgres

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// Anything in a Reach is all names: event triggers, which are the target's own code
// as the triggers of a table are, run behind the statement.
const Anything = "*"

// reach finds the relations whose definitions a statement changes, where these
// are all that it changes: what it runs meanwhile (defaults, checks, expressions
// of indexes, conversions) must be PostgreSQL's own. Behind it the target's event
// triggers may change Anything. Names are unqualified: what comes or goes may also hide, or show,
// a relation of that name in another schema.
func (r *resolver) reach() {
	if r.f.Confined = r.f.Confined && r.f.Class == command.DDL && r.plain(); !r.f.Confined {
		return
	}
	var names set[string]
	if r.catalog.events {
		names.add(Anything)
	}
	if r.f.Verb != "comment" { // which nothing but a reader sees
		for _, o := range r.f.Objects {
			if r.reaches(o) {
				r.reachOf(o, &names)
			}
		}
	}
	r.f.Reach = names.list
}

// reaches reports an object whose definition changes. A new table changes nothing
// of those that it reads or refers to; a foreign key of one with rows may let
// these be changed with it.
func (r *resolver) reaches(o command.Object) bool {
	return o.Kind == "" && (o.New || r.f.Verb != "create table" && r.f.Verb != "create table as")
}

func (r *resolver) reachOf(o command.Object, names *set[string]) {
	names.add(o.Name)
	for _, rel := range r.catalog.relations {
		if rel.Name != o.Name {
			continue
		}
		list := append(r.catalog.kin(rel.OID), rel.OID)
		for _, oid := range list {
			k := r.catalog.byOID[oid]
			if k == nil {
				continue
			}
			names.add(k.Name)
			if k.coded {
				r.f.Confined = false
			}
		}
		if strings.HasPrefix(r.f.Verb, "create ") {
			continue
		}
		for _, s := range r.catalog.relations { // its sequences may go with it
			if s.Kind == 'S' && s.Schema == rel.Schema {
				names.add(s.Name)
			}
		}
	}
}

// plain reports that all functions, operators and types that a statement names
// are PostgreSQL's own, and do nothing lasting, or are in C.
func (r *resolver) plain() bool {
	if t, ok := r.f.Source.(*text); ok && slices.ContainsFunc(t.columnTypes, func(name string) bool { return !r.plainType(name) }) {
		return false
	}
	return !slices.ContainsFunc(r.f.Functions, func(f string) bool { return !r.plainFunction(f) }) &&
		!slices.ContainsFunc(r.f.Operators, func(o string) bool {
			parts := strings.Split(o, ".")
			return !builtinOperator(parts) || len(r.catalog.operators[parts[len(parts)-1]]) > 0
		}) &&
		!slices.ContainsFunc(r.f.Types, func(t string) bool { return !builtinType(strings.Split(t, ".")) && !r.plainType(t) }) &&
		!slices.ContainsFunc(r.f.Attributes, func(a string) bool { return len(r.catalog.functions[a]) > 0 })
}

func (r *resolver) plainFunction(name string) bool {
	parts := strings.Split(name, ".")
	bare := parts[len(parts)-1]
	if len(r.catalog.shadows[bare]) > 0 {
		return false
	}
	switch functionTrust(parts) {
	case trusted, writing:
		return true
	case volatile:
		return false
	case foreign:
	}
	return len(r.catalog.functions[bare]) > 0 // in C, all of that name
}

// Touches returns the name among those that a statement uses which earlier ones,
// by their Reach, have changed; empty where there is none.
func Touches(f *command.Facts, changed func(name string) bool) string {
	for _, o := range f.Objects {
		if changed(o.Name) {
			return o.Name
		}
	}
	for _, list := range [][]string{f.Types, f.Functions, f.Attributes} {
		for _, n := range list { // each relation has a type, and that an array
			n = strings.TrimPrefix(n[strings.LastIndexByte(n, '.')+1:], "_")
			if changed(n) {
				return n
			}
		}
	}
	return ""
}
