package policy

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// when compiles a condition and puts its problems at their place in the file.
func (s *source) when(n ast.Node, text string, conditions *conditions) *condition {
	c, found := conditions.compile(text)
	for _, f := range found {
		line, column := s.within(n, f)
		s.badAt(line, column, "when: "+f.what, f.remedy)
	}
	return c
}

// within turns a place in a scalar's text into a place in the file. Where the
// scalar was folded, the first line of it stands for all.
func (s *source) within(n ast.Node, f fault) (line, column int) {
	line, column = place(n)
	if literal, ok := n.(*ast.LiteralNode); ok {
		first := literal.Start.Position.Line // the line of the | or >
		if strings.HasPrefix(literal.Start.Value, ">") {
			return first + 1, 1
		}
		at := first + 1 + f.line
		if at > len(s.lines) {
			return line, column
		}
		return at, len(s.lines[at-1]) - len(strings.TrimLeft(s.lines[at-1], " ")) + 1 + f.column
	}
	if f.line > 0 || line == 0 || line > len(s.lines) {
		return line, column
	}
	if rest := s.lines[line-1]; column <= len(rest) && (rest[column-1] == '"' || rest[column-1] == '\'') {
		column++
	}
	return line, column + f.column
}
