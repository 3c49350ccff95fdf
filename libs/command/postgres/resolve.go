package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// Resolve completes facts that Parse read: it finds every relation, column,
// function, operator and type in the catalog along the session's effective
// search_path, as the server would. tempSchema is the session's temporary
// schema (pg_my_temp_schema()), empty where it has none.
//
// What is not in the catalog is unknown: the objects, and for a statement that
// would only read, its class, since it may be a view that runs anything. A
// caller reloads the catalog then, and asks again. A nil *Catalog finds nothing.
func (c *Catalog) Resolve(f command.Facts, searchPath []string, tempSchema string) command.Facts {
	if f.Class == command.Session && len(f.Objects) == 0 {
		return f
	}
	if c == nil {
		c = NewCatalog(&Snapshot{})
		f.Confined = false
	}
	r := &resolver{catalog: c, path: newPath(searchPath, tempSchema), f: f, complete: true}
	for _, u := range f.Unknown {
		r.unknown.add(u)
	}
	r.names()
	r.objects()
	if r.f.Class == command.Session && slices.ContainsFunc(r.f.Objects, func(o command.Object) bool { return o.Schema != "pg_catalog" }) {
		r.opaque("it sets what a relation names that is not PostgreSQL's own")
	}
	r.columns()
	r.comparisons()
	r.positions()
	r.reach()
	r.triggers(f.Objects)
	r.functions()
	r.f.Unknown = r.unknown.list
	r.f.Catalog = r.f.Class == command.Read && r.complete && catalogOnly(r.f.Objects)
	r.f.Neutral = r.neutral()
	if t, ok := f.Source.(*text); ok {
		r.f.Source = &text{sql: t.sql, keeps: t.keeps, path: r.path, columnTypes: t.columnTypes, whole: t.whole, makes: t.makes, fresh: r.fresh(), resolved: true}
	}
	return r.f
}

type resolver struct {
	catalog *Catalog
	path    path
	f       command.Facts
	unknown set[string]
	// found are the relations that the statement names.
	found []*relation
	// written are those of them that it writes.
	written []*relation
	// called are relations of whose rows something is called.
	called []*relation
	// rowCalls are names that are called of a row, as x.name.
	rowCalls []string
	// strange: an operator may not be PostgreSQL's own.
	strange bool
	// complete reports that every relation was found.
	complete bool
}

func (r *resolver) opaque(why string) {
	if r.f.Class != command.Unknown {
		r.f.Class, r.f.Why = command.Unknown, why
	}
	for _, u := range []string{"class", "objects", "reads", "writes", "columns", "filters", "filtered"} {
		r.unknown.add(u)
	}
}

// relation finds a relation as the server would.
func (r *resolver) relation(schema, name string) *relation {
	return r.catalog.find(r.path, schema, name)
}

// find finds a relation along a path.
func (c *Catalog) find(p path, schema, name string) *relation {
	if schema != "" {
		return c.relations[Name{p.schema(schema), name}]
	}
	for _, s := range p.list {
		if rel := c.relations[Name{s, name}]; rel != nil {
			return rel
		}
	}
	return nil
}

// names looks for functions, operators and types of others that stand where
// PostgreSQL's own are meant.
func (r *resolver) names() {
	// In a definition they are named, and mostly not called; a definition that
	// runs a query calls them.
	stored := (r.f.Class == command.DDL || r.f.Class == command.Admin) &&
		keeps(&r.f) != keptRows
	for _, f := range r.f.Functions {
		r.call("the function", f, r.catalog.shadows, stored)
	}
	for _, o := range r.f.Operators {
		r.call("the operator", o, r.catalog.operators, stored)
		r.strange = r.strange || !strings.Contains(o, ".") && r.visible(r.catalog.operators, o) != ""
	}
	for _, a := range r.f.Attributes {
		if s := r.visible(r.catalog.functions, a); s != "" {
			r.opaque(fmt.Sprintf("it may call the function %s.%s in attribute notation", s, a))
		}
	}
	for _, t := range r.f.Types {
		if !r.plainType(t) {
			r.opaque(fmt.Sprintf("it casts to the type %s, which may run code of its own", t))
		}
	}
}

func (r *resolver) call(what, name string, others map[string][]string, stored bool) {
	if strings.Contains(name, ".") || stored {
		return // qualified: Parse has judged it
	}
	switch s := r.visible(others, name); {
	case s != "":
		r.opaque(fmt.Sprintf("%s %s may be %s.%s, which is not PostgreSQL's own", what, name, s, name))
	case r.path.shadowed:
		r.opaque("its search_path has a schema before pg_catalog, whose functions and operators would be called")
	}
}

// visible returns a schema of the search_path that has something of this name.
func (r *resolver) visible(others map[string][]string, name string) string {
	for _, s := range others[name] {
		if slices.Contains(r.path.calls, s) {
			return s
		}
	}
	return ""
}

// plainType reports that a type is known, and runs no code of its own.
func (r *resolver) plainType(name string) bool {
	if schema, base, qualified := strings.Cut(name, "."); qualified {
		return r.catalog.types[Name{r.path.schema(schema), base}].Plain
	}
	for _, s := range r.path.list {
		if t, ok := r.catalog.types[Name{s, name}]; ok {
			return t.Plain
		}
		if r.catalog.relations[Name{s, name}] != nil {
			return false // a row type, whose fields may be anything
		}
	}
	return false
}

func (r *resolver) objects() {
	var out set[command.Object]
	for _, o := range r.f.Objects {
		switch {
		case o.Kind != "":
			out.add(r.other(o))
		case o.New:
			if o.Schema = r.path.schema(o.Schema); o.Schema == "" {
				o.Schema = r.path.creation()
			}
			out.add(o)
		default:
			rel := r.relation(o.Schema, o.Name)
			if rel == nil {
				if r.makes(o) {
					continue
				}
				r.missing(o)
				out.add(o)
				continue
			}
			o.Schema = rel.Schema
			out.add(o)
			r.use(rel, o.Access)
			r.along(rel, o.Access, &out)
		}
	}
	r.f.Objects = out.list
}

// makes reports a relation that the statement itself creates, to which a foreign
// key of its own refers.
func (r *resolver) makes(o command.Object) bool {
	return r.f.Verb == "create table" && slices.ContainsFunc(r.f.Objects, func(n command.Object) bool {
		return n.New && n.Kind == "" && n.Name == o.Name && (o.Schema == "" || r.path.schema(n.Schema) == o.Schema || n.Schema == "" && r.path.creation() == o.Schema)
	})
}

// along adds what a relation brings with it: the tables below a view, which are
// written through it too; what a partition is part of, since its rows are
// those; what foreign keys change.
func (r *resolver) along(rel *relation, access command.Class, out *set[command.Object]) {
	add := func(o *relation, access command.Class) {
		if o != nil {
			out.add(command.Object{Schema: o.Schema, Name: o.Name, Access: access})
		}
	}
	below := access
	if below == command.DDL {
		below = command.Read
	}
	for _, o := range rel.below() {
		add(o, below)
		for _, oid := range r.catalog.ancestors(o.OID) {
			add(r.catalog.byOID[oid], below)
		}
	}
	for _, oid := range r.catalog.ancestors(rel.OID) {
		add(r.catalog.byOID[oid], access)
	}
	if access != command.Write || !r.f.Changes {
		return
	}
	for _, start := range append([]*relation{rel}, rel.below()...) {
		for _, oid := range closure(start.OID, r.catalog.cascades) {
			add(r.catalog.byOID[oid], command.Write)
		}
	}
}

// other completes the name of a function, type or schema.
func (r *resolver) other(o command.Object) command.Object {
	if o.Schema != "" {
		o.Schema = r.path.schema(o.Schema)
		return o
	}
	switch {
	case o.New && (o.Kind == "function" || o.Kind == "type"):
		o.Schema = r.path.creation()
	case o.Kind == "function":
		if o.Schema = r.visible(r.catalog.functions, o.Name); o.Schema == "" {
			r.unknown.add("objects")
			r.unknown.add("writes")
		}
	case o.Kind == "type":
		for _, s := range r.path.list {
			if _, ok := r.catalog.types[Name{s, o.Name}]; ok {
				o.Schema = s
				return o
			}
		}
		r.unknown.add("objects")
		r.unknown.add("writes")
	}
	return o
}

func (r *resolver) missing(o command.Object) {
	r.complete = false
	for _, u := range []string{"objects", "reads", "writes", "columns", "filters"} {
		r.unknown.add(u)
	}
	if r.f.Class == command.Read || r.f.Class == command.Session {
		why := fmt.Sprintf("the target's catalog is not known, and so not what %s is", o)
		if len(r.catalog.relations) > 0 {
			why = fmt.Sprintf("relation %q does not exist in the target's catalog as Gatestay last read it", o.String())
		}
		r.opaque(why)
	}
}

// use notes what touching a relation brings with it.
func (r *resolver) use(rel *relation, access command.Class) {
	r.found = append(r.found, rel)
	if access == command.Write {
		r.written = append(r.written, rel)
	}
	if access == command.DDL {
		return
	}
	r.runs(rel)
	if rel.Kind == 'm' {
		return // what it reads was read before
	}
	for _, below := range rel.below() {
		r.runs(below)
	}
}

// runs makes the statement opaque where reading a relation runs code.
func (r *resolver) runs(rel *relation) {
	switch {
	case rel.foreign:
		r.opaque(fmt.Sprintf("%s is a foreign table, or has one as a part: what it runs elsewhere cannot be seen", rel.title()))
	case rel.ReadCode:
		r.opaque(fmt.Sprintf("reading %s runs code that is not PostgreSQL's own", rel.title()))
	case rel.view != nil && rel.view.opaque != "":
		r.opaque(fmt.Sprintf("the view %s %s", rel.title(), rel.view.opaque))
	}
}

func (r *relation) title() string { return r.Schema + "." + r.Name }

func (r *resolver) columns() {
	r.f.Columns = r.resolveColumns(r.f.Columns)
	r.f.Filters = r.resolveColumns(r.f.Filters)
	r.f.Assigned = r.resolveColumns(r.f.Assigned)
	r.f.Parted = r.resolveColumns(r.f.Parted)
	r.f.Freed = r.resolveColumns(r.f.Freed)
	r.whole()
	r.f.Columns, r.f.Filters = r.through(r.f.Columns), r.through(r.f.Filters)
	r.moves()
}

func (r *resolver) resolveColumns(list []command.Column) []command.Column {
	var out set[command.Column]
	for _, c := range list {
		if c.Table == "" {
			r.candidates(c, &out)
			continue
		}
		rel := r.relation(c.Schema, c.Table)
		switch {
		case rel == nil:
			out.add(c)
		case c.Name == "*":
			for _, col := range rel.Columns {
				out.add(rel.column(col.Name))
			}
		case rel.has(c.Name):
			out.add(rel.column(c.Name))
		default:
			r.notColumn(rel, c.Name)
			out.add(command.Column{Name: c.Name})
		}
	}
	return out.list
}

// moves finds each column that a statement moves.
func (r *resolver) moves() {
	var out set[command.Move]
	for _, mv := range r.f.Moves {
		for _, rel := range r.moved(mv.From) {
			for _, col := range rel.Columns {
				if mv.From.Name != "*" && mv.From.Name != col.Name {
					continue
				}
				to := command.Column{Schema: cmp.Or(mv.To.Schema, rel.Schema), Table: mv.To.Table, Name: mv.To.Name}
				if to.Table == "" || to.Table == "*" {
					to.Table = rel.Name
				}
				if to.Name == "*" {
					to.Name = col.Name
				}
				out.add(command.Move{From: rel.column(col.Name), To: to})
			}
		}
	}
	r.f.Moves = out.list
}

// moved are the relations that a move is of.
func (r *resolver) moved(c command.Column) []*relation {
	if c.Table != "*" {
		if rel := r.relation(c.Schema, c.Table); rel != nil {
			return []*relation{rel}
		}
		return nil
	}
	var out []*relation
	for name, rel := range r.catalog.relations {
		if name.Schema == c.Schema || c.Schema == "" {
			out = append(out, rel)
		}
	}
	return out
}

// positions names the columns of an INSERT, or of a COPY, that names none.
func (r *resolver) positions() {
	rel := r.relation(r.f.Positional.Schema, r.f.Positional.Table)
	if r.f.Positional.Table == "" || rel == nil {
		return
	}
	if r.f.Verb == "copy" && len(r.f.Received) == 0 {
		for _, c := range rel.Columns {
			if len(c.From) == 0 { // COPY leaves generated columns out
				r.f.Received = append(r.f.Received, c.Name)
			}
		}
	}
	name := func(position int) string {
		if position < 1 || position > len(rel.Columns) {
			return ""
		}
		return rel.Columns[position-1].Name
	}
	r.f.Literals = slices.Clone(r.f.Literals)
	for i := range r.f.Literals {
		if l := &r.f.Literals[i]; l.Position > 0 {
			l.Column = name(l.Position)
		}
	}
	r.f.ParameterColumns = slices.Clone(r.f.ParameterColumns)
	for i, p := range r.f.ParameterPositions {
		if p > 0 {
			r.f.ParameterColumns[i] = name(p)
		}
	}
}

// candidates adds every column that an unqualified one may be.
func (r *resolver) candidates(c command.Column, out *set[command.Column]) {
	any := false
	for _, rel := range r.found {
		if rel.has(c.Name) {
			out.add(rel.column(c.Name))
			any = true
		}
	}
	if !any {
		out.add(c) // of a sub-select or function, or an output's alias
	}
}

// notColumn reads t.name where t has no such column: a function of the row.
func (r *resolver) notColumn(rel *relation, name string) {
	r.rowCalls = append(r.rowCalls, name)
	if functionTrust([]string{name}) != foreign {
		r.f.WholeRow = true
		r.called = append(r.called, rel)
	}
	if s := r.visible(r.catalog.functions, name); s != "" {
		r.f.WholeRow = true
		r.called = append(r.called, rel)
		r.opaque(fmt.Sprintf("it may call the function %s.%s of a row of %s", s, name, rel.title()))
	}
}

// neutral reports that the statement cannot have changed the session's state:
// a read of what is known, or a write that runs no code of the target's own.
func (r *resolver) neutral() bool {
	switch r.f.Class {
	case command.Read:
		return true
	case command.Write:
		if !r.complete || len(r.unknown.list) > 0 {
			return false
		}
		return !slices.ContainsFunc(r.written, func(rel *relation) bool {
			return rel.WriteCode || !strings.ContainsRune("rp", rune(rel.Kind))
		})
	case command.Unknown:
		return false
	default:
		return r.f.Neutral
	}
}
