package postgres

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// kept says what outlives a statement, wherever in it the query stands.
type kept int

const (
	keptNothing kept = iota
	keptQuery        // a view or a rule, which shows by other names whatever it reads
	keptRows         // what the query returns
)

// keeps is what a statement keeps of a query.
func keeps(f *command.Facts) kept {
	if t, ok := f.Source.(*text); ok {
		return t.keeps
	}
	return keptNothing
}

// keepers are functions that put a value where it outlives the statement:
// settings, notifications, sequences, the log of changes, locks, which everybody
// sees; large objects, which there are, how long they are and where a descriptor
// stands in one.
var keepers = []string{
	"lo_create", "lo_export", "lo_from_bytea", "lo_import", "lo_lseek", "lo_lseek64", "lo_open", "lo_put", "lo_truncate", "lo_truncate64", "lo_unlink", "loread", "lowrite",
	"pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared",
	"pg_logical_emit_message", "pg_notify", "pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
	"set_config", "setval",
}

// Copies are the masked columns whose values, or what derives from them, the
// statement stores where their mask is not on them: INSERT INTO log SELECT email,
// CREATE TABLE AS, a view. It is for Facts.Copies.
func (t Taint) Copies() []command.Copy {
	if t.masks == nil || !t.masks.any {
		return nil
	}
	f := t.facts
	var out set[command.Copy]
	t.masks.moves(f, &out)
	t.masks.publishes(f, &out)
	if !t.Expressions || t.storesNothing() || f.Class == command.Unknown && !t.masks.mentions(f) && !keepsUnread(f) {
		return out.list
	}
	if p := t.masks.stores(f); p != nil {
		for _, c := range p.copies.list {
			out.add(c)
		}
		return out.list
	}
	// Whatever it may have touched may go wherever it writes.
	from := t.masks.mentioned(f)
	for _, to := range f.Assigned {
		if over := t.masks.over(to); over == (command.Column{}) || over != from {
			out.add(command.Copy{From: from, To: to, Temporary: temporary(to.Schema), Over: over})
		}
	}
	if keeps(f) != keptNothing {
		for _, o := range f.Objects {
			if o.New && o.Kind == "" {
				out.add(command.Copy{From: from, To: command.Column{Schema: o.Schema, Table: o.Name, Name: "*"}, Temporary: temporary(o.Schema)})
			}
		}
		if f.Verb == "create rule" {
			out.add(command.Copy{From: from, To: command.Column{Name: "a rule"}})
		}
	}
	for _, name := range f.Functions {
		if _, base := split(strings.Split(name, ".")); has(keepers, base) {
			out.add(command.Copy{From: from, To: command.Column{Name: base}})
		}
	}
	if f.Verb == "copy" && f.Class == command.Admin {
		out.add(command.Copy{From: from, To: command.Column{Name: "a file of the server"}})
	}
	return out.list
}

// storesNothing reports that a statement, whatever it reads, has nowhere to put it.
func (t Taint) storesNothing() bool {
	f := t.facts
	return len(f.Assigned) == 0 && keeps(f) == keptNothing &&
		(f.Verb != "copy" || f.Class != command.Admin) && !calls(f, keepers)
}

// keepsUnread reports that a statement keeps rows of which nothing is known:
// CREATE TABLE AS EXECUTE.
func keepsUnread(f *command.Facts) bool {
	return keeps(f) == keptRows && !slices.ContainsFunc(f.Objects, func(o command.Object) bool { return !o.New })
}

// calls reports that a statement calls one of the functions.
func calls(f *command.Facts, sorted []string) bool {
	return slices.ContainsFunc(f.Functions, func(name string) bool {
		_, base := split(strings.Split(name, "."))
		return has(sorted, base)
	})
}

// temporary reports the schema of a session's temporary relations.
func temporary(schema string) bool {
	return schema == "pg_temp" || strings.HasPrefix(schema, "pg_temp_")
}

// over is the masked column that a column is, empty where it is none.
func (m *Masks) over(c command.Column) command.Column {
	rel := m.catalog.relations[Name{c.Schema, c.Table}]
	if rel == nil {
		return command.Column{}
	}
	rule, _, _ := m.column(rel.OID, rel.numbers[c.Name])
	return rule
}

// covered reports that a column is masked itself.
func (m *Masks) covered(c command.Column) bool { return m.over(c) != (command.Column{}) }

// moves finds masked columns that a statement takes away from their masks: a
// column that a rule names by another name, or one that is masked for what it
// inherits or refers to, and is so no more.
func (m *Masks) moves(f *command.Facts, out *set[command.Copy]) {
	for _, mv := range f.Moves {
		if rule, own, masked := m.maskOf(mv.From); masked && own && !m.covered(mv.To) {
			out.add(command.Copy{From: rule, To: mv.To, Plain: m.covered(mv.From)})
		}
	}
	for _, c := range f.Parted {
		if rule, own, masked := m.maskOf(c); masked && !own {
			out.add(command.Copy{From: rule, To: c, Plain: rule != c})
		}
	}
	for _, c := range f.Freed {
		m.frees(c, out)
	}
}

// frees finds the columns that are masked for what they refer to, by way of other
// columns, too, and are so no more.
func (m *Masks) frees(c command.Column, out *set[command.Copy]) {
	var starts []ColumnRef
	if c.Table == "*" {
		for ref := range m.catalog.references {
			starts = append(starts, ref)
		}
	} else if rel := m.catalog.relations[Name{c.Schema, c.Table}]; rel != nil {
		starts = append(starts, ColumnRef{rel.OID, rel.numbers[c.Name]})
	}
	seen := map[ColumnRef]bool{}
	for len(starts) > 0 {
		at := starts[0]
		starts = starts[1:]
		for _, ref := range m.catalog.references[at] {
			rel := m.catalog.byOID[ref.OID]
			if rel == nil || seen[ref] {
				continue
			}
			seen[ref] = true
			col := rel.column(rel.names[ref.Number])
			if rule, own, masked := m.maskOf(col); masked && !own {
				out.add(command.Copy{From: rule, To: col, Plain: rule != col})
			}
			starts = append(starts, ref)
		}
	}
}

// publishes finds masked columns of tables that a publication sends to whoever
// subscribes to it.
func (m *Masks) publishes(f *command.Facts, out *set[command.Copy]) {
	if f.Verb != "create publication" && f.Verb != "alter publication" {
		return
	}
	to := command.Column{Name: "a publication"}
	if f.IsUnknown("reads") {
		out.add(command.Copy{To: to})
	}
	for _, c := range f.Columns {
		if rule, _, masked := m.maskOf(c); masked {
			out.add(command.Copy{From: rule, To: to})
		}
	}
}

// maskOf returns the masked column that a column has the values of, itself
// where it has what is computed from one. own: the rule names this very column,
// or it is computed within its relation.
func (m *Masks) maskOf(c command.Column) (rule command.Column, own, masked bool) {
	rel := m.catalog.relations[Name{c.Schema, c.Table}]
	if rel == nil {
		return command.Column{}, false, false
	}
	ref := ColumnRef{rel.OID, rel.numbers[c.Name]}
	if rule, ok := m.columns[ref]; ok {
		if slices.Contains(m.missing, rule) { // this may be the column of the rule
			return rule, true, true
		}
		return rule, rule.Table == c.Table && rule.Name == c.Name && (rule.Schema == "" || rule.Schema == c.Schema), true
	}
	within := slices.ContainsFunc(rel.Columns, func(o CatalogColumn) bool { return o.Number == ref.Number && len(o.From) > 0 })
	return c, within, m.generated[ref]
}

// mentioned is the masked column that a statement mentions, empty where that is
// not one.
func (m *Masks) mentioned(f *command.Facts) command.Column {
	var found set[command.Column]
	for _, c := range f.Columns {
		rel := m.catalog.relations[Name{c.Schema, c.Table}]
		if rel == nil {
			continue
		}
		ref := ColumnRef{rel.OID, rel.numbers[c.Name]}
		if rule, ok := m.columns[ref]; ok {
			found.add(rule)
		} else if m.generated[ref] {
			found.add(c)
		}
	}
	if len(found.list) == 1 {
		return found.list[0]
	}
	return command.Column{}
}

// stores reads where a statement stores what, nil where that cannot be proved.
func (m *Masks) stores(f *command.Facts) *prover {
	t, ok := f.Source.(*text)
	if !ok || !t.resolved || f.IsUnknown("objects") || f.IsUnknown("columns") ||
		(f.Class != command.Read && f.Class != command.Write && f.Class != command.DDL) || f.Verb == "create rule" || f.Verb == "alter table" {
		return nil
	}
	// What a condition of a write calls is not read.
	if calls(f, keepers) && (f.Verb != "select" || slices.ContainsFunc(f.Objects, func(o command.Object) bool {
		return o.Access != command.Read && (o.Schema != largeObjectData.Schema || o.Name != largeObjectData.Table)
	})) {
		return nil
	}
	p, _ := m.read(t, nil)
	if p == nil || p.partial {
		return nil
	}
	return p
}
