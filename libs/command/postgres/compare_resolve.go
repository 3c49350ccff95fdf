package postgres

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// comparisons finds the columns that comparisons are about.
func (r *resolver) comparisons() {
	var out set[command.Comparison]
	for _, x := range r.f.Comparisons {
		if x.Into != (command.Column{}) {
			r.rewritten(x, &out)
			continue
		}
		columns, attribute := r.compared(x.Column, x.Dotted)
		if x.Given == command.Referred {
			r.referred(columns, &out)
			continue
		}
		if x.Given != "" {
			columns, x = r.given(x, columns), withoutGiven(x)
		}
		if r.strange && x.Use != command.Key && x.Use != command.Conflict { // an operator is not PostgreSQL's
			x.Use, x.Literal, x.Parameter = command.Other, 0, 0
		}
		with := []command.Column{{}}
		if x.With != (command.Column{}) {
			// Where there is no such column, another that it may be is in the list.
			with, _ = r.compared(x.With, x.WithDotted)
		}
		for _, col := range columns {
			y := x
			y.Column, y.Dotted, y.WithDotted = col, false, false
			if attribute {
				y.Use, y.Literal, y.Parameter = command.Expression, 0, 0
			}
			if y.Use == command.Key && !r.keyed(col) {
				continue
			}
			for _, y.With = range with {
				out.add(y)
			}
		}
	}
	r.f.Comparisons = out.list
}

// systemColumns are what every table has beside its columns.
var systemColumns = []string{"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"}

// compared are the columns that one of a comparison may be. attribute reports
// that it is no column, but a function of the whole row.
func (r *resolver) compared(c command.Column, dotted bool) (list []command.Column, attribute bool) {
	if c.Table == "" {
		var out set[command.Column]
		r.candidates(c, &out)
		return out.list, false
	}
	rel := r.relation(c.Schema, c.Table)
	switch {
	case rel == nil:
		return []command.Column{c}, false
	case rel.has(c.Name):
		return []command.Column{rel.column(c.Name)}, false
	case has(systemColumns, c.Name), !dotted && c.Name != "*":
		return nil, false
	}
	all := make([]command.Column, len(rel.Columns))
	for i, col := range rel.Columns {
		all[i] = rel.column(col.Name)
	}
	return all, c.Name != "*"
}

// keyed reports that a key may check the values of a column: the error tells
// whether there is such a value. What is not known may be.
func (r *resolver) keyed(c command.Column) bool {
	rel := r.catalog.relations[Name{c.Schema, c.Table}]
	if rel == nil || rel.view != nil {
		return true
	}
	for _, oid := range append(r.catalog.kin(rel.OID), rel.OID) {
		k := r.catalog.byOID[oid]
		if k == nil {
			continue
		}
		num, ok := k.numbers[c.Name]
		if !ok {
			continue
		}
		if slices.Contains(k.Keys, num) || slices.Contains(k.Keys, 0) ||
			slices.ContainsFunc(k.References, func(f Reference) bool { return f.Number == num }) {
			return true
		}
	}
	return false
}

// array reports that a column may be an array.
func (r *resolver) array(c command.Column) bool {
	rel := r.catalog.relations[Name{c.Schema, c.Table}]
	if rel == nil {
		return true
	}
	i := slices.IndexFunc(rel.Columns, func(col CatalogColumn) bool { return col.Name == c.Name })
	if i < 0 {
		return !has(systemColumns, c.Name)
	}
	name := rel.Columns[i].TypeName
	return strings.HasPrefix(name, "_") || strings.HasSuffix(name, "vector") || !builtinType([]string{name})
}

// compared of a masked column that is given to another one: its own mask may show
// more of the value, or of what is computed from it.
func (m *Masks) rewritten(x command.Comparison, f *command.Facts, out *set[command.Compared]) {
	var into []command.Column
	if rel := m.catalog.relations[Name{x.Into.Schema, x.Into.Table}]; rel != nil && x.Into.Name == "*" {
		if !m.tables[rel.OID] && !m.views[rel.OID] {
			return
		}
	} else if into, _ = m.of(x.Into, f); len(into) == 0 {
		return
	}
	masks, exact := m.of(x.Column, f)
	for _, mask := range masks {
		same := len(into) == 1 && into[0] == mask
		if x.Use == command.Other && exact && same {
			continue
		}
		y := command.Compared{Comparison: x, Mask: mask, Same: same}
		if y.Use = command.Expression; x.Use == command.Other && exact {
			y.Use = command.Join
		} else {
			y.Same = true
		}
		y.Into = command.Column{}
		out.add(y)
	}
}

// plainStatistics are the columns of the catalogs of statistics that hold no
// values of columns.
var plainStatistics = []string{
	"attname", "attnames", "avg_width", "backend_type", "correlation", "datid", "datname", "inherited", "n_distinct", "null_frac", "pid",
	"schemaname", "staattnum", "stainherit", "stanullfrac", "starelid", "state", "statistics_name", "statistics_schemaname", "tablename",
	"usename", "usesysid", "wait_event", "wait_event_type",
}

// Compared are the comparisons of a resolved statement that are about masked
// columns, themselves or what may derive from them. Where the statement could
// not be followed, there is one of a column without a name.
func (m *Masks) Compared(f *command.Facts) []command.Compared {
	if !m.any || f.Class == command.Session {
		return nil
	}
	if f.IsUnknown("comparisons") && len(f.Comparisons) > 0 {
		return []command.Compared{{Comparison: command.Comparison{Use: command.Other}, Same: true, Why: f.Why}}
	}
	var out set[command.Compared]
	for _, x := range f.Comparisons {
		if f.Verb == "prepare" && x.Parameter > 0 {
			continue // EXECUTE says with what value, and is asked then
		}
		if x.Into != (command.Column{}) {
			m.rewritten(x, f, &out)
			continue
		}
		masks, exact := m.of(x.Column, f)
		for _, mask := range masks {
			x := x
			if x.Use == command.Key && x.With != (command.Column{}) {
				if m.under(x.With, f, mask) {
					continue // it tells that two columns under one mask are equal, as a join does
				}
				x.With = command.Column{}
			}
			y := command.Compared{Comparison: x, Mask: mask, Same: x.Use != command.Join || x.With != (command.Column{})}
			if !exact && x.Use != command.Other {
				y.Use, y.Literal, y.Parameter = command.Expression, 0, 0
			}
			if x.With != (command.Column{}) {
				y.Same = m.under(x.With, f, mask)
			}
			y.Alone = x.Alone && m.only(f, x.Parameter, mask)
			out.add(y)
		}
	}
	return out.list
}

// of are the masks that a column is or may be under; a zero one where it may
// derive from any. exact: its values are those of the masked column.
func (m *Masks) of(c command.Column, f *command.Facts) (masks []command.Column, exact bool) {
	rel := m.catalog.relations[Name{c.Schema, c.Table}]
	if c.Table == "" || rel == nil {
		if f.Catalog || !m.names[fold(c.Name)] && c.Name != "*" {
			return nil, true
		}
		for _, mask := range m.ruled {
			if c.Name == "*" || strings.EqualFold(mask.Name, c.Name) {
				masks = append(masks, mask)
			}
		}
		return masks, true
	}
	if system(rel.Schema) && has(plainStatistics, c.Name) {
		return nil, true
	}
	num := rel.numbers[c.Name]
	masked, is, tainted := m.column(rel.OID, num)
	switch d, known := m.proved[rel.OID][num]; {
	case is:
		return []command.Column{masked}, true
	case tainted && known:
		return d, false
	case tainted:
		return []command.Column{{}}, false
	}
	return nil, true
}

// under reports that a column has the values of one under the mask, and of no
// other.
func (m *Masks) under(c command.Column, f *command.Facts, mask command.Column) bool {
	masks, exact := m.of(c, f)
	return exact && len(masks) == 1 && masks[0] == mask
}

// only reports that all equalities with a parameter are with columns of one mask.
func (m *Masks) only(f *command.Facts, parameter int, mask command.Column) bool {
	return !slices.ContainsFunc(f.Comparisons, func(x command.Comparison) bool {
		return x.Parameter == parameter && !m.under(x.Column, f, mask)
	})
}
