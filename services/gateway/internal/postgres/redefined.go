package postgres

import (
	"fmt"
	"slices"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// redefinition says how much of what is known of definitions is in doubt: what
// statements of the open transaction have changed, which a catalog that is read
// from outside of it does not show. The zero value is nothing. It may be compared.
type redefinition struct {
	// meaning is the statement that may have changed anything: functions, views or
	// who knows what. Empty for none.
	meaning string
	// relations are those that have come, gone or changed, and nothing else has.
	relations *relations
}

// relations are what one statement has changed, and what those before it have.
// Immutable.
type relations struct {
	names  []string // unqualified
	by     string   // the statement
	before *relations
	// fresh is the one that it has made, nil where that is not all known.
	fresh *pgfacts.Fresh
}

// after is what is in doubt behind one more statement.
func (d redefinition) after(f *command.Facts) redefinition {
	switch {
	case reads(f.Class), f.Class == command.Write, d.meaning != "":
	case f.Class != command.DDL || !tables[f.Verb] || !f.Confined:
		d.meaning = titled(f)
	case len(f.Reach) > 0 && !d.relations.indexes(f):
		d.relations = &relations{f.Reach, titled(f), d.relations, pgfacts.Made(f)}
	}
	return d
}

// unsure is what is in doubt where what the transaction has made may be gone.
func (d redefinition) unsure() redefinition {
	if d.relations.made() {
		d.relations = d.relations.unsure()
	}
	return d
}

func (r *relations) made() bool { return r != nil && (r.fresh != nil || r.before.made()) }

func (r *relations) unsure() *relations {
	if r == nil {
		return nil
	}
	return &relations{r.names, r.by, r.before.unsure(), nil}
}

// indexes reports an index of a table that the transaction has made, which it is
// known by as before.
func (r *relations) indexes(f *command.Facts) bool {
	return f.Verb == "create index" && !slices.ContainsFunc(f.Reach, func(name string) bool {
		return !r.has(name) || r.changed(name, r.has) != ""
	})
}

// has reports a table of this name that was made, and is all known.
func (r *relations) has(name string) bool {
	return r != nil && (r.fresh != nil && r.fresh.Name() == name || r.before.has(name))
}

// changed returns the statement that has changed a relation of this name, empty
// for none, and for those that are known although they were made.
func (r *relations) changed(name string, known func(name string) bool) string {
	for ; r != nil; r = r.before {
		if slices.Contains(r.names, name) && (r.fresh == nil || r.fresh.Name() != name || !known(name)) {
			return r.by
		}
	}
	return ""
}

// titled names a statement by what it does.
func titled(f *command.Facts) string {
	for _, o := range f.Objects {
		if o.Access == command.DDL {
			return f.Verb + " " + o.String()
		}
	}
	return f.Verb
}

// doubts returns why a statement may mean something else than its facts say,
// empty where it does not, and how much of it is not known. known are the tables
// that the transaction has made and that the facts were read with.
func (d redefinition) doubts(f *command.Facts, known func(name string) bool) (string, extent) {
	if d.meaning != "" {
		return fmt.Sprintf("an earlier statement of its text or transaction (%s) may change what it means; commit in between", d.meaning), whole
	}
	if by := d.relations.changed(pgfacts.Anything, known); by != "" {
		return fmt.Sprintf("an event trigger, which an earlier statement of its transaction runs (%s), may change what it means; commit in between", by), anyName
	}
	name := pgfacts.Touches(f, func(name string) bool { return d.relations.changed(name, known) != "" })
	if name == "" {
		return "", nothing
	}
	return fmt.Sprintf("an earlier statement of its transaction (%s) changes %s, which it uses; commit in between", d.relations.changed(name, known), name), relationsOnly
}

// extent is how much of a statement is not known.
type extent int

const (
	nothing       extent = iota
	relationsOnly        // what its relations are: tables, still, that run nothing
	// anyName is what any name of it is. It writes or defines no less and no more than
	// where a relation is not known; what it would only read may be a view by now.
	anyName
	whole // what it does at all
)

// tables are the statements that change relations and nothing that other
// statements run.
var tables = map[string]bool{
	"create table": true, "create table as": true, "alter table": true, "drop table": true, "create index": true, "drop index": true,
	"create sequence": true, "alter sequence": true, "drop sequence": true, "comment": true,
}
