package postgres

import (
	"slices"

	"github.com/gatestay/gatestay/libs/command"
)

// Taint says what the columns of one statement's result may derive from.
type Taint struct {
	// Expressions reports that a column without an origin (an expression, an
	// arm of a set operation) may derive from a masked column.
	Expressions bool
	// Views are the views, by OID, whose columns may derive from a masked
	// column. Where Column knows better of one column, it counts.
	Views map[uint32]bool

	masks *Masks
	facts *command.Facts
	// written are the columns that this statement gives a value that may derive
	// from a masked one, and what is computed from these.
	written map[ColumnRef]bool
	// all reports that a column with an origin may derive from a masked one
	// whatever its origin.
	all bool
}

// Column says what a result column with this origin is: the masked column
// whose values it has unchanged, or tainted where it may derive from one, or
// neither. An origin of 0 is an expression.
func (t Taint) Column(oid uint32, num int16) (masked command.Column, is, tainted bool) {
	if oid == 0 || num == 0 {
		return command.Column{}, false, t.Expressions
	}
	if t.masks == nil {
		return command.Column{}, false, false
	}
	masked, is, tainted = t.masks.column(oid, num)
	if is && t.written[ColumnRef{oid, num}] {
		// What it is given may be of another masked column, which its own mask
		// shows more of.
		return command.Column{}, false, true
	}
	return masked, is, !is && (tainted || t.all || t.written[ColumnRef{oid, num}])
}

// Judgment says what a result column is: Masked, the column whose values it has
// unchanged, where Is is set; Tainted, where it may derive from a masked one; or
// neither.
type Judgment struct {
	Masked      command.Column
	Is, Tainted bool
}

// Columns judges the columns of a result by the origins that its description
// gives; an OID of 0 is an expression. An expression is judged by its own
// lineage where that is proved, and fits the description, else by all that the
// statement touches.
func (t Taint) Columns(origins []ColumnRef) []Judgment {
	out := make([]Judgment, len(origins))
	var proved *rows
	asked := false
	for i, o := range origins {
		j := &out[i]
		j.Masked, j.Is, j.Tainted = t.Column(o.OID, o.Number)
		if !j.Tainted || (o.OID != 0 && o.Number != 0) || t.all {
			continue
		}
		if !asked {
			proved, asked = t.proved(origins), true
		}
		if proved != nil {
			j.Tainted = len(proved.Columns[i].Value.from) > 0
		}
	}
	return out
}

// proved returns the lineage of the statement where it fits a description.
func (t Taint) proved(origins []ColumnRef) *rows {
	r := t.masks.lineage(t.facts, t.written)
	if r == nil || r.Open() || len(r.Columns) != len(origins) {
		return nil
	}
	for i, c := range r.Columns {
		if o := c.Value.origin; o != (ColumnRef{}) && origins[i].OID != 0 && origins[i].Number > 0 && o != origins[i] {
			return nil
		}
	}
	return r
}

// Taint says what result columns of a resolved statement may derive from one
// of the masked columns. It is Masks and Masks.Taint in one: a caller that has
// many statements keeps the Masks.
func (c *Catalog) Taint(f *command.Facts, masked []command.Column) Taint {
	return c.Masks(masked).Taint(f)
}

// Taint says what result columns of a resolved statement may derive from.
func (m *Masks) Taint(f *command.Facts) Taint {
	t := Taint{Views: m.views, masks: m, facts: f}
	if !m.any || f.Class == command.Session {
		return t
	}
	t.all = m.rewrites(f)
	t.Expressions = t.all || f.Class == command.Unknown || f.IsUnknown("objects") || m.mentions(f)
	if !t.Expressions {
		return t
	}
	// Nothing is known of what it runs: a write perhaps, as EXECUTE may. A
	// cursor's query only reads.
	t.all = t.all || f.Class == command.Unknown && len(f.Objects) == 0 && f.Verb != "fetch"
	t.written = m.written(f)
	return t
}

// rewrites reports that a write runs code that decides what it returns.
func (m *Masks) rewrites(f *command.Facts) bool {
	return slices.ContainsFunc(f.Objects, func(o command.Object) bool {
		if o.Kind != "" || o.Access != command.Write {
			return false
		}
		rel := m.catalog.relations[Name{o.Schema, o.Name}]
		return rel == nil || rel.Rewrites
	})
}

// written are the columns that a statement's RETURNING can show its computed
// values by: those it assigns, columns generated from them, and any of a view
// that it writes.
func (m *Masks) written(f *command.Facts) map[ColumnRef]bool {
	out := map[ColumnRef]bool{}
	for _, c := range f.Assigned {
		rel := m.catalog.relations[Name{c.Schema, c.Table}]
		if rel == nil {
			continue // newer than the catalog, as all its columns
		}
		num := rel.numbers[c.Name]
		out[ColumnRef{rel.OID, num}] = true
		for _, col := range rel.Columns {
			if rel.view != nil || slices.Contains(col.From, num) {
				out[ColumnRef{rel.OID, col.Number}] = true
			}
		}
	}
	return out
}

// mentions reports that a statement names a masked column, or touches a
// relation from which one may flow without being named.
func (m *Masks) mentions(f *command.Facts) bool {
	strange := false // a name that is no column of what is read: an alias, or newer than the catalog
	for _, c := range f.Columns {
		if c.Table == "" {
			if m.names[fold(c.Name)] && !f.Catalog { // a catalog's outputs may have any name
				return true
			}
			strange = strange || !f.Catalog
			continue
		}
		rel := m.catalog.relations[Name{c.Schema, c.Table}]
		if rel == nil {
			return true
		}
		place := ColumnRef{rel.OID, rel.numbers[c.Name]}
		if _, ok := m.columns[place]; ok || m.generated[place] {
			return true
		}
	}
	for _, o := range f.Objects {
		if o.Kind != "" || o.New {
			continue
		}
		rel := m.catalog.relations[Name{o.Schema, o.Name}]
		if rel == nil || m.views[rel.OID] || ((f.WholeRow || strange) && m.tables[rel.OID]) {
			return true
		}
	}
	return false
}
