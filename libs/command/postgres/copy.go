package postgres

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// Copy is a COPY whose data goes to the client (TO STDOUT) or comes from it
// (FROM STDIN). A client of the server's files or programs is none.
type Copy struct {
	From bool
	// Relation is the table, quoted, and Columns are those listed, quoted; both
	// empty for COPY (query), whose text Query is.
	Relation string
	Columns  []string
	Query    string
	Format   CopyFormat
	// How the data is written, as the server reads the options: the defaults are
	// filled in.
	Delimiter, Quote, Escape byte
	Null                     string
	Header                   bool
	// Unclear says what of the options or of the query could not be followed: what
	// a row is cannot be told then. Empty where all was.
	Unclear string
}

// CopyFormat is COPY's option FORMAT.
type CopyFormat string

// The formats of https://www.postgresql.org/docs/current/sql-copy.html
const (
	CopyText   CopyFormat = "text"
	CopyCSV    CopyFormat = "csv"
	CopyBinary CopyFormat = "binary"
)

// Select returns a query whose result has the columns of the data, in order.
// Where the COPY lists no columns of its table it has those of columns, quoted:
// the table's own without the generated ones, which COPY leaves out.
func (c *Copy) Select(columns []string) string {
	if c.Relation == "" {
		return c.Query
	}
	if len(c.Columns) > 0 {
		columns = c.Columns
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM ONLY " + c.Relation
}

// copyStmt reads a COPY: reading a table or what the query does, or writing a
// table. What runs as the server's operating system user is administration.
func (w *walker) copyStmt(s *pg.CopyStmt, e env) {
	w.verb("copy")
	access := command.Read
	if s.GetIsFrom() {
		access = command.Write
		w.raise(command.Write)
	}
	if s.GetRelation() != nil {
		w.object(s.GetRelation(), access)
		w.f.WholeRow = !s.GetIsFrom()
	}
	if s.GetIsFrom() {
		w.f.Received = names(s.GetAttlist())
		w.f.Positional = command.Column{Schema: s.GetRelation().GetSchemaname(), Table: s.GetRelation().GetRelname()}
	}
	own := w.over(s.GetRelation(), e)
	for _, c := range names(s.GetAttlist()) {
		w.indexed(c, own)
	}
	if s.GetRelation() != nil && len(s.GetAttlist()) == 0 {
		w.indexed("*", own)
	}
	e.top = false
	if s.GetQuery() != nil {
		w.statement(s.GetQuery(), e)
	}
	own.top, own.filter = false, true
	w.each(own, s.GetWhereClause())
	if s.GetIsProgram() || s.GetFilename() != "" {
		w.raise(command.Admin)
		w.unknown("objects", "reads", "writes")
		w.f.Why = "it uses a file of the target's machine; COPY … TO STDOUT and FROM STDIN, psql's \\copy, use the client's"
		if s.GetIsProgram() {
			w.f.Why = "it runs a program on the target's machine"
		}
	}
}

// copyOf returns what the data of a COPY looks like, nil where the statement is
// none, or the client neither sends nor gets its data.
func copyOf(sql string, s Statement, n *pg.CopyStmt, toks []token) *Copy {
	if n == nil || n.GetIsProgram() || n.GetFilename() != "" {
		return nil
	}
	c := &Copy{From: n.GetIsFrom(), Relation: quotedRelation(n.GetRelation())}
	for _, name := range names(n.GetAttlist()) {
		c.Columns = append(c.Columns, quoted(name))
	}
	c.options(n.GetOptions())
	if n.GetQuery() != nil {
		inner, ok := innerQuery(sql, within(toks, s.Start, s.End))
		if !ok || !readsAs(inner, n.GetQuery()) {
			c.Unclear = "its query could not be told apart from the rest"
		}
		c.Query = inner
	}
	return c
}

func quotedRelation(rv *pg.RangeVar) string {
	if rv == nil {
		return ""
	}
	name := quoted(rv.GetRelname())
	if rv.GetSchemaname() != "" {
		name = quoted(rv.GetSchemaname()) + "." + name
	}
	if rv.GetCatalogname() != "" {
		name = quoted(rv.GetCatalogname()) + "." + name
	}
	return name
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// innerQuery returns the text between the brackets of COPY (query).
func innerQuery(sql string, toks []token) (string, bool) {
	start, depth := -1, 0
	for _, t := range toks {
		if t.kind != tokOther {
			continue
		}
		switch t.text(sql) {
		case "(":
			if depth++; start < 0 {
				start = int(t.end)
			}
		case ")":
			if depth--; depth == 0 && start >= 0 {
				return sql[start:t.start], true
			}
		}
	}
	return "", false
}
