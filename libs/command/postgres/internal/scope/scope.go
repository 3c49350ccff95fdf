package scope

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Reader gives the parts of a statement their values.
type Reader[V any] interface {
	// Relation is a table or a view of the target, ok where there is one.
	Relation(rv *pg.RangeVar) (item Item[V], ok bool)
	// Query is what a statement inside of another returns.
	Query(n *pg.Node, at *Scope[V]) Rows[V]
	// Value is what an expression, or all expressions below a message, come to.
	Value(m protoreflect.Message, at *Scope[V]) V
	// Condition reads what a join is ON, and returns what it decides by.
	Condition(n *pg.Node, at *Scope[V]) V
	// Multiplies notes a value that tells how many rows there are.
	Multiplies(v V)
	// Equal notes that a join is where two values are equal; Unclear that values are
	// compared with each other in a way that the text does not say.
	Equal(l, r V)
	Unclear(v V)
	// Union may be either value; Computed is computed from one. Size is larger for
	// a union than for a part of it that is not the same.
	Union(l, r V) V
	Computed(v V) V
	Size(v V) int
	// Fail gives up: the server would not take the statement, or it is too much.
	Fail()
}

// Analysis reads one statement.
type Analysis[V any] struct {
	Reader[V]
	// Eager: queries of WITH are read even where nothing names them.
	Eager bool
}

// Scope is what one query level can name. It does not change once others see it.
type Scope[V any] struct {
	Items []Item[V]
	// Amount is what tells how many rows the FROM items of the level give, Windows
	// what its named windows come to.
	Amount, Windows V
	Outer           *Scope[V]
	// lateral: the query may name what was joined before it in the FROM of the
	// level that items are of.
	lateral bool
	with    *with[V]
}

// Item is a FROM item, as names find it.
type Item[V any] struct {
	Rows[V]
	Alias string
	// Schema is its relation's, where it is one without an alias.
	Schema string
	// Table: it is a relation, and has the columns that each has (ctid, ...).
	Table bool
	// Bare and Named say whether its columns are found by their bare names, and
	// whether it is by its own.
	Bare, Named bool
	// lateral: only a query that may look sideways sees it.
	lateral bool
}

// Inner is the scope of a query inside of this one.
func (s *Scope[V]) Inner() *Scope[V] { return &Scope[V]{Outer: s, with: s.with} }

// Over is this level with other items.
func (s *Scope[V]) Over(items ...Item[V]) *Scope[V] {
	return &Scope[V]{Items: items, Outer: s.Outer, with: s.with}
}

// sideways is this level as a query in its own FROM sees it.
func (s *Scope[V]) sideways(lateral bool) *Scope[V] {
	out := s.Over(s.Items...)
	out.lateral = lateral
	return out
}

// sideways marks items as what only a query that may look sideways sees.
func sideways[V any](items []Item[V]) []Item[V] {
	out := slices.Clone(items)
	for i := range out {
		out[i].lateral = true
	}
	return out
}

func (s *Scope[V]) sees(it *Item[V]) bool { return !it.lateral || s.lateral }

// Found is what a bare name may be.
type Found[V any] struct {
	// Column is the column that has the name, nil for none.
	Column *Column[V]
	// Maybe are columns that may have it, of levels further inside, or of any
	// where there is no Column.
	Maybe []V
	// Row is the item that goes by the name, where there is no Column.
	Row *Item[V]
}

// Bare looks for a column by its name alone: the innermost level that has one,
// and, since a column goes before them, the items that go by that name.
func (a *Analysis[V]) Bare(name string, s *Scope[V]) Found[V] {
	var f Found[V]
	for l := s; l != nil; l = l.Outer {
		here := f.Maybe[:len(f.Maybe):len(f.Maybe)]
		for i := range l.Items {
			it := &l.Items[i]
			if !it.Bare || !l.sees(it) {
				continue
			}
			for j := range it.Columns {
				switch c := &it.Columns[j]; {
				case c.Name == "":
					here = append(here, a.Computed(c.Value))
				case c.Name == name && f.Column != nil:
					a.Fail() // ambiguous, as the server says too
				case c.Name == name:
					f.Column = c
				}
			}
			if it.Rest != nil {
				here = append(here, it.Rest(name))
			}
		}
		if f.Column != nil {
			return f
		}
		f.Maybe = here
	}
	f.Row = a.Find("", name, s)
	return f
}

// Find finds an item by its alias, or by its relation's schema and name; nil for
// none.
func (a *Analysis[V]) Find(schema, alias string, s *Scope[V]) *Item[V] {
	for l := s; l != nil; l = l.Outer {
		var hit *Item[V]
		for i := range l.Items {
			it := &l.Items[i]
			if !it.Named || !l.sees(it) || it.Alias != alias || schema != "" && it.Schema != schema {
				continue
			}
			if hit != nil {
				a.Fail()
			}
			hit = it
		}
		if hit != nil {
			return hit
		}
	}
	return nil
}

// Visible are the items that a star of all is of.
func (s *Scope[V]) Visible() []Item[V] {
	var out []Item[V]
	for i := range s.Items {
		if s.Items[i].Bare && s.sees(&s.Items[i]) {
			out = append(out, s.Items[i])
		}
	}
	return out
}

// Amounts is what an aggregate here would tell of the number of rows: it may be
// one of an outer query.
func (a *Analysis[V]) Amounts(s *Scope[V]) V {
	var v V
	for ; s != nil; s = s.Outer {
		v = a.Union(v, s.Amount)
	}
	return v
}
