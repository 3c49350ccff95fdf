package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// trace is what a value derives from.
type trace struct {
	from derived
	// origin is the column that it has the unchanged values of, where it is one.
	origin ColumnRef
}

type (
	rows  = scope.Rows[trace]
	level = scope.Scope[trace]
	item  = scope.Item[trace]
)

var _ scope.Reader[trace] = (*prover)(nil)

// Relation reads a relation of the catalog.
func (p *prover) Relation(rv *pg.RangeVar) (out item, ok bool) {
	rel := p.masks.catalog.find(p.path, rv.GetSchemaname(), rv.GetRelname())
	if rel == nil {
		return item{}, false
	}
	out = item{Alias: rel.Name, Schema: rel.Schema, Table: true}
	for _, c := range rel.Columns {
		ref := ColumnRef{rel.OID, c.Number}
		v := trace{origin: ref}
		switch masked, is, tainted := p.masks.column(rel.OID, c.Number); {
		case is:
			v.from = derived{masked}
		case tainted || p.written[ref]:
			v.from = derived{rel.column(c.Name)}
		}
		out.Columns = append(out.Columns, scope.Column[trace]{Name: c.Name, Value: v})
	}
	return out, true
}

// Query implements scope.Reader.
func (p *prover) Query(n *pg.Node, at *level) rows { return p.query(n, at) }

// Value implements scope.Reader.
func (p *prover) Value(m protoreflect.Message, at *level) trace { return trace{from: p.derive(m, at)} }

// Condition implements scope.Reader.
func (p *prover) Condition(n *pg.Node, at *level) trace { return trace{from: p.leniently(at, n)} }

// Multiplies implements scope.Reader: as Equal and Unclear, it is for comparisons.
func (p *prover) Multiplies(trace) {}

// Equal implements scope.Reader.
func (p *prover) Equal(trace, trace) {}

// Unclear implements scope.Reader.
func (p *prover) Unclear(trace) {}

// Union implements scope.Reader.
func (p *prover) Union(l, r trace) trace {
	out := trace{from: l.from.and(r.from)}
	if l.origin == r.origin {
		out.origin = l.origin
	}
	return out
}

// Computed implements scope.Reader.
func (p *prover) Computed(v trace) trace { return trace{from: v.from} }

// Size implements scope.Reader.
func (p *prover) Size(v trace) int {
	if v.origin == (ColumnRef{}) {
		return 2*len(v.from) + 1
	}
	return 2 * len(v.from)
}

// Spend implements scope.Reader.
func (p *prover) Spend() bool {
	if p.steps++; p.steps > maxSteps {
		p.failed = true
	}
	return !p.failed
}

// Fail implements scope.Reader.
func (p *prover) Fail() { p.failed = true }

// column returns what a column reference is.
func (p *prover) column(n *pg.ColumnRef, s *level) trace {
	parts := names(n.GetFields())
	star := len(parts) < len(n.GetFields())
	switch {
	case star:
		var d derived
		for _, it := range p.starred(parts, s) {
			d = d.and(p.all(&it.Rows))
		}
		return trace{from: d}
	case len(parts) == 1:
		return p.bare(parts[0], s)
	case len(parts) == 2 || len(parts) == 3:
		if it := p.item(parts[:len(parts)-1], s); it != nil {
			return p.of(it, parts[len(parts)-1])
		}
	}
	p.fail()
	return trace{}
}

// all is what any of the columns derives from.
func (p *prover) all(r *rows) derived { return p.names.All(r).from }

// bare is a column by its name alone, or a whole row.
func (p *prover) bare(name string, s *level) trace {
	f := p.names.Bare(name, s)
	var maybe derived
	for _, v := range f.Maybe {
		maybe = maybe.and(v.from)
	}
	switch {
	case f.Column != nil && len(f.Maybe) == 0:
		return f.Column.Value
	case f.Column != nil:
		return trace{from: f.Column.Value.from.and(maybe)}
	case f.Row != nil:
		return trace{from: p.all(&f.Row.Rows).and(maybe)}
	case len(f.Maybe) == 0 && !has(systemColumns, name):
		p.fail()
	}
	return trace{from: maybe}
}

// item finds an item by its alias, or by its relation's qualified name.
func (p *prover) item(parts []string, s *level) *item {
	schema, alias := split(parts)
	if len(parts) == 2 {
		if schema = p.path.schema(schema); schema == "" {
			return nil
		}
	}
	return p.names.Find(schema, alias, s)
}

// of is a column of an item, or where it has none of that name a function of
// its whole row.
func (p *prover) of(it *item, name string) trace {
	hits := slices.DeleteFunc(slices.Clone(it.Columns), func(c scope.Column[trace]) bool { return c.Name != name })
	switch {
	case len(hits) > 1:
		p.fail()
	case len(hits) == 1:
		return hits[0].Value
	case it.Table && has(systemColumns, name):
		return trace{}
	}
	return trace{from: p.all(&it.Rows)}
}

// starred are the items that a star is of.
func (p *prover) starred(qualifier []string, s *level) []item {
	if len(qualifier) == 0 {
		return s.Visible()
	}
	if len(qualifier) < 3 {
		if it := p.item(qualifier, s); it != nil {
			return []item{*it}
		}
	}
	p.fail()
	return nil
}

// amounts is what an aggregate would tell of the number of rows.
func (p *prover) amounts(s *level) derived { return p.names.Amounts(s).from }

// place is a column of the relation that a statement writes.
func (t *target) place(name string) command.Column { return t.rel.column(name) }

func (t *target) temporary() bool { return temporary(t.rel.Schema) }

// target is the relation that a statement writes, and its item.
type target struct {
	item
	rel *relation
}
