package postgres

import (
	"cmp"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// literals lists every constant of the statement, whether or not the tree
// keeps its place (options of utility statements do not).
func (w *walker) literals(s Statement) []command.Literal {
	var out []command.Literal
	minus := -1 // offset of a minus that may belong to the next number
	for _, t := range w.toks {
		if t.kind == tokComment {
			continue
		}
		text, ok := constant(w.sql, t)
		if !ok {
			minus = -1
			if t.kind == tokOperator && w.sql[t.end-1] == '-' {
				minus = int(t.end) - 1
			}
			continue
		}
		start := int(t.start)
		at, known := w.assigned[start]
		if !known && minus >= 0 {
			if at, known = w.assigned[minus]; known {
				start = minus
			}
		}
		out = append(out, command.Literal{
			Start: start - s.Start, End: int(t.end) - s.Start,
			Column: at.column, Position: at.position, Text: text, Secret: w.secret && text,
		})
		minus = -1
	}
	return out
}

// constant reports whether a token is a literal, and whether it is a text.
func constant(sql string, t token) (text, ok bool) {
	switch t.kind { //nolint:exhaustive // no other is a constant
	case tokText:
		return true, true
	case tokNumber:
		return false, true
	case tokWord:
		if n := t.end - t.start; n == 4 || n == 5 {
			w := t.text(sql)
			return false, strings.EqualFold(w, "true") || strings.EqualFold(w, "false")
		}
	}
	return false, false
}

// within returns the tokens of sql[start:end].
func within(toks []token, start, end int) []token {
	find := func(offset int) int {
		i, _ := slices.BinarySearchFunc(toks, offset, func(t token, o int) int { return cmp.Compare(int(t.start), o) })
		return i
	}
	return toks[find(start):find(end)]
}
