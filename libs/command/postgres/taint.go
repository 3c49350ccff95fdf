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
	// written are the columns that this statement gives a value that may derive
	// from a masked one, and what is computed from these.
	written map[ColumnRef]bool
	// all reports that a column with an origin may derive from a masked one
	// whatever its origin.
	all bool
	// copies is what Copies returns.
	copies bool
}

// Copies reports that the statement may store values of a masked column, or
// what derives from them, where no mask is on them: INSERT INTO log SELECT
// email, CREATE TABLE AS. It is for Facts.CopiesMasked.
func (t Taint) Copies() bool { return t.copies }

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
	return masked, is, !is && (tainted || t.all || t.written[ColumnRef{oid, num}])
}

// Taint says what result columns of a resolved statement may derive from one
// of the masked columns. It is Masks and Masks.Taint in one: a caller that has
// many statements keeps the Masks.
func (c *Catalog) Taint(f *command.Facts, masked []command.Column) Taint {
	return c.Masks(masked).Taint(f)
}

// Masks are the masked columns of a target, in one catalog: themselves, in the
// tables that inherit them, and the views that read them. Immutable.
type Masks struct {
	catalog *Catalog
	// any reports that there is a masked column at all.
	any   bool
	names map[string]bool
	// columns are the masked columns by their place, with the column as the
	// masking rule names it.
	columns map[ColumnRef]command.Column
	// generated are the columns that are computed from masked ones.
	generated map[ColumnRef]bool
	// tables are the relations that have one.
	tables map[uint32]bool
	views  map[uint32]bool
}

// Masks finds the masked columns in the catalog.
func (c *Catalog) Masks(masked []command.Column) *Masks {
	if c == nil {
		c = NewCatalog(&Snapshot{})
	}
	m := &Masks{
		catalog: c, any: len(masked) > 0,
		names:   map[string]bool{},
		columns: map[ColumnRef]command.Column{},
		tables:  map[uint32]bool{},
		views:   map[uint32]bool{},

		generated: map[ColumnRef]bool{},
	}
	for _, col := range masked {
		m.names[col.Name] = true
		for _, rel := range c.named(col) {
			m.mark(rel, col, col)
			// What inherits from it has the column too, and what it inherits
			// from shows its rows.
			for _, kin := range append(c.ancestors(rel.OID), c.descendants(rel.OID)...) {
				m.mark(c.byOID[kin], col, col)
			}
		}
	}
	if m.any {
		for _, rel := range c.byOID {
			if system(rel.Schema) && has(sensitive, rel.Name) {
				m.views[rel.OID] = true
			}
		}
	}
	m.spread()
	return m
}

// named returns the relations that a masking rule's column may be one of: those
// of every schema, where the rule names none.
func (c *Catalog) named(col command.Column) []*relation {
	if col.Schema != "" {
		if rel := c.relations[Name{col.Schema, col.Table}]; rel != nil {
			return []*relation{rel}
		}
		return nil
	}
	var out []*relation
	for name, rel := range c.relations {
		if name.Name == col.Table {
			out = append(out, rel)
		}
	}
	return out
}

func (c *Catalog) descendants(oid uint32) []uint32 {
	return closure(oid, func(o uint32) []uint32 { return c.children[o] })
}

// mark notes that a relation's column of this name is a masked one.
func (m *Masks) mark(rel *relation, col, rule command.Column) {
	if rel == nil {
		return
	}
	num, ok := rel.numbers[col.Name]
	if !ok {
		return
	}
	if _, own := m.columns[ColumnRef{rel.OID, num}]; !own || (rel.Schema == rule.Schema && rel.Name == rule.Table) {
		m.columns[ColumnRef{rel.OID, num}] = rule
	}
	m.tables[rel.OID] = true
	for _, c := range rel.Columns {
		if slices.Contains(c.From, num) {
			m.generated[ColumnRef{rel.OID, c.Number}] = true
		}
	}
}

// spread finds the views that read a masked column, through other views too.
func (m *Masks) spread() {
	for changed := true; changed; {
		changed = false
		for _, rel := range m.catalog.byOID {
			if rel.view != nil && !m.views[rel.OID] && m.reaches(rel) {
				m.views[rel.OID] = true
				changed = true
			}
		}
	}
}

// reaches reports that a view's query may read a masked column.
func (m *Masks) reaches(rel *relation) bool {
	for _, ref := range rel.Reads {
		if _, ok := m.columns[ref]; ok || m.generated[ref] || m.views[ref.OID] || (ref.Number == 0 && m.tables[ref.OID]) {
			return true
		}
	}
	return rel.view.facts.Verb == "" && m.touches(rel.view.reads) || m.Taint(&rel.view.facts).Expressions
}

// touches reports that one of the relations has a masked column.
func (m *Masks) touches(list []*relation) bool {
	for _, rel := range list {
		if m.tables[rel.OID] || m.views[rel.OID] {
			return true
		}
	}
	return false
}

// column says what a column of the catalog is.
func (m *Masks) column(oid uint32, num int16) (masked command.Column, is, tainted bool) {
	const deepest = 64 // views upon views
	for range deepest {
		if rule, ok := m.columns[ColumnRef{oid, num}]; ok {
			return rule, true, false
		}
		if m.generated[ColumnRef{oid, num}] {
			return command.Column{}, false, true
		}
		rel := m.catalog.byOID[oid]
		if rel == nil {
			return command.Column{}, false, m.any // newer than the catalog
		}
		if _, ok := rel.names[num]; !ok && num > 0 {
			return command.Column{}, false, m.any // so is the column
		}
		if !m.views[oid] {
			return command.Column{}, false, false
		}
		if rel.view == nil {
			return command.Column{}, false, true
		}
		next, ok := rel.view.plain[num]
		if !ok {
			return command.Column{}, false, true
		}
		oid, num = next.OID, next.Number
	}
	return command.Column{}, false, true
}

// Taint says what result columns of a resolved statement may derive from.
func (m *Masks) Taint(f *command.Facts) Taint {
	t := Taint{Views: m.views, masks: m}
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
	t.copies = len(f.Assigned) > 0 || slices.Contains(storing, f.Verb)
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

// storing are the verbs of statements that store what a query returns.
var storing = []string{"create table as", "create materialized view", "select into"}

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
	for _, c := range f.Columns {
		if c.Table == "" {
			if m.names[c.Name] {
				return true
			}
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
		if rel == nil || m.views[rel.OID] || (f.WholeRow && m.tables[rel.OID]) {
			return true
		}
	}
	return false
}
