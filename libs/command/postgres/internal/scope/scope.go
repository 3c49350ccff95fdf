package scope

import (
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
	// Spend counts a step, and is false where there are to be no more.
	Spend() bool
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
	// beside are the items that were joined before a place in the FROM of the
	// level; lateral: what is read may name them.
	beside  [][]Item[V]
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
}

// Inner is the scope of a query inside of this one.
func (s *Scope[V]) Inner() *Scope[V] { return &Scope[V]{Outer: s, with: s.with} }

// Over is this level with other items.
func (s *Scope[V]) Over(items ...Item[V]) *Scope[V] {
	return &Scope[V]{Items: items, Outer: s.Outer, with: s.with}
}

// behind is a place in the FROM of this level after more items.
func (s *Scope[V]) behind(items []Item[V]) *Scope[V] {
	return &Scope[V]{beside: append(s.beside[:len(s.beside):len(s.beside)], items), Outer: s.Outer, with: s.with}
}

// sideways is a place in a FROM as what is read there sees it.
func (s *Scope[V]) sideways(lateral bool) *Scope[V] {
	return &Scope[V]{beside: s.beside, lateral: lateral, Outer: s.Outer, with: s.with}
}

// items yields those that the level sees.
func (s *Scope[V]) items(yield func(*Item[V]) bool) {
	for i := range s.Items {
		if !yield(&s.Items[i]) {
			return
		}
	}
	for _, list := range s.beside {
		for i := range list {
			if s.lateral && !yield(&list[i]) {
				return
			}
		}
	}
}

// Width is how many items a name may be looked for among.
func (s *Scope[V]) Width() int {
	n := 0
	for l := s; l != nil; l = l.Outer {
		n += len(l.Items)
		for _, list := range l.beside {
			n += len(list)
		}
	}
	return n
}

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
		for it := range l.items {
			if !it.Bare {
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
		for it := range l.items {
			if !it.Named || it.Alias != alias || schema != "" && it.Schema != schema {
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
		if s.Items[i].Bare {
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
