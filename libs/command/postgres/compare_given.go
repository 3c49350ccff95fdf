package postgres

import (
	"iter"
	"slices"

	"github.com/gatestay/gatestay/libs/command"
)

// given are those columns of a comparison of which what it is given for is so, or
// the columns that it is a use of then.
func (r *resolver) given(x command.Comparison, columns []command.Column) []command.Column {
	var out set[command.Column]
	for _, col := range columns {
		rel := r.catalog.relations[Name{col.Schema, col.Table}]
		switch {
		case x.Given == command.Typed:
			r.typed(&out)
		case x.Given == command.Sized && !r.array(col), x.Given == command.Routed && !r.routes(x.With, col.Name):
		case x.Given == command.Checked && rel != nil:
			for of := range r.catalog.family(rel) {
				for _, other := range of.checkedWith(col.Name) {
					out.add(of.column(other))
				}
			}
		default:
			out.add(col)
		}
	}
	return out.list
}

// withoutGiven is a comparison whose column has been found.
func withoutGiven(x command.Comparison) command.Comparison {
	if x.Given == command.Routed {
		x.With = command.Column{}
	}
	x.Given = ""
	return x
}

// routes reports that a column of this name may be of the key by which a
// relation is partitioned.
func (r *resolver) routes(by command.Column, name string) bool {
	rel := r.relation(by.Schema, by.Table)
	if rel == nil || rel.Kind != 'p' || name == "*" {
		return true
	}
	return slices.ContainsFunc(rel.Partitioned, func(number int16) bool { return number == 0 || rel.names[number] == name })
}

// typed adds the columns whose type is not PostgreSQL's own: they may be of a
// domain, of one over it, or hold values of it.
func (r *resolver) typed(out *set[command.Column]) {
	for _, rel := range r.catalog.byOID {
		for _, col := range rel.Columns {
			if !builtinType([]string{col.TypeName}) {
				out.add(rel.column(col.Name))
			}
		}
	}
}

// referred notes the columns that refer to others, whose rows are changed or go:
// an error says that they have the value.
func (r *resolver) referred(columns []command.Column, out *set[command.Comparison]) {
	for _, col := range columns {
		rel := r.catalog.relations[Name{col.Schema, col.Table}]
		if rel == nil {
			continue
		}
		for of := range r.catalog.family(rel) {
			num, ok := of.numbers[col.Name]
			for _, ref := range r.catalog.references[ColumnRef{of.OID, num}] {
				if from := r.catalog.byOID[ref.OID]; ok && from != nil {
					out.add(command.Comparison{Column: from.column(from.names[ref.Number]), Use: command.Key, With: of.column(col.Name)})
				}
			}
		}
	}
}

// family yields a relation and those that show its rows or have its columns.
func (c *Catalog) family(rel *relation) iter.Seq[*relation] {
	return func(yield func(*relation) bool) {
		for _, oid := range append(c.kin(rel.OID), rel.OID) {
			if of := c.byOID[oid]; of != nil && !yield(of) {
				return
			}
		}
	}
}

// rewritten finds the columns of a comparison that is one by what is stored.
func (r *resolver) rewritten(x command.Comparison, out *set[command.Comparison]) {
	columns, _ := r.compared(x.Column, x.Dotted)
	into := []command.Column{x.Into}
	rel := r.relation(x.Into.Schema, x.Into.Table)
	if rel != nil {
		into[0].Schema, into[0].Table = rel.Schema, rel.Name
	}
	if rel != nil && x.Into.Name == "*" && x.Column.Name == "*" && x.Use == command.Other { // a table's columns, one by one
		into = into[:0]
		for _, col := range rel.Columns {
			into = append(into, rel.column(col.Name))
		}
	}
	x.Dotted = false
	for i, col := range columns {
		x.Column = col
		switch {
		case len(into) == 1:
			x.Into = into[0]
		case i < len(into):
			x.Into = into[i]
		default:
			return
		}
		out.add(x)
	}
}
