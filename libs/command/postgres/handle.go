package postgres

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// Handle is the name of a query that one statement gives and others use:
// DECLARE a cursor for FETCH and MOVE, PREPARE a statement for EXECUTE.
type Handle struct {
	Cursor  bool // else a prepared statement
	Name    string
	Defines bool
	// arguments say what EXECUTE gives each parameter: a literal by its place in
	// Facts.Literals, from 1; null; or something that is no plain constant.
	arguments []int
}

const (
	computed = 0
	null     = -1
)

func handleOf(sql string, st Statement, n *pg.Node) *Handle {
	switch s := n.GetNode().(type) {
	case *pg.Node_DeclareCursorStmt:
		return &Handle{Cursor: true, Name: s.DeclareCursorStmt.GetPortalname(), Defines: true}
	case *pg.Node_FetchStmt:
		return &Handle{Cursor: true, Name: s.FetchStmt.GetPortalname()}
	case *pg.Node_PrepareStmt:
		return &Handle{Name: s.PrepareStmt.GetName(), Defines: true}
	case *pg.Node_ExecuteStmt:
		h := &Handle{Name: s.ExecuteStmt.GetName()}
		for _, p := range s.ExecuteStmt.GetParams() {
			at := computed
			switch c := p.GetAConst(); {
			case c.GetIsnull():
				at = null
			case c != nil:
				at = literalAt(sql, st.Facts.Literals, int(c.GetLocation()), st.Start)
			}
			h.arguments = append(h.arguments, at)
		}
		return h
	}
	return nil
}

// handleSeparator stands between a statement that uses a query and the one that
// gave it.
const handleSeparator = ";\n-- which is:\n"

// Referred returns the facts of a statement that uses a query by its name, and what
// it says in full: its own text, and that of the statement which gave the query,
// with facts raw or resolved. The text is for people and for digests; it is not
// sent. ok is false where the statement computes something itself.
func Referred(use *Statement, text string, given command.Facts) (full string, f command.Facts, ok bool) {
	own := &use.Facts
	if len(own.Objects)+len(own.Columns)+len(own.Functions)+len(own.Operators)+len(own.Types)+len(own.Attributes) > 0 {
		return "", *own, false
	}
	f = given
	f.Verb = own.Verb
	f.ParameterColumns, f.ParameterPositions = nil, nil
	f.Literals = nil
	f.Literals = append(f.Literals, own.Literals...)
	for i, at := range use.Handle.arguments {
		if at > 0 && i < len(given.ParameterColumns) {
			f.Literals[at-1].Column = given.ParameterColumns[i]
		}
	}
	shift := len(use.Text) + len(handleSeparator)
	for _, l := range given.Literals {
		l.Start, l.End = l.Start+shift, l.End+shift
		f.Literals = append(f.Literals, l)
	}
	f.Comparisons = comparisonsOf(given.Comparisons, len(own.Literals), use.Handle.arguments)
	return use.Text + handleSeparator + text, f, true
}

// comparisonsOf returns the comparisons of a query as its use has them: the literals of the
// use stand before its own, and those that are arguments are what its parameters
// are compared as.
func comparisonsOf(list []command.Comparison, literals int, arguments []int) []command.Comparison {
	out := slices.Clone(list)
	for i := range out {
		c := &out[i]
		if c.Literal > 0 {
			c.Literal += literals
		}
		if c.Parameter == 0 {
			continue
		}
		at := computed
		if c.Parameter <= len(arguments) {
			at = arguments[c.Parameter-1]
		}
		c.Parameter, c.Alone = 0, false
		switch at {
		case computed:
			c.Use = command.Expression
		case null:
			c.Use = command.Null
		default:
			c.Literal = at
		}
	}
	return out
}
