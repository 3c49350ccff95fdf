package postgres

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// facts reads the facts of one statement.
func facts(sql string, s Statement, stmt *pg.Node, toks []token) command.Facts {
	w := &walker{
		sql:      sql,
		toks:     within(toks, s.Start, s.End),
		assigned: map[int]place{},
		ranges:   map[string]bool{},
		joins:    map[string]bool{},
		f:        command.Facts{Class: command.Read, Filtered: true},
	}
	w.statement(stmt, env{top: true})
	w.finish(s)
	w.comparisons(stmt, s)
	w.f.Fingerprint = fingerprint(sql, w.toks)
	w.f.Source = &text{sql: s.Text, keeps: w.keeps, columnTypes: w.columnTypes, whole: w.wholeRows(), makes: w.makes}
	return w.f
}

// walker collects the facts of one statement.
type walker struct {
	sql  string
	f    command.Facts
	toks []token

	objects    set[command.Object]
	columns    set[command.Column]
	filters    set[command.Column]
	computed   set[command.Column] // Facts.Assigned
	parted     set[command.Column]
	freed      set[command.Column]
	moves      set[command.Move]
	functions  set[string]
	operators  set[string]
	types      set[string]
	attributes set[string]
	settings   set[string]
	unknowns   set[string]

	columnTypes []string
	makes       *making
	// assigned has the column for constants, by their offset in sql.
	assigned map[int]place
	// ranges are all names of FROM items; one that is mentioned as a column
	// stands for the whole row.
	ranges map[string]bool
	// whole are the relations by these names, joins the joins with a name of
	// their own; alone are the column references that may mean one of them.
	whole map[string]*set[wholeRow]
	joins map[string]bool
	alone set[string]
	// renamed are relations whose columns get other names, unnamed reports that
	// columns of any relation are taken in such a way.
	renamed set[wholeRow]
	unnamed bool
	// last are the last names of all column references.
	last []string
	// keeps is what of a query's rows or text outlives the statement.
	keeps kept
	// secret reports that string constants are passwords by grammar.
	secret bool
}

// place is what a constant is assigned to or compared with: a column by its
// name, or by its position in an INSERT that names none.
type place struct {
	column   string
	position int
}

// env is what holds at one place of the tree. It is passed by value.
type env struct {
	// top: a statement's own level, not nested in another's.
	top bool
	// ctes are the names that WITH has defined here, innermost first.
	ctes *ctes
	// from are the FROM items visible here, innermost first.
	from *frame
	// filter: inside WHERE, ON, HAVING.
	filter bool
	// stored: kept for later, not executed by this statement.
	stored bool
	// access is that of the relations named here, Read where empty.
	access command.Class
}

// rank orders the classes by power.
func rank(c command.Class) int {
	return slices.Index([]command.Class{
		command.Session, command.Read, command.Write, command.DDL, command.Admin, command.Unknown,
	}, c)
}

// raise makes the class at least c.
func (w *walker) raise(c command.Class) {
	if rank(c) > rank(w.f.Class) {
		w.f.Class = c
	}
}

// opaque says that the statement may do anything, and why.
func (w *walker) opaque(why string) {
	w.raise(command.Unknown)
	if w.f.Why == "" {
		w.f.Why = why
	}
	w.unknown("class", "objects", "reads", "writes", "columns", "filters", "filtered")
}

func (w *walker) unknown(fields ...string) {
	for _, f := range fields {
		w.unknowns.add(f)
	}
}

// object notes a relation. A name that is empty is none.
func (w *walker) object(rv *pg.RangeVar, access command.Class) {
	w.named(command.Object{Schema: rv.GetSchemaname(), Name: rv.GetRelname(), Access: access})
}

func (w *walker) named(o command.Object) {
	if o.Name != "" {
		w.objects.add(o)
	}
}

// finish derives what needs the whole statement.
func (w *walker) finish(s Statement) {
	for _, name := range w.last {
		if w.ranges[name] {
			w.f.WholeRow = true
		}
	}
	w.f.Objects, w.f.Columns, w.f.Filters = w.objects.list, w.columns.list, w.filters.list
	w.f.Assigned, w.f.Parted, w.f.Moves = w.computed.list, w.parted.list, w.moves.list
	w.f.Freed = w.freed.list
	w.f.Functions, w.f.Operators, w.f.Types = w.functions.list, w.operators.list, w.types.list
	w.f.Attributes, w.f.Settings, w.f.Unknown = w.attributes.list, w.settings.list, w.unknowns.list
	w.f.Literals = w.literals(s)
	w.f.Catalog = w.f.Class == command.Read && catalogOnly(w.f.Objects)
	w.f.Neutral = w.f.Neutral || w.f.Class == command.Read
	slices.Sort(w.f.Functions)
	slices.Sort(w.f.Operators)
}

// catalogOnly reports that every object is a harmless system catalog: true
// for none, so that a driver's SELECT 1 counts as its preamble.
func catalogOnly(objects []command.Object) bool {
	return !slices.ContainsFunc(objects, func(o command.Object) bool { return !systemCatalog(o) })
}

// assign notes what constants or parameters are assigned to or compared with.
func (w *walker) assign(to place, values ...*pg.Node) {
	if to == (place{}) {
		return
	}
	for _, v := range values {
		switch n := v.GetNode().(type) {
		case *pg.Node_AConst:
			w.assigned[int(n.AConst.GetLocation())] = to
		case *pg.Node_ParamRef:
			w.parameter(int(n.ParamRef.GetNumber()), to)
		case *pg.Node_TypeCast:
			w.assign(to, n.TypeCast.GetArg())
		case *pg.Node_CollateClause:
			w.assign(to, n.CollateClause.GetArg())
		case *pg.Node_AArrayExpr:
			w.assign(to, n.AArrayExpr.GetElements()...)
		case *pg.Node_List:
			w.assign(to, n.List.GetItems()...)
		case *pg.Node_FuncCall: // lower('x') tells as much
			w.assign(to, n.FuncCall.GetArgs()...)
		}
	}
}

// maxParameters is the protocol's limit: the count is a 16-bit number.
const maxParameters = 65535

func (w *walker) parameter(number int, to place) {
	if number < 1 || number > maxParameters {
		return
	}
	for len(w.f.ParameterColumns) < number {
		w.f.ParameterColumns = append(w.f.ParameterColumns, "")
	}
	if to.column != "" {
		w.f.ParameterColumns[number-1] = to.column
	}
	if to.position > 0 {
		for len(w.f.ParameterPositions) < number {
			w.f.ParameterPositions = append(w.f.ParameterPositions, 0)
		}
		w.f.ParameterPositions[number-1] = to.position
	}
}

// names returns the strings of a list of name parts.
func names(nodes []*pg.Node) []string { return scope.Names(nodes) }

// split returns the schema and name of a possibly qualified name.
func split(parts []string) (schema, name string) {
	switch len(parts) {
	case 0:
		return "", ""
	case 1:
		return "", parts[0]
	default:
		return parts[len(parts)-2], parts[len(parts)-1]
	}
}

func lower(parts []string) string { return strings.ToLower(strings.Join(parts, ".")) }
