package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// scope is what one query level can name. It does not change once others see it.
type scope struct {
	items []item
	// lateral: the query may name what was joined before it in the FROM of the
	// level that items are of.
	lateral bool
	outer   *scope
	ctes    *withScope
	// windows is what all named windows of the level derive from.
	windows derived
	// amount is what tells how many rows its FROM items give.
	amount derived
}

// item is a FROM item, as names find it.
type item struct {
	rows
	alias string
	// rel is its relation, where it has no alias in the text.
	rel *relation
	// written is the relation that a statement writes, whose item this is.
	written *relation
	// table: it is a relation, and has the columns that each has (ctid, ...).
	table bool
	// columns and name say whether its columns are found by their bare names,
	// and whether it is by its own.
	columns, name bool
	// lateral: only a query that may look sideways sees it.
	lateral bool
}

// inner is the scope of a query inside of this one.
func (s *scope) inner() *scope { return &scope{outer: s, ctes: s.ctes} }

// sideways is this level as a query in its own FROM sees it.
func (s *scope) sideways(lateral bool) *scope {
	return &scope{items: s.items, lateral: lateral, outer: s.outer, ctes: s.ctes}
}

// amounts is what an aggregate here would tell of the number of rows: it may be
// one of an outer query.
func (s *scope) amounts() derived {
	var d derived
	for ; s != nil; s = s.outer {
		d = d.and(s.amount)
	}
	return d
}

func (s *scope) sees(it *item) bool { return !it.lateral || s.lateral }

// found is what a lookup has gathered on its way.
type found struct {
	maybe derived // of items that may have the name, too
	any   bool    // there are such
}

// column returns what a column reference is.
func (p *prover) column(n *pg.ColumnRef, s *scope) output {
	parts := names(n.GetFields())
	star := len(parts) < len(n.GetFields())
	switch {
	case star:
		var d derived
		for _, it := range p.starred(parts, s) {
			d = d.and(it.all())
		}
		return output{from: d}
	case len(parts) == 1:
		return p.bare(parts[0], s)
	case len(parts) == 2 || len(parts) == 3:
		it := p.named(parts[:len(parts)-1], s)
		if it == nil {
			p.fail()
			return output{}
		}
		return p.of(it, parts[len(parts)-1])
	}
	p.fail()
	return output{}
}

// bare looks for a column by its name alone: the innermost level that has one,
// and, since a column goes before them, the items that go by that name.
func (p *prover) bare(name string, s *scope) output {
	var f found
	for l := s; l != nil; l = l.outer {
		var hit *output
		here := f
		for i := range l.items {
			it := &l.items[i]
			if !it.columns || !l.sees(it) {
				continue
			}
			for j := range it.outputs {
				switch o := &it.outputs[j]; {
				case o.name == "":
					here.maybe, here.any = here.maybe.and(o.from), true
				case o.name == name && hit != nil:
					p.fail() // ambiguous, as the server says too
				case o.name == name:
					hit = o
				}
			}
			if it.open {
				here.maybe, here.any = here.maybe.and(it.rest), true
			}
		}
		if hit != nil {
			if f.any {
				return output{name: name, from: hit.from.and(f.maybe)}
			}
			return output{name: name, from: hit.from, origin: hit.origin}
		}
		f = here
	}
	if it := p.named([]string{name}, s); it != nil { // the whole row
		return output{name: name, from: it.all().and(f.maybe)}
	}
	if !f.any && !systemColumn(name) {
		p.fail()
	}
	return output{name: name, from: f.maybe}
}

// named finds an item by its alias, or by its relation's qualified name.
func (p *prover) named(parts []string, s *scope) *item {
	for l := s; l != nil; l = l.outer {
		var hit *item
		for i := range l.items {
			it := &l.items[i]
			if !it.name || !l.sees(it) || it.alias != parts[len(parts)-1] {
				continue
			}
			if len(parts) == 2 && (it.rel == nil || it.rel.Schema != p.path.schema(parts[0])) {
				continue
			}
			if hit != nil {
				p.fail()
			}
			hit = it
		}
		if hit != nil {
			return hit
		}
	}
	return nil
}

// of is a column of an item, or where it has none of that name a function of
// its whole row.
func (p *prover) of(it *item, name string) output {
	var hit *output
	for j := range it.outputs {
		if it.outputs[j].name != name {
			continue
		}
		if hit != nil {
			p.fail()
		}
		hit = &it.outputs[j]
	}
	switch {
	case hit != nil:
		return *hit
	case it.table && systemColumn(name):
		return output{name: name}
	}
	return output{name: name, from: it.all()}
}

// starred are the items that a star is of.
func (p *prover) starred(qualifier []string, s *scope) []item {
	if len(qualifier) > 0 {
		if len(qualifier) < 3 {
			if it := p.named(qualifier, s); it != nil {
				return []item{*it}
			}
		}
		p.fail()
		return nil
	}
	var out []item
	for i := range s.items {
		if s.items[i].columns && s.sees(&s.items[i]) {
			out = append(out, s.items[i])
		}
	}
	return out
}

func systemColumn(name string) bool {
	return slices.Contains([]string{"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}, name)
}

// withScope has the queries of WITH clauses, innermost first.
type withScope struct {
	byName map[string]*withQuery
	outer  *withScope
}

// withQuery is one query of a WITH clause.
type withQuery struct {
	node *pg.CommonTableExpr
	env  *scope
	// done: rows are final; busy: they are so far, while it is being read.
	done, busy bool
	rows       rows
}

func (w *withScope) find(name string) *withQuery {
	for ; w != nil; w = w.outer {
		if q := w.byName[name]; q != nil {
			return q
		}
	}
	return nil
}
