package postgres

import (
	"cmp"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// maxDepth bounds how deep a parse tree may be. The C side needs about 300
// bytes of stack a level and has at least 1 MiB; protobuf-go stops at 10,000
// messages, and a level of an expression has up to four.
const maxDepth = 2000

// scan splits a text into tokens. It does not recurse.
func scan(sql string) ([]*pg.ScanToken, error) {
	r, err := pg.Scan(sql)
	if err != nil {
		return nil, syntaxError(sql, err)
	}
	return r.GetTokens(), nil
}

// depth returns an upper bound of how deep the parse tree of a text can be.
//
// A path from the root to a leaf passes, at each level of brackets, tokens of
// one element of a list only: what commas and semicolons separate becomes a
// flat list, and so does what AND and OR separate. Set operations, joins and
// nested CASE lean over such separators: they are counted for the whole bracket.
func depth(sql string, toks []*pg.ScanToken) int {
	type level struct{ element, longest, inner, chain int }
	closeElement := func(l *level) {
		l.longest = max(l.longest, l.element+l.inner)
		l.element, l.inner = 0, 0
	}
	stack := []level{{}}
	for _, t := range toks {
		top := &stack[len(stack)-1]
		switch t.GetToken() { //nolint:exhaustive // all others count the same
		case pg.Token_SQL_COMMENT, pg.Token_C_COMMENT:
			continue
		case pg.Token_ASCII_40, pg.Token_ASCII_91: // ( [
			top.element++
			stack = append(stack, level{})
			continue
		case pg.Token_ASCII_41, pg.Token_ASCII_93: // ) ]
			if len(stack) > 1 {
				closeElement(top)
				d := top.longest + top.chain + 1
				stack = stack[:len(stack)-1]
				up := &stack[len(stack)-1]
				up.inner = max(up.inner, d)
			}
			continue
		case pg.Token_ASCII_44, pg.Token_ASCII_59: // , ;
			closeElement(top)
			continue
		case pg.Token_AND, pg.Token_OR:
			closeElement(top)
			continue
		case pg.Token_UNION, pg.Token_INTERSECT, pg.Token_EXCEPT, pg.Token_JOIN, pg.Token_CASE:
			top.chain++
		default:
		}
		top.element++
	}
	// Unclosed brackets do not parse, but cost the parser nothing either.
	deepest := 0
	for i := range stack {
		closeElement(&stack[i])
		deepest += stack[i].longest + stack[i].chain
	}
	return deepest
}

// literals are the constants of a text by the offset at which they start.
type literals struct {
	toks []*pg.ScanToken
}

// at returns the constant that starts at an offset, a leading minus included.
func (l literals) at(sql string, offset int) (start, end int, text, ok bool) {
	i, found := slices.BinarySearchFunc(l.toks, offset, func(t *pg.ScanToken, o int) int {
		return cmp.Compare(int(t.GetStart()), o)
	})
	if !found {
		return 0, 0, false, false
	}
	t := l.toks[i]
	start = int(t.GetStart())
	if t.GetToken() == pg.Token_ASCII_45 { // minus, folded into the number
		for i++; i < len(l.toks) && comment(l.toks[i]); i++ {
		}
		if i == len(l.toks) {
			return 0, 0, false, false
		}
		t = l.toks[i]
	}
	text, ok = constant(t)
	return start, int(t.GetEnd()), text, ok && int(t.GetEnd()) <= len(sql)
}

func comment(t *pg.ScanToken) bool {
	return t.GetToken() == pg.Token_SQL_COMMENT || t.GetToken() == pg.Token_C_COMMENT
}

// constant reports whether a token is a literal, and whether it is a text.
func constant(t *pg.ScanToken) (text, ok bool) {
	switch t.GetToken() { //nolint:exhaustive // no other is a constant
	case pg.Token_SCONST, pg.Token_USCONST, pg.Token_BCONST, pg.Token_XCONST:
		return true, true
	case pg.Token_ICONST, pg.Token_FCONST, pg.Token_TRUE_P, pg.Token_FALSE_P:
		return false, true
	default:
		return false, false
	}
}
