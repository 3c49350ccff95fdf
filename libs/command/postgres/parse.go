package postgres

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/grammar"
)

// MaxText is the longest text that is read, in bytes. A longer one is refused
// as a SyntaxError; it is never cut.
const MaxText = 1 << 20

// Statement is one statement of a text.
type Statement struct {
	// Text is the statement without its semicolon, with the white space and
	// comments around it: sql[Start:End].
	Text       string
	Start, End int
	// Facts are shared with other callers where they come from a Cache: do not
	// change what its slices hold. Literal offsets count from Start.
	Facts command.Facts
	// Copy is set for a COPY whose data goes to or comes from the client.
	Copy *Copy
	// Handle is set for a statement that names a query, or uses one by name.
	Handle *Handle
}

// SyntaxError says that a text could not be read: as a whole it is unknown.
type SyntaxError struct {
	// Message is PostgreSQL's, without the quoted piece of the text.
	Message string
	// Position is the byte offset of the error, -1 where there is none.
	Position int
	// Unread reports that the text was not given to the parser: too long, too
	// deep, or no valid UTF-8.
	Unread bool
}

// Error gives the reason and, for syntax, what may be behind it.
func (e *SyntaxError) Error() string {
	if e.Unread {
		return "the command text cannot be read: " + e.Message
	}
	at := ""
	if e.Position >= 0 {
		at = fmt.Sprintf(" at byte %d", e.Position+1)
	}
	return "the command text cannot be parsed: " + e.Message + at + " (by PostgreSQL 17's grammar; what is new in 18 is not known)"
}

// Facts returns what is known of a text that could not be read: nothing.
func (e *SyntaxError) Facts() command.Facts {
	return command.Facts{Class: command.Unknown, Unknown: allFields(), Comparisons: anyComparison(), Why: e.Error()}
}

// allFields are the names of all facts.
func allFields() []string {
	return []string{
		"verb", "class", "objects", "reads", "writes", "columns", "filters", "functions",
		"filtered", "catalog", "transaction", "settings", "comparisons",
	}
}

// Parse splits a text into its statements and reads the facts of each. An
// empty text, or one of comments only, has no statements. The error is a
// *SyntaxError.
func Parse(sql string) ([]Statement, error) {
	if err := readable(sql); err != nil {
		return nil, err
	}
	out, _, err := parse(sql, lex(sql))
	return out, err
}

// parse is Parse of a readable text and its tokens, with the tree.
func parse(sql string, toks []token) ([]Statement, *pg.ParseResult, error) {
	if err := measured(sql, toks); err != nil {
		return nil, nil, err
	}
	tree, err := parseTree(sql)
	if err != nil {
		return nil, nil, err
	}
	out := make([]Statement, 0, len(tree.GetStmts()))
	for i, raw := range tree.GetStmts() {
		s := Statement{Start: int(raw.GetStmtLocation()), End: len(sql)}
		if n := int(raw.GetStmtLen()); n > 0 {
			s.End = s.Start + n
		} else if i+1 < len(tree.GetStmts()) {
			return nil, nil, &SyntaxError{Message: "its statements cannot be told apart", Position: -1}
		}
		if s.Start < 0 || s.Start > s.End || s.End > len(sql) {
			return nil, nil, &SyntaxError{Message: "its statements cannot be told apart", Position: -1}
		}
		s.Text = sql[s.Start:s.End]
		s.Facts = facts(sql, s, raw.GetStmt(), toks)
		s.Handle = handleOf(sql, s, raw.GetStmt())
		s.Copy = copyOf(sql, s, raw.GetStmt().GetCopyStmt(), toks)
		out = append(out, s)
	}
	return out, tree, nil
}

// readable refuses what the parser would not see whole.
func readable(sql string) error {
	switch {
	case len(sql) > MaxText:
		return &SyntaxError{
			Message:  fmt.Sprintf("it has %d bytes, at most %d are read", len(sql), MaxText),
			Position: -1, Unread: true,
		}
	case strings.IndexByte(sql, 0) >= 0: // C would end the text here
		return &SyntaxError{Message: "it has a zero byte", Position: strings.IndexByte(sql, 0), Unread: true}
	case !utf8.ValidString(sql):
		return &SyntaxError{Message: "it is no valid UTF-8", Position: -1, Unread: true}
	}
	return nil
}

// parseTree gives a text to PostgreSQL's parser. The text has been measured.
func parseTree(sql string) (*pg.ParseResult, error) {
	raw, err := grammar.Parse(sql)
	if err != nil {
		return nil, syntaxError(sql, err)
	}
	tree := &pg.ParseResult{}
	if err := proto.Unmarshal(raw, tree); err != nil {
		return nil, &SyntaxError{Message: "it is nested too deeply", Position: -1, Unread: true}
	}
	return tree, nil
}

// syntaxError keeps PostgreSQL's reason and place, not the piece of text that
// it quotes: that may hold a secret.
func syntaxError(sql string, err error) *SyntaxError {
	out := &SyntaxError{Message: err.Error(), Position: -1}
	var ge *grammar.Error
	if errors.As(err, &ge) {
		out.Message = ge.Message
		n := 1 // Cursor counts characters from 1
		for i := range sql {
			if n == ge.Cursor {
				out.Position = i
				break
			}
			n++
		}
	}
	if i := strings.Index(out.Message, ` at or near "`); i >= 0 {
		out.Message = out.Message[:i]
	}
	return out
}
