package postgres

import (
	"maps"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// Fresh is a table that a CREATE TABLE makes new and that its text tells all about:
// it has no rows but those that are put in afterwards, nothing of another
// relation's but references, only PostgreSQL's own types, and runs no code of a
// user's. A transaction that has made it knows it, though no catalog that is
// read from outside does. Immutable.
type Fresh struct {
	relation Relation
	// refers are the columns of other relations that its foreign keys refer to; a
	// Name of * is the primary key.
	refers []command.Column
}

// Made returns the table that a resolved CREATE TABLE makes, nil for other
// statements, and where its text does not tell all about it.
func Made(f *command.Facts) *Fresh {
	if t, ok := f.Source.(*text); ok && f.Confined && !f.IsUnknown("objects") {
		return t.fresh
	}
	return nil
}

// Name is the table's, unqualified.
func (t *Fresh) Name() string { return t.relation.Name }

// With is the catalog with one more table. It copies what grows with the number
// of relations.
func (c *Catalog) With(t *Fresh) *Catalog {
	out := *c
	out.relations, out.byOID = maps.Clone(c.relations), maps.Clone(c.byOID)
	rel := &relation{Relation: t.relation, numbers: map[string]int16{}, names: map[int16]string{}}
	for rel.OID = ^uint32(0); out.byOID[rel.OID] != nil; rel.OID-- { // no server's has come so far
	}
	for _, col := range rel.Columns {
		rel.numbers[col.Name], rel.names[col.Number] = col.Number, col.Name
	}
	out.relations[Name{rel.Schema, rel.Name}], out.byOID[rel.OID] = rel, rel
	return &out
}

// Concerns reports that a table, in the catalog of the masks, has a masked column
// or refers to one: an error of it may tell of its values.
func (m *Masks) Concerns(t *Fresh) bool {
	rel := m.catalog.relations[Name{t.relation.Schema, t.relation.Name}]
	if rel == nil || m.tables[rel.OID] {
		return true
	}
	return slices.ContainsFunc(t.refers, func(c command.Column) bool {
		to := m.catalog.relations[Name{c.Schema, c.Table}]
		if to == nil {
			return true
		}
		columns := to.Primary
		if c.Name != "*" {
			columns = []int16{to.numbers[c.Name]}
		}
		return slices.ContainsFunc(columns, func(number int16) bool {
			_, masked := m.columns[ColumnRef{to.OID, number}]
			return masked || m.generated[ColumnRef{to.OID, number}]
		})
	})
}

// making is what the text of a CREATE TABLE says of its table, unresolved.
type making struct {
	columns []CatalogColumn
	keys    []int16
	primary []int16
	refers  []*pg.Constraint
}

// making reads a CREATE TABLE, nil where the table has more to it than it says.
func makingOf(s *pg.CreateStmt) *making {
	if s.GetIfNotExists() || s.GetRelation().GetRelpersistence() == "t" || s.GetRelation().GetCatalogname() != "" || s.GetPartbound() != nil ||
		s.GetPartspec() != nil || len(s.GetInhRelations()) > 0 || s.GetOfTypename() != nil || s.GetAccessMethod() != "" {
		return nil
	}
	m := &making{}
	for _, n := range append(s.GetTableElts(), s.GetConstraints()...) {
		switch el := n.GetNode().(type) {
		case *pg.Node_ColumnDef:
			if !m.column(el.ColumnDef) {
				return nil
			}
		case *pg.Node_Constraint:
			if !m.constraint(el.Constraint, 0) {
				return nil
			}
		default: // LIKE
			return nil
		}
	}
	return m
}

// serials are the grammar's names for integers with a sequence.
var serials = map[string]string{
	"bigserial": "int8", "serial8": "int8", "serial": "int4", "serial4": "int4", "smallserial": "int2", "serial2": "int2",
}

func (m *making) column(d *pg.ColumnDef) bool {
	parts := names(d.GetTypeName().GetNames())
	_, name := split(parts)
	switch own, serial := serials[name]; {
	case serial && len(parts) == 1:
		name = own
	case !builtinType(parts) || d.GetTypeName().GetSetof() || d.GetTypeName().GetPctType():
		return false
	}
	if len(d.GetTypeName().GetArrayBounds()) > 0 {
		name = "_" + name
	}
	number := int16(len(m.columns) + 1) //nolint:gosec // a table has 1,600 at most
	m.columns = append(m.columns, CatalogColumn{Name: d.GetColname(), Number: number, TypeName: name})
	for _, n := range d.GetConstraints() {
		if !m.constraint(n.GetConstraint(), number) {
			return false
		}
	}
	return true
}

// constraint reads a constraint, of a column where number is not 0.
func (m *making) constraint(k *pg.Constraint, number int16) bool {
	switch k.GetContype() {
	case pg.ConstrType_CONSTR_NULL, pg.ConstrType_CONSTR_NOTNULL, pg.ConstrType_CONSTR_DEFAULT, pg.ConstrType_CONSTR_IDENTITY, pg.ConstrType_CONSTR_CHECK,
		pg.ConstrType_CONSTR_ATTR_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_DEFERRED, pg.ConstrType_CONSTR_ATTR_IMMEDIATE:
	case pg.ConstrType_CONSTR_PRIMARY:
		m.keys, m.primary = append(m.keys, number), append(m.primary, number)
	case pg.ConstrType_CONSTR_UNIQUE, pg.ConstrType_CONSTR_EXCLUSION:
		m.keys = append(m.keys, number) // 0, of several, is an expression: any
	case pg.ConstrType_CONSTR_FOREIGN:
		m.refers = append(m.refers, k)
	default:
		return false
	}
	return true
}

// fresh resolves what a CREATE TABLE makes. Its functions and types have been
// found to be PostgreSQL's own.
func (r *resolver) fresh() *Fresh {
	t, ok := r.f.Source.(*text)
	if !ok || t.makes == nil || !r.f.Confined || r.catalog.events || r.path.shadowed {
		return nil
	}
	out := &Fresh{relation: Relation{Kind: 'r', Columns: t.makes.columns, Keys: t.makes.keys, Primary: t.makes.primary}}
	for _, o := range r.f.Objects {
		if o.New && o.Kind == "" {
			out.relation.Schema, out.relation.Name = o.Schema, o.Name
		}
	}
	if n := out.relation; n.Name == "" || n.Schema == "" || n.Schema == r.path.temp || strings.HasPrefix(n.Schema, "pg_") || r.catalog.relations[Name{n.Schema, n.Name}] != nil {
		return nil
	}
	for _, key := range t.makes.refers {
		rv := key.GetPktable()
		rel := r.relation(rv.GetSchemaname(), rv.GetRelname())
		itself := rv.GetRelname() == out.relation.Name && (rv.GetSchemaname() == "" || rv.GetSchemaname() == out.relation.Schema)
		switch {
		case rel != nil && rel.Kind != 'r': // of a partitioned one the parts have keys, too
			return nil
		case rel != nil:
			columns := names(key.GetPkAttrs())
			if len(columns) == 0 {
				columns = []string{"*"}
			}
			for _, name := range columns {
				if name != "*" && !rel.has(name) {
					return nil
				}
				out.refers = append(out.refers, rel.column(name))
			}
		case !itself:
			return nil
		}
	}
	return out
}
