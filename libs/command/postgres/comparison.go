package postgres

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// comparisons finds the uses of columns in one statement. complete is false
// where the statement is too much to follow: nothing is known then.
//
// It follows values, not names: each expression has a value that comes from
// columns, unchanged or not, and each place that lets a value decide something
// notes its columns. What a query returns is a value, too, that whoever reads
// the query can use. Two things are easily forgotten: an error and a NULL answer
// questions as well as rows do (1/(length(email)-5), substring(email from '^a')),
// so that a function, operator or cast counts as a use unless it is known to
// take any value and to keep NULL.
func comparisons(stmt *pg.Node) (found []comparison, parameters map[int32]bool, complete bool) {
	c := &comparer{budget: maxComparing, seen: map[comparison]bool{}, parameters: map[int32]bool{}}
	c.names = scope.Analysis[value]{Reader: c, Eager: true}
	c.statement(stmt, &compareScope{})
	return c.found, c.parameters, c.budget > 0
}

// maxComparing bounds the work for one statement; what is real needs some hundred.
const maxComparing = 2_000_000

// comparison is a command.Comparison whose literal is known by its place in the
// text.
type comparison struct {
	command.Comparison
	literal int32 // offset + 1
}

// comparer finds comparisons.
type comparer struct {
	names  scope.Analysis[value]
	found  []comparison
	seen   map[comparison]bool
	budget int
	// parameters are the places of all $n that were found in an equality; true
	// where it is with columns as they are.
	parameters map[int32]bool
	// stored: parameters are not those that are bound now.
	stored bool
}

// spend reports whether there is work left to be spent.
func (c *comparer) spend(n int) bool {
	c.budget -= n + 1
	return c.budget > 0
}

func (c *comparer) note(x comparison) {
	if x.Column.Name == "" || !c.spend(1) || c.seen[x] {
		return
	}
	c.seen[x] = true
	c.found = append(c.found, x)
}

// uses notes that the columns of a value are used in a way.
func (c *comparer) uses(v value, use command.Use) {
	for _, o := range v.from {
		x := comparison{Comparison: command.Comparison{Column: o.column, Use: use, Dotted: o.dotted}}
		if !o.exact && use != command.Other && use != command.Conflict && use != command.Key {
			x.Use = command.Expression
		}
		c.note(x)
	}
}

// sized notes that a value goes into an array, which fails where it is one itself
// and of another size.
func (c *comparer) sized(v value) {
	for _, o := range v.from {
		c.note(comparison{Comparison: command.Comparison{Column: o.column, Use: command.Expression, Dotted: o.dotted, Given: command.Sized}})
	}
}

// groups notes that equal values of v come together. Where constants or other
// columns are among them, that tells which are equal to these.
func (c *comparer) groups(v value) {
	if v.mixed {
		for _, o := range v.from {
			x := comparison{Comparison: command.Comparison{Column: o.column, Use: command.Other, Dotted: o.dotted}}
			if !o.exact {
				x.Use = command.Expression
			}
			c.note(x)
		}
		return
	}
	if len(v.from) < 2 {
		c.uses(v, command.Group)
		return
	}
	for i, a := range v.from {
		for j, b := range v.from {
			x := comparison{Comparison: command.Comparison{Column: a.column, Use: command.Group, With: b.column, Dotted: a.dotted, WithDotted: b.dotted}}
			if !a.exact || !b.exact {
				x.Use, x.With, x.WithDotted = command.Expression, command.Column{}, false
			}
			if i != j {
				c.note(x)
			}
		}
	}
}

// origin is a column that a value comes from.
type origin struct {
	column command.Column
	exact  bool // the value is the column's
	dotted bool // Comparison.Dotted
}

// value is what an expression comes from.
type value struct {
	from []origin
	// mixed: it may have other values than those of the columns.
	mixed bool
}

// nothing is a value that comes from no column, or whose use was noted.
var nothing = value{mixed: true}

// union is a value that may be either.
func (c *comparer) union(a, b value) value {
	out := value{from: a.from[:len(a.from):len(a.from)], mixed: a.mixed || b.mixed}
	if len(a.from) == 0 {
		out.from = b.from
		return out
	}
	c.spend(len(a.from) * len(b.from))
	for _, o := range b.from {
		if c.budget > 0 && !contains(out.from, o) {
			out.from = append(out.from, o)
		}
	}
	return out
}

func contains(list []origin, o origin) bool {
	for _, x := range list {
		if x == o {
			return true
		}
	}
	return false
}

// changed is what is computed from values.
func (c *comparer) changed(values ...value) value {
	out := nothing
	for _, v := range values {
		if len(v.from) == 0 {
			continue
		}
		loose := value{from: make([]origin, len(v.from)), mixed: true}
		c.spend(len(v.from))
		for i, o := range v.from {
			loose.from[i] = origin{column: o.column, dotted: o.dotted}
		}
		out = c.union(out, loose)
	}
	return out
}

// comparisons completes the facts by how columns are used.
func (w *walker) comparisons(stmt *pg.Node, s Statement) {
	found, parameters, complete := comparisons(stmt)
	if !complete || w.f.Verb == "do" || w.f.Verb == "call" {
		w.f.Unknown = append(w.f.Unknown, "comparisons")
		w.f.Comparisons = anyComparison()
		return
	}
	elsewhere := w.elsewhere(parameters)
	for _, x := range found {
		if x.literal > 0 {
			if x.Literal = literalAt(w.sql, w.f.Literals, int(x.literal)-1, s.Start); x.Literal == 0 {
				x.Use = command.Other
			}
		}
		x.Alone = x.Parameter > 0 && !elsewhere[x.Parameter]
		w.f.Comparisons = append(w.f.Comparisons, x.Comparison)
	}
}

// elsewhere are the parameters that stand anywhere but in an equality.
func (w *walker) elsewhere(equalities map[int32]bool) map[int]bool {
	out := map[int]bool{}
	for _, t := range w.toks {
		if t.kind != tokParam || equalities[t.start] {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(t.text(w.sql), "$")); err == nil {
			out[n] = true
		}
	}
	return out
}

// literalAt finds the literal that the tree has at an offset of the text, from
// 1; 0 where there is none. A sign stands before it.
func literalAt(sql string, list []command.Literal, offset, start int) int {
	i, _ := slices.BinarySearchFunc(list, offset-start, func(l command.Literal, at int) int { return l.Start - at })
	if i == len(list) || strings.Trim(sql[offset:start+list[i].Start], "-+ \t\r\n") != "" {
		return 0
	}
	return i + 1
}

// anyComparison stands for comparisons of which nothing is known.
func anyComparison() []command.Comparison {
	return []command.Comparison{{Column: command.Column{Name: "*"}, Use: command.Other}}
}
