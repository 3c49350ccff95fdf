package postgres

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// Masks are the masked columns of a target, in one catalog: themselves, in the
// tables that inherit them, and the views that read them. Immutable.
type Masks struct {
	catalog *Catalog
	// index has the catalog's relations by their folded names.
	index map[string][]*relation
	// any reports that there is a masked column at all.
	any bool
	// names are those of masked columns, folded.
	names map[string]bool
	// ruled are the masked columns as masking rules name them.
	ruled []command.Column
	// columns are the masked columns by their place, with the column as the
	// masking rule names it, in the letter case that the catalog has.
	columns map[ColumnRef]command.Column
	// generated are the columns that are computed from masked ones.
	generated map[ColumnRef]bool
	// tables are the relations that have one.
	tables map[uint32]bool
	views  map[uint32]bool
	// proved is the lineage of the columns of those views, by their number,
	// where it is known.
	proved map[uint32]map[int16]derived
	// missing is what Missing returns.
	missing []command.Column
}

// Missing are the masked columns that the catalog does not have: renamed or
// dropped, or a mistake. Their masks fail closed: where the table is there, all
// of its columns are tainted; where it is not, every column of that name in
// any schema of a user is masked.
func (m *Masks) Missing() []command.Column { return slices.Clone(m.missing) }

// Masks finds the masked columns in the catalog, and those that they were copied
// to: of these a Name of * is all of a relation, and one that is not there is
// nothing. Letter case of what rules name is ignored, as masking.Column.Covers
// does: one that names "eMail" without its quotes is a mask of it all the same.
func (c *Catalog) Masks(masked []command.Column, copies ...command.Column) *Masks {
	unknown := c == nil
	if unknown {
		c = NewCatalog(&Snapshot{})
	}
	m := &Masks{
		catalog: c, index: map[string][]*relation{}, any: len(masked)+len(copies) > 0, ruled: slices.Clone(masked),
		names:   map[string]bool{},
		columns: map[ColumnRef]command.Column{},
		tables:  map[uint32]bool{},
		views:   map[uint32]bool{},

		generated: map[ColumnRef]bool{},
		proved:    map[uint32]map[int16]derived{},
	}
	for name, rel := range c.relations {
		m.index[fold(name.Name)] = append(m.index[fold(name.Name)], rel)
	}
	for _, col := range masked {
		m.names[fold(col.Name)] = true
		m.find(col)
	}
	for _, col := range copies {
		m.names[fold(col.Name)] = true
		m.markNamed(m.named(col, exactly), col, exactly)
	}
	if m.any {
		for _, rel := range c.byOID {
			if system(rel.Schema) && has(sensitive, rel.Name) {
				m.views[rel.OID] = true
			}
		}
	}
	m.spread()
	for oid := range m.views {
		m.proveView(c.byOID[oid])
	}
	if unknown {
		m.missing = nil // nothing is known of any
	}
	return m
}

// find marks the columns that a masking rule names, and where it names none
// what may have been that column.
func (m *Masks) find(col command.Column) {
	named := m.named(col, strings.EqualFold)
	if m.markNamed(named, col, strings.EqualFold) {
		return
	}
	m.missing = append(m.missing, col)
	for _, rel := range named {
		for _, c := range rel.Columns {
			m.mark(flow{ColumnRef{rel.OID, c.Number}, true, true}, col)
		}
	}
	if len(named) > 0 {
		return
	}
	for _, rel := range m.catalog.byOID {
		if !system(rel.Schema) {
			m.markNamed([]*relation{rel}, col, strings.EqualFold)
		}
	}
}

// markNamed marks the column of this name where relations have it, and reports
// whether any has.
func (m *Masks) markNamed(list []*relation, col command.Column, same likeness) bool {
	found := false
	for _, rel := range list {
		found = found || col.Name == "*"
		for _, c := range rel.Columns {
			if col.Name == "*" || same(col.Name, c.Name) {
				found = true
				m.mark(flow{ColumnRef{rel.OID, c.Number}, false, true}, spelled(col, rel, c.Name))
			}
		}
	}
	return found
}

// spelled is a rule's column in the letter case of the catalog. One that is
// only taken for the column of the rule stays as it is.
func spelled(col command.Column, rel *relation, name string) command.Column {
	if !strings.EqualFold(col.Table, rel.Name) {
		return col
	}
	col.Table = rel.Name
	if col.Schema != "" {
		col.Schema = rel.Schema
	}
	if col.Name != "*" {
		col.Name = name
	}
	return col
}

// likeness says whether two names are the same.
type likeness func(a, b string) bool

func exactly(a, b string) bool { return a == b }

// named returns the relations that a masking rule's column may be one of: those
// of every schema, where the rule names none.
func (m *Masks) named(col command.Column, same likeness) []*relation {
	var out []*relation
	for _, rel := range m.index[fold(col.Table)] {
		if same(rel.Name, col.Table) && (col.Schema == "" || same(rel.Schema, col.Schema)) {
			out = append(out, rel)
		}
	}
	return out
}

// fold is a name without its letter case.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }

func (c *Catalog) descendants(oid uint32) []uint32 {
	return closure(oid, func(o uint32) []uint32 { return c.children[o] })
}

// kin are the relations that show a relation's rows or have its column: what
// inherits from it, and all that it or these inherit from.
func (c *Catalog) kin(oid uint32) []uint32 {
	out := c.descendants(oid)
	for _, o := range append([]uint32{oid}, out...) {
		out = append(out, c.ancestors(o)...)
	}
	return out
}

// flow is a column on the way from a masked one.
type flow struct {
	ColumnRef
	// tainted: it has what is computed from the values, not the values.
	tainted bool
	// kin: what inherits the column is to be marked too.
	kin bool
}

// mark notes that a relation's column is a masked one, or tainted, and with it
// all columns that have its values: inherited, generated from it, and of
// foreign keys that refer to it.
func (m *Masks) mark(start flow, rule command.Column) {
	seen := map[flow]bool{}
	for queue := []flow{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		rel := m.catalog.byOID[at.OID]
		if seen[at] || rel == nil {
			continue
		}
		seen[at] = true
		m.note(rel, at, rule)
		for _, c := range rel.Columns {
			if slices.Contains(c.From, at.Number) {
				queue = append(queue, flow{ColumnRef{at.OID, c.Number}, true, false})
			}
		}
		for _, ref := range m.catalog.references[at.ColumnRef] {
			queue = append(queue, flow{ref, at.tainted, true})
		}
		if !at.kin {
			continue
		}
		for _, oid := range m.catalog.kin(at.OID) {
			if r := m.catalog.byOID[oid]; r != nil {
				if num, ok := r.numbers[rel.names[at.Number]]; ok {
					queue = append(queue, flow{ColumnRef{oid, num}, at.tainted, false})
				}
			}
		}
	}
}

func (m *Masks) note(rel *relation, at flow, rule command.Column) {
	m.tables[rel.OID] = true
	if at.tainted {
		m.generated[at.ColumnRef] = true
		return
	}
	if _, own := m.columns[at.ColumnRef]; !own || (rel.Schema == rule.Schema && rel.Name == rule.Table) {
		m.columns[at.ColumnRef] = rule
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
		if rel.foreign { // what lies elsewhere may be the very table of a mask
			return command.Column{}, false, m.any
		}
		if !m.views[oid] {
			return command.Column{}, false, false
		}
		if rel.view == nil {
			return command.Column{}, false, true
		}
		next, ok := rel.view.plain[num]
		if !ok {
			d, known := m.proved[oid][num]
			return command.Column{}, false, !known || len(d) > 0
		}
		oid, num = next.OID, next.Number
	}
	return command.Column{}, false, true
}
