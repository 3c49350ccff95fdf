package postgres

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A shape is a text without the values of its whole numbers. Two texts of one
// shape have the same facts where the first of them shows that each number is
// nothing but a constant beside an operator:
//
//   - They differ in digits of numbers that have as many digits in both. So
//     PostgreSQL's scanner takes the same tokens at the same places from both: a
//     run of digits that it took for a whole number in the one is a whole number
//     in the other, and with at most nine digits it fits 32 bits in both.
//   - Its grammar goes by tokens, not by their values, but for a few places such
//     as float(24) and the minus before a number; none of these leaves a constant
//     in the tree at one of those places that begins with a digit of the text.
//   - What is read of the tree (facts, comparisons) looks at the value of a number
//     in a type, as an entry of ORDER BY or GROUP BY, and as a function's argument.
//     At those places it takes the constant's offset only, and that is the same. A
//     test reads all golden statements in both ways and compares.
//
// So a client that writes its parameters into the text has it parsed once.
type shape struct {
	key     string // the text, each digit of the numbers a zero
	numbers []token
}

const (
	maxShape   = 4 << 10 // bytes of a text
	maxNumbers = 32
	maxDigits  = 9
)

// shapeOf returns the shape of a readable text. It has none where there are no
// numbers, or others than whole ones.
func shapeOf(sql string, toks []token) (shape, bool) {
	if len(sql) > maxShape {
		return shape{}, false
	}
	var numbers []token
	for _, t := range toks {
		if t.kind != tokNumber {
			continue
		}
		if t.end-t.start > maxDigits || len(numbers) == maxNumbers || strings.Trim(t.text(sql), "0123456789") != "" {
			return shape{}, false
		}
		numbers = append(numbers, t)
	}
	if numbers == nil {
		return shape{}, false
	}
	key := []byte(sql)
	for _, t := range numbers {
		for i := t.start; i < t.end; i++ {
			key[i] = '0'
		}
	}
	return shape{string(key), numbers}, true
}

// proved reports that each number of the shape's text stands at one of those
// places, and that the statements hold nothing else of the text than their own
// piece of it.
func (s shape) proved(sql string, statements []Statement, tree *pg.ParseResult) bool {
	operands := map[int]int32{} // by their offset
	for i, raw := range tree.GetStmts() {
		switch raw.GetStmt().GetNode().(type) {
		case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt:
		default:
			return false
		}
		if statements[i].Copy != nil || statements[i].Handle != nil {
			return false
		}
		collectOperands(raw.GetStmt().ProtoReflect(), operands)
	}
	for _, t := range s.numbers {
		value, ok := operands[int(t.start)]
		if written, err := strconv.Atoi(t.text(sql)); !ok || err != nil || written != int(value) {
			return false
		}
	}
	return true
}

// collectOperands finds the whole numbers that stand where no value matters. The
// tree is not deep: its text is short.
func collectOperands(m protoreflect.Message, found map[int]int32) {
	note := func(nodes ...*pg.Node) {
		for _, n := range nodes {
			if c := n.GetAConst(); c.GetIval() != nil {
				found[int(c.GetLocation())] = c.GetIval().GetIval()
			}
		}
	}
	switch n := m.Interface().(type) {
	case *pg.A_Expr:
		switch n.GetKind() { //nolint:exhaustive // others are parsed each time
		case pg.A_Expr_Kind_AEXPR_OP:
			note(n.GetLexpr(), n.GetRexpr())
		case pg.A_Expr_Kind_AEXPR_IN, pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN:
			note(n.GetRexpr().GetList().GetItems()...)
		}
	case *pg.SelectStmt:
		note(n.GetLimitCount(), n.GetLimitOffset())
		for _, row := range n.GetValuesLists() {
			note(row.GetList().GetItems()...)
		}
	case *pg.UpdateStmt:
		for _, t := range n.GetTargetList() {
			note(t.GetResTarget().GetVal())
		}
	}
	for child := range below(m) {
		collectOperands(child, found)
	}
}

// fits reports that another text of the same key has its numbers at the same
// places.
func (s shape) fits(other shape) bool { return slices.Equal(s.numbers, other.numbers) }

// bind returns the statements of one text of the shape as those of another. What
// else they hold is shared.
func bind(statements []Statement, sql string) []Statement {
	out := slices.Clone(statements)
	for i := range out {
		s := &out[i]
		s.Text = sql[s.Start:s.End]
		next := &text{sql: s.Text, keeps: keeps(&s.Facts)}
		if t, ok := s.Facts.Source.(*text); ok {
			next.whole = t.whole
		}
		s.Facts.Source = next
	}
	return out
}
