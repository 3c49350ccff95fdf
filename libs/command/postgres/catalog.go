package postgres

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// Name is the qualified name of a function, operator or type.
type Name struct{ Schema, Name string }

// Snapshot is what the target's catalog says, as libs/pgcatalog loads it.
type Snapshot struct {
	Relations []Relation
	// Functions are all that are not PostgreSQL's own.
	Functions []Function
	// Operators are those that are not in pg_catalog, save those that rest on a
	// non-volatile function in C: only a superuser can have made these.
	Operators []Name
	// Types are all that are not in pg_catalog or information_schema and no
	// relation's row type.
	Types []Type
	// EventTriggers reports that each change of a definition runs code of a user's.
	EventTriggers bool
}

// Function is a function, procedure or aggregate of some name that is not
// PostgreSQL's own.
type Function struct {
	Name
	// Plain reports that all overloads are in C and not volatile: only a
	// superuser can have made them. One that has the name of a trusted function
	// of PostgreSQL (citext has such) does not make a call of it unknown.
	Plain bool
}

// Relation is a table, view, materialized view, foreign table or sequence.
type Relation struct {
	OID          uint32
	Schema, Name string
	Kind         byte // pg_class.relkind: r, p, v, m, f, S
	Columns      []CatalogColumn
	// Reads are the columns that a view's query depends on, by pg_depend; a
	// number of 0 is the relation as a whole. Whole-row references are not
	// among them: Definition tells.
	Reads []ColumnRef
	// Definition is a view's query with all names qualified that lie outside
	// pg_catalog. Empty for system views.
	Definition string
	// Parents are the relations it inherits from or is a partition of.
	Parents []uint32
	// Cascades are the relations whose rows change with its own: by foreign keys
	// with ON DELETE or ON UPDATE CASCADE, SET NULL or SET DEFAULT.
	Cascades []uint32
	// References are the columns that have values of another relation's: those
	// of foreign keys, of whatever action.
	References []Reference
	// Keys are the columns of unique and exclusion indexes, 0 for an expression:
	// whether a value is there shows in an error.
	Keys []int16
	// Primary are those of the primary key, which a foreign key means that names none.
	Primary []int16
	// Partitioned are the columns that say which partition a row is put into, 0 for
	// an expression.
	Partitioned []int16
	// ReadExpressions run when it is read (row security), WriteExpressions when
	// it is written (defaults, checks, indexes); names outside pg_catalog are
	// qualified. NewCatalog finds out whether they call what is not PostgreSQL's.
	ReadExpressions, WriteExpressions []string
	// ReadCode reports that reading it runs code that is not PostgreSQL's;
	// WriteCode that writing it does (triggers, rules, cascades).
	ReadCode, WriteCode bool
	// Triggers are what writing it fires; those of PostgreSQL itself are not among
	// them, nor those that are off.
	Triggers []Trigger
	// Rewrites reports that such code decides what a write returns: a rule, or
	// a trigger before or instead of the write, and not one after it.
	Rewrites bool
}

// Trigger is a trigger's function, and the bits of pg_trigger.tgtype that say what
// fires it: 4 INSERT, 8 DELETE, 16 UPDATE, 32 TRUNCATE.
type Trigger struct {
	Events   int16
	Function Name
}

// CatalogColumn is a column of a relation.
type CatalogColumn struct {
	Name     string
	Number   int16
	Type     uint32
	TypeName string
	// From are the columns of the same relation that a generated column is
	// computed from.
	From []int16
}

// ColumnRef is a column by its relation's OID and its number.
type ColumnRef struct {
	OID    uint32
	Number int16
}

// Reference is a column whose values are all values of another column.
type Reference struct {
	Number int16
	To     ColumnRef
}

// Type is a type that is not PostgreSQL's own.
type Type struct {
	Name
	OID uint32
	// Plain reports that no user's code runs where a value is cast to it: an
	// enum, a base type in C, a domain over such; none with casts of its own.
	Plain bool
	// Checks are the conditions of a domain: it is plain where they call
	// nothing but what is PostgreSQL's.
	Checks []string
	// Casts reports that a user's function, not in C, casts it implicitly or in
	// assignments: it runs where a value is used, and no cast is written.
	Casts bool
}

// Catalog is an immutable snapshot of a target's catalog, with what follows
// from it. Safe for concurrent use; a nil *Catalog knows nothing.
type Catalog struct {
	relations map[Name]*relation
	byOID     map[uint32]*relation
	children  map[uint32][]uint32
	// references are the columns that refer to one.
	references map[ColumnRef][]ColumnRef
	functions  map[string][]string // name to schemas, of all
	shadows    map[string][]string // of those that are not plain
	operators  map[string][]string
	types      map[Name]Type
	events     bool // Snapshot.EventTriggers
}

// relation is a Relation with what NewCatalog found out about it.
type relation struct {
	Relation
	numbers map[string]int16 // column name to number
	names   map[int16]string
	// view is what is known of a view's query, nil for others.
	view *view
	// foreign: it is a foreign table, or shows the rows of one.
	foreign bool
	checks  checks
	// coded reports that an expression or a type of it runs code that is not
	// PostgreSQL's: when its rows are written anew, too.
	coded bool
}

// NewCatalog indexes a snapshot and reads the queries of its views.
func NewCatalog(s *Snapshot) *Catalog {
	c := &Catalog{
		relations: make(map[Name]*relation, len(s.Relations)),
		byOID:     make(map[uint32]*relation, len(s.Relations)),
		children:  map[uint32][]uint32{},

		references: map[ColumnRef][]ColumnRef{},

		functions: map[string][]string{},
		shadows:   map[string][]string{},
		operators: map[string][]string{},
		types:     make(map[Name]Type, len(s.Types)),
		events:    s.EventTriggers,
	}
	for _, f := range s.Functions {
		c.functions[f.Name.Name] = append(c.functions[f.Name.Name], f.Schema)
		if !f.Plain {
			c.shadows[f.Name.Name] = append(c.shadows[f.Name.Name], f.Schema)
		}
	}
	for _, o := range s.Operators {
		c.operators[o.Name] = append(c.operators[o.Name], o.Schema)
	}
	coded := map[uint32]bool{}
	for _, t := range s.Types {
		c.types[t.Name] = t
		coded[t.OID] = t.Casts
	}
	for _, r := range s.Relations {
		rel := &relation{
			Relation: r,
			numbers:  make(map[string]int16, len(r.Columns)),
			names:    make(map[int16]string, len(r.Columns)),
			foreign:  r.Kind == 'f',
		}
		for _, col := range r.Columns {
			rel.numbers[col.Name] = col.Number
			rel.names[col.Number] = col.Name
			if coded[col.Type] {
				rel.ReadCode, rel.coded = true, true
			}
		}
		c.relations[Name{r.Schema, r.Name}] = rel
		c.byOID[r.OID] = rel
		for _, p := range r.Parents {
			c.children[p] = append(c.children[p], r.OID)
		}
		for _, ref := range r.References {
			c.references[ref.To] = append(c.references[ref.To], ColumnRef{r.OID, ref.Number})
		}
	}
	for _, r := range c.relations {
		c.readView(r)
	}
	c.readExpressions()
	c.inheritCode()
	return c
}

// readExpressions finds which tables and domains run code that is not
// PostgreSQL's.
func (c *Catalog) readExpressions() {
	known := map[string]bool{}
	quiet := func(e string) bool {
		ok, seen := known[e]
		if !seen {
			ok = c.quiet(e)
			known[e] = ok
		}
		return ok
	}
	loud := func(list []string) bool {
		return slices.ContainsFunc(list, func(e string) bool { return !quiet(e) })
	}
	for name, t := range c.types {
		if t.Plain && loud(t.Checks) {
			t.Plain = false
			c.types[name] = t
		}
	}
	for _, r := range c.relations {
		r.coded = r.coded || loud(r.ReadExpressions) || loud(r.WriteExpressions)
		r.ReadCode = r.ReadCode || loud(r.ReadExpressions)
		called := r.ReadCode || loud(r.WriteExpressions)
		r.WriteCode = r.WriteCode || called
		r.Rewrites = r.Rewrites || called
	}
}

// quiet reports that an expression calls nothing but PostgreSQL's own
// functions, and writes nothing but sequences.
func (c *Catalog) quiet(expr string) bool {
	if strings.HasPrefix(expr, "nextval('") && strings.HasSuffix(expr, "'::regclass)") && strings.Count(expr, "'") == 2 {
		return true // by far the most, and the costliest to tell apart
	}
	st, err := Parse("SELECT " + expr)
	if err != nil || len(st) != 1 {
		return false
	}
	f := c.Resolve(st[0].Facts, definitionPath, "")
	return (f.Class == command.Read || f.Class == command.Write) && !touchesLargeObjects(&f)
}

// inheritCode lets a parent have the code of its partitions and children:
// reading or writing it runs theirs.
func (c *Catalog) inheritCode() {
	for _, r := range c.relations {
		for _, p := range c.ancestors(r.OID) {
			if up := c.byOID[p]; up != nil {
				up.ReadCode = up.ReadCode || r.ReadCode
				up.WriteCode = up.WriteCode || r.WriteCode
				up.Rewrites = up.Rewrites || r.Rewrites
				up.foreign = up.foreign || r.foreign
			}
		}
	}
}

// ancestors are all relations that one inherits from.
func (c *Catalog) ancestors(oid uint32) []uint32 {
	return closure(oid, func(o uint32) []uint32 {
		if r := c.byOID[o]; r != nil {
			return r.Parents
		}
		return nil
	})
}

// cascades are the relations that foreign keys change along with one.
func (c *Catalog) cascades(oid uint32) []uint32 {
	if r := c.byOID[oid]; r != nil {
		return r.Cascades
	}
	return nil
}

// closure follows next from a start, which is not part of the result.
func closure(start uint32, next func(uint32) []uint32) []uint32 {
	seen := map[uint32]bool{start: true}
	var out []uint32
	for queue := slices.Clone(next(start)); len(queue) > 0; queue = queue[1:] { // what next returns is the catalog's own
		if o := queue[0]; !seen[o] {
			seen[o] = true
			out = append(out, o)
			queue = append(queue, next(o)...)
		}
	}
	return out
}

// Column names a column by what a RowDescription says of it.
func (c *Catalog) Column(oid uint32, num int16) (schema, table, column string, ok bool) {
	if c == nil {
		return "", "", "", false
	}
	r := c.byOID[oid]
	if r == nil {
		return "", "", "", false
	}
	name, ok := r.names[num]
	return r.Schema, r.Name, name, ok
}

// has reports a column of this name, PostgreSQL's own (ctid, ...) included.
func (r *relation) has(column string) bool {
	if _, ok := r.numbers[column]; ok {
		return true
	}
	switch column {
	case "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid":
		return true
	default:
		return false
	}
}

func (r *relation) column(name string) command.Column {
	return command.Column{Schema: r.Schema, Table: r.Name, Name: name}
}

// system reports a schema of PostgreSQL itself.
func system(schema string) bool {
	return schema == "pg_catalog" || schema == "information_schema" || strings.HasPrefix(schema, "pg_toast")
}
