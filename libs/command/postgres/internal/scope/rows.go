package scope

import "slices"

// Column is one column of a query's result, or of a FROM item.
type Column[V any] struct {
	Name  string // empty: any
	Value V
}

// Rows are what a query or a FROM item returns.
type Rows[V any] struct {
	Columns []Column[V]
	// Rest is set where there may be more columns: the value of one by its name,
	// of all of them for "*". Which place they have is not known then.
	Rest func(name string) V
	// Amount is what tells how many rows there are, filters aside; Control is
	// everything that decides which there are.
	Amount, Control V
}

// Open reports that there may be columns which are not known.
func (r *Rows[V]) Open() bool { return r.Rest != nil }

// Always is a Rest of which all columns have one value.
func Always[V any](v V) func(string) V { return func(string) V { return v } }

// All is what any of the columns may be.
func (a *Analysis[V]) All(r *Rows[V]) V {
	var v V
	if r.Rest != nil {
		v = r.Rest("*")
	}
	for _, c := range r.Columns {
		v = a.Union(v, c.Value)
	}
	return a.Computed(v)
}

// mostColumns is the server's limit for a row.
const mostColumns = 1664

// Star adds the columns of an item to those of a result.
func (a *Analysis[V]) Star(to, of *Rows[V]) {
	if len(to.Columns)+len(of.Columns) > mostColumns {
		a.Fail()
		return
	}
	to.Columns = append(to.Columns, of.Columns...)
	a.open(to, of.Rest)
}

// open lets rows have more columns.
func (a *Analysis[V]) open(r *Rows[V], rest func(string) V) {
	switch before := r.Rest; {
	case rest == nil:
	case before == nil:
		r.Rest = rest
	default:
		r.Rest = func(name string) (v V) {
			if a.Spend() { // SELECT *, * FROM (SELECT *, * FROM …
				v = a.Union(before(name), rest(name))
			}
			return v
		}
	}
}

// Renamed gives the first columns other names. Where there may be more columns
// than are known, which ones these are is not known either.
func (a *Analysis[V]) Renamed(r Rows[V], to []string) Rows[V] {
	if len(to) == 0 {
		return r
	}
	if r.Rest != nil {
		all, known := a.All(&r), r.Columns
		r.Columns = nil
		for _, name := range to {
			r.Columns = append(r.Columns, Column[V]{name, all})
		}
		a.open(&r, func(name string) V {
			var v V
			for _, c := range known {
				if c.Name == name || c.Name == "" || name == "*" {
					v = a.Union(v, c.Value)
				}
			}
			return v
		})
		return r
	}
	r.Columns = slices.Clone(r.Columns)
	for i, name := range to {
		if i < len(r.Columns) {
			r.Columns[i].Name = name
		}
	}
	return r
}

// ByName is what a column of a name may be; ok where there may be one.
func (a *Analysis[V]) ByName(r *Rows[V], name string) (v V, ok bool) {
	for _, exact := range []bool{true, false} {
		for _, c := range r.Columns {
			if c.Name == name && exact || c.Name == "" && !exact {
				if v, ok = a.either(v, ok, c.Value), true; !exact {
					v = a.Computed(v)
				}
			}
		}
		if exact && ok {
			return v, true
		}
	}
	if r.Rest != nil {
		v, ok = a.either(v, ok, r.Rest(name)), true
	}
	return v, ok
}

// either is v, and w where there is one.
func (a *Analysis[V]) either(w V, ok bool, v V) V {
	if ok {
		return a.Union(w, v)
	}
	return v
}

// At is the column at a position, from 1.
func (a *Analysis[V]) At(r *Rows[V], position int) V {
	if r.Rest == nil && position >= 1 && position <= len(r.Columns) {
		return r.Columns[position-1].Value
	}
	return a.All(r)
}

// named reports that all columns and their names are known.
func (r *Rows[V]) named() bool {
	return r.Rest == nil && !slices.ContainsFunc(r.Columns, func(c Column[V]) bool { return c.Name == "" })
}

// size grows with what rows derive from.
func (a *Analysis[V]) size(r *Rows[V]) int {
	n := len(r.Columns) + a.Size(r.Amount) + a.Size(r.Control)
	if r.Rest != nil {
		n += 1 + a.Size(r.Rest("*"))
	}
	for _, c := range r.Columns {
		n += a.Size(c.Value)
	}
	return n
}
