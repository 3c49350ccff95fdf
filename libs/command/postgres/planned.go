package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// plannable are the verbs of what PostgreSQL plans.
var plannable = []string{"select", "insert", "update", "delete", "merge"}

// Planned returns the OIDs of the relations that planning a resolved statement
// looks at, or why it must not be planned: why is empty where the catalog proves
// that the planner would run nothing but PostgreSQL's own code.
//
// Planning is not harmless by itself. It evaluates IMMUTABLE functions of
// constants, and, to estimate, STABLE ones and operators: those of the statement,
// of views, defaults, checks, row security, and the expressions and predicates of
// indexes and partition keys. What the catalog does not hold (rules, operator
// classes, extended statistics) is the caller's to ask about, by the OIDs.
func (c *Catalog) Planned(f *command.Facts) (oids []uint32, why string) {
	switch {
	case c == nil:
		return nil, "the target's catalog is not known"
	case f.Class == command.Unknown:
		return nil, f.Why
	case !slices.Contains(plannable, f.Verb) || f.Class != command.Read && f.Class != command.Write:
		return nil, "it is nothing that the target plans"
	}
	for _, field := range []string{"objects", "functions", "reads", "writes"} {
		if f.IsUnknown(field) {
			return nil, "what it touches is not known"
		}
	}
	for _, name := range f.Functions {
		if t := functionTrust(strings.Split(name, ".")); t != trusted && t != writing {
			return nil, "it calls " + name + "()"
		}
	}
	var seen set[*relation]
	for _, o := range f.Objects {
		rel := c.relations[Name{o.Schema, o.Name}]
		if o.Kind != "" || o.New || rel == nil {
			return nil, fmt.Sprintf("what planning %s would run is not known", o)
		}
		if strings.HasPrefix(o.Schema, "pg_temp") {
			return nil, rel.title() + " is temporary: only its session sees it"
		}
		c.looksAt(rel, &seen)
	}
	for _, rel := range seen.list {
		if why := c.plansCode(rel); why != "" {
			return nil, why
		}
		oids = append(oids, rel.OID)
	}
	return oids, ""
}

// looksAt adds a relation, what is below a view, and what it is part of or has as
// parts.
func (c *Catalog) looksAt(rel *relation, seen *set[*relation]) {
	if rel == nil || slices.Contains(seen.list, rel) {
		return
	}
	seen.add(rel)
	for _, b := range rel.below() {
		c.looksAt(b, seen)
	}
	for _, oid := range append(c.ancestors(rel.OID), c.children[rel.OID]...) {
		c.looksAt(c.byOID[oid], seen)
	}
}

// plansCode says why planning a statement about a relation may run code that is
// not PostgreSQL's.
func (c *Catalog) plansCode(rel *relation) string {
	switch {
	case rel.foreign:
		return rel.title() + " is a foreign table, or has one as a part"
	case rel.coded || rel.ReadCode:
		return "an expression or a type of " + rel.title() + " runs code that is not PostgreSQL's own"
	case rel.view != nil && rel.view.opaque != "":
		return "the view " + rel.title() + " " + rel.view.opaque
	}
	for _, col := range rel.Columns {
		if col.Type >= firstUserOID && !c.plainOID(col.Type) {
			return fmt.Sprintf("the type of %s.%s may run code of its own", rel.title(), col.Name)
		}
	}
	return ""
}

// firstUserOID is the first OID that is not PostgreSQL's own (FirstNormalObjectId).
const firstUserOID = 16384

func (c *Catalog) plainOID(oid uint32) bool {
	for _, t := range c.types {
		if t.OID == oid {
			return t.Plain && !t.Casts
		}
	}
	return false
}

// RelationOID returns the OID of an object of resolved facts, 0 where it is none
// or has none yet.
func (c *Catalog) RelationOID(o command.Object) uint32 {
	if c == nil || o.Kind != "" || o.New {
		return 0
	}
	if rel := c.relations[Name{o.Schema, o.Name}]; rel != nil {
		return rel.OID
	}
	return 0
}
