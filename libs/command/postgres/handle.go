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
}

func handleOf(n *pg.Node) *Handle {
	switch s := n.GetNode().(type) {
	case *pg.Node_DeclareCursorStmt:
		return &Handle{true, s.DeclareCursorStmt.GetPortalname(), true}
	case *pg.Node_FetchStmt:
		return &Handle{true, s.FetchStmt.GetPortalname(), false}
	case *pg.Node_PrepareStmt:
		return &Handle{false, s.PrepareStmt.GetName(), true}
	case *pg.Node_ExecuteStmt:
		return &Handle{false, s.ExecuteStmt.GetName(), false}
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
	for i, l := range own.Literals {
		if len(own.Literals) == len(given.ParameterColumns) && !use.Handle.Cursor {
			l.Column = given.ParameterColumns[i]
		}
		f.Literals = append(f.Literals, l)
	}
	shift := len(use.Text) + len(handleSeparator)
	for _, l := range given.Literals {
		l.Start, l.End = l.Start+shift, l.End+shift
		f.Literals = append(f.Literals, l)
	}
	f.Comparisons = comparisonsOf(given.Comparisons, len(own.Literals), len(given.ParameterColumns))
	return use.Text + handleSeparator + text, f, true
}

// comparisonsOf returns the comparisons of a query as its use has them: the literals of the
// use stand before its own, and are the values of its parameters where there is one
// for each.
func comparisonsOf(list []command.Comparison, literals, parameters int) []command.Comparison {
	out := slices.Clone(list)
	for i := range out {
		c := &out[i]
		switch {
		case c.Literal > 0:
			c.Literal += literals
		case c.Parameter > 0 && literals == parameters:
			c.Literal, c.Parameter, c.Alone = c.Parameter, 0, false
		case c.Parameter > 0:
			c.Use, c.Parameter, c.Alone = command.Expression, 0, false
		}
	}
	return out
}
