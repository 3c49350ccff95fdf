package scope

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func (f *from[V]) join(n *pg.JoinExpr, s *Scope[V]) (top Item[V], seen []Item[V]) {
	l, lefts := f.item(n.GetLarg(), s)
	r, rights := f.item(n.GetRarg(), s.behind(lefts))
	seen = append(lefts[:len(lefts):len(lefts)], rights...)
	if n.GetQuals() != nil {
		f.control = f.Union(f.control, f.Condition(n.GetQuals(), s.Over(seen...)))
	}
	top.Bare = true
	var merged []Column[V]
	top.Rows, merged = f.merge(&l.Rows, &r.Rows, Names(n.GetUsingClause()), n.GetIsNatural())
	if a := n.GetJoinUsingAlias(); a != nil {
		seen = append(seen, Item[V]{Alias: a.GetAliasname(), Rows: Rows[V]{Columns: merged}, Named: true})
	}
	if a := n.GetAlias(); a != nil { // it hides what is below
		top.Alias, top.Named = a.GetAliasname(), true
		top.Rows = f.Renamed(top.Rows, Names(a.GetColnames()))
		return top, []Item[V]{top}
	}
	seen = slices.Clone(seen)
	for i := range seen {
		seen[i].Bare = false
	}
	return top, append(seen, top)
}

// merge is what a join returns: the columns that both have once, then the rest
// of the left side, then that of the right one.
func (f *from[V]) merge(l, r *Rows[V], using []string, natural bool) (out Rows[V], merged []Column[V]) {
	known := l.named() && r.named()
	if natural && !known {
		return f.unclear(l, r), nil
	}
	if natural {
		for _, c := range l.Columns {
			if slices.ContainsFunc(r.Columns, func(o Column[V]) bool { return o.Name == c.Name }) {
				using = append(using, c.Name)
			}
		}
	}
	for _, name := range using {
		a, _ := f.ByName(l, name)
		b, _ := f.ByName(r, name)
		f.Equal(a, b)
		merged = append(merged, Column[V]{name, f.Union(a, b)})
	}
	out.Columns = slices.Clone(merged)
	if len(using) > 0 && !known { // which columns are left out is not known
		for _, side := range []*Rows[V]{l, r} {
			f.open(&out, func(name string) V {
				if name == "*" {
					return f.All(side)
				}
				v, _ := f.ByName(side, name)
				return v
			})
		}
		return out, merged
	}
	for _, side := range []*Rows[V]{l, r} {
		for _, c := range side.Columns {
			if c.Name == "" || !slices.Contains(using, c.Name) {
				out.Columns = append(out.Columns, c)
			}
		}
		f.open(&out, side.Rest)
	}
	return out, merged
}

// unclear is what a NATURAL JOIN returns by columns that are not known: each may
// be any.
func (f *from[V]) unclear(l, r *Rows[V]) Rows[V] {
	all := f.Union(f.All(l), f.All(r))
	f.Unclear(all)
	return Rows[V]{Rest: Always(all)}
}
