// Package command holds what is known of one operation inside a session: its
// facts, parameters, the session state that changes its meaning, and the
// digest over all three that an approval is bound to.
//
// The package does no I/O. Each dialect has a sub-package that fills Facts by
// parsing (command/postgres).
package command

import "slices"

// Class says what a command can do to its target.
type Class string

// The classes, from the least to the most powerful. Unknown is treated as more
// powerful than any other: what cannot be classified is not allowed by a rule
// that asks for a class.
const (
	Read    Class = "read"
	Write   Class = "write"
	DDL     Class = "ddl"
	Admin   Class = "admin"
	Session Class = "session" // changes or reads only this session: BEGIN, COMMIT, SET, SHOW
	Unknown Class = "unknown"
)

// Object is a named thing of a target that a command touches.
type Object struct {
	Schema string // empty until resolved, or where the dialect has none
	Name   string
	Access Class // Read, Write or DDL
	// Kind is empty for what holds or orders rows (table, view, sequence,
	// index), else function, type, schema, ...
	Kind string
	// New reports that the command creates it.
	New bool
}

// String returns schema.name, or name where no schema is known.
func (o Object) String() string {
	if o.Schema == "" {
		return o.Name
	}
	return o.Schema + "." + o.Name
}

// Column is a column that a command mentions. Schema and Table are empty where
// parsing alone cannot tell which relation it belongs to.
type Column struct {
	Schema, Table, Name string
}

// Move is a column that a command renames, or moves with its relation.
type Move struct{ From, To Column }

// Copy is a masked column whose values, or what derives from them, a command
// stores where no mask is on them, or another.
type Copy struct {
	From Column // as the masking rule names it; empty where that is not known
	// To is the column, where it goes into one; a Name of * is all columns of a
	// relation. Where it goes elsewhere Name says where: pg_notify.
	To Column
	// Temporary reports a relation of the session only.
	Temporary bool
	// Plain reports that the values are unchanged.
	Plain bool
	// Over is the masked column that lies there already, as its rule names it, and
	// has another mask, which may tell more; empty where no mask is.
	Over Column
}

// Literal is a constant in the command text. Offsets are bytes into the text
// and cover the quotes.
type Literal struct {
	Start, End int
	// Column is the unqualified column that the literal is compared with or
	// assigned to, where that is certain; else empty.
	Column string
	// Text reports a string constant; false for numbers and booleans.
	Text bool
	// Secret reports that it is a password or a connection string by grammar.
	Secret bool
	// Position is the column that it is assigned to, from 1, where an INSERT
	// names none: resolving turns it into Column.
	Position int
}

// Facts is what is known of a command by parsing it. A field whose name is in
// Unknown could not be established; a rule that depends on it does not allow.
type Facts struct {
	Verb      string // select, insert, update, delete, merge, create table, drop table, begin, set, ...
	Class     Class
	Objects   []Object
	Columns   []Column // every column mentioned anywhere
	Filters   []Column // columns mentioned in WHERE, ON, HAVING
	Assigned  []Column // columns written with a value that other columns go into
	Functions []string // lower case; as written, and resolved both with and without their schema
	Operators []string // schema-qualified where written so
	Types     []string // cast to, where they are not the dialect's own
	// Attributes are names in attribute notation, x.name: a field or a call.
	Attributes []string
	// Filtered reports a WHERE clause on an UPDATE or DELETE (true for others).
	Filtered bool
	// Changes reports that rows which exist may be changed or removed: UPDATE,
	// DELETE, MERGE, TRUNCATE, ON CONFLICT DO UPDATE.
	Changes bool
	// Comparisons are the uses of columns that let their values decide something.
	Comparisons []Comparison
	// Compared are those of them that are about masked columns. Parsing does not
	// know the masks: who does sets it, for PostgreSQL by postgres.Masks.Compared.
	Compared []Compared
	// WholeRow reports a whole-row reference in an expression, a column alias
	// list on a FROM item, or anything else through which columns flow unnamed.
	WholeRow bool
	// Moves are columns that go by another name or place from then on, so that
	// masks on them may not find them. A Name of * is all of a relation, a Table of
	// * all of a schema. Parted are columns that are cut off from what they inherit
	// from or refer to.
	Moves  []Move
	Parted []Column
	// Freed are columns to which others may refer no more. A Table of * is all.
	Freed []Column
	// Triggers are the functions, with their schema, that triggers may run at a
	// write. Resolving finds them; what they do is not looked into.
	Triggers []string
	// Confined reports a command that changes the definitions of relations, and of
	// nothing else, save by the target's event triggers; Reach are their names,
	// unqualified, those that inherit among them, and * where such triggers run. Parsing says what it can, resolving the rest.
	Confined bool
	Reach    []string
	// Copies are the masked columns whose values are stored where no mask is on
	// them. Parsing does not know the masks: who does sets it, for PostgreSQL by
	// postgres.Taint.Copies.
	Copies []Copy
	// Catalog reports that every object read is a system catalog.
	Catalog bool
	// Neutral is true when the command provably leaves the session state
	// (role, search_path, settings) as it was.
	Neutral bool
	// Transaction is begin, commit, rollback, savepoint, release,
	// rollback to, or empty.
	Transaction string
	Literals    []Literal
	// ParameterColumns holds, at index n-1, the unqualified column that $n is
	// compared with or assigned to, where that is certain; else empty.
	ParameterColumns []string
	// ParameterPositions is Literal.Position for the parameters.
	ParameterPositions []int
	// Positional is the table of an INSERT that names no columns (Name is empty).
	Positional Column
	// Received are the unqualified columns that data of the client goes into, in
	// its order (COPY FROM STDIN); nil where they are not known.
	Received []string
	// Settings are the names of session settings that the command assigns.
	Settings    []string
	Fingerprint string // equal for commands that differ in literals only
	Unknown     []string
	// Why says in words why the class is unknown, where it is, or what else stands in
	// the way of knowing more.
	Why string
	// Source is the dialect's own: what its package needs to read more of the
	// command than facts when it is asked to. It says nothing by itself.
	Source any
}

// IsUnknown reports whether the named field could not be established.
func (f *Facts) IsUnknown(field string) bool { return slices.Contains(f.Unknown, field) }

// ParameterColumn returns the column that parameter i (from 0) is compared with
// or assigned to, or empty where that is not certain.
func (f *Facts) ParameterColumn(i int) string {
	if i < 0 || i >= len(f.ParameterColumns) {
		return ""
	}
	return f.ParameterColumns[i]
}

// Parameter is one bound parameter, as it came over the wire.
type Parameter struct {
	Type   uint32 // the dialect's type id; 0 where left to the server
	Format int16  // 0 text, 1 binary
	Value  []byte // nil is NULL
}

// State is the session state that changes a command's meaning. It is asked of
// the target, not simulated.
type State struct {
	User       string // current role
	LoginUser  string // session_user
	Database   string
	SearchPath []string // effective, in order
	// InTransaction is I (idle), T (in a transaction) or E (failed).
	InTransaction byte
	// Settings that parse or evaluate differently, sorted by name when hashed.
	Settings map[string]string
}
