package command

// Use is how a statement uses a column where the column's value decides
// something: which rows come, in which order, how many, whether there is an
// error. A column that is only returned, counted or copied is not used so.
type Use string

// The uses. What is not understood is Other.
const (
	Equality   Use = "equality"   // =, <> with one literal or parameter
	Join       Use = "join"       // = with another column
	List       Use = "list"       // IN (a, b), = ANY (array)
	Range      Use = "range"      // <, >, BETWEEN
	Pattern    Use = "pattern"    // LIKE, ~, SIMILAR TO
	Order      Use = "order"      // ORDER BY, also of a window or an aggregate
	Group      Use = "group"      // GROUP BY, DISTINCT, PARTITION BY, UNION
	Null       Use = "is_null"    // IS NULL; YAML reads a bare null as no value
	Condition  Use = "condition"  // a boolean column that is a condition by itself, NULLIF
	Expression Use = "expression" // a function, an operator or a cast of it
	Conflict   Use = "conflict"   // ON CONFLICT
	Key        Use = "key"        // given a value that a unique or foreign key checks
	Other      Use = "other"
)

// Uses returns all uses.
func Uses() []Use {
	return []Use{Equality, Join, List, Range, Pattern, Order, Group, Null, Condition, Expression, Conflict, Key, Other}
}

// Comparison is one use of a column's values.
type Comparison struct {
	// Column has the name * where any column of the table may be used so.
	Column Column
	Use    Use
	// Dotted reports that the column was written table.name: where the table has
	// no such column, it is a function of the row.
	Dotted bool
	// Given says where it is such a use at all; empty for everywhere, as it is once
	// names have been looked up.
	Given Given
	// Into is the column that a value computed from Column is stored in: it is a use
	// where that one is masked, too, since its mask may show a hint of the value.
	Into Column
	// With is the other column of a join, or of a grouping in which two columns
	// go into one. It is zero where a join is with something else than a column.
	With Column
	// WithDotted is Dotted of With.
	WithDotted bool
	// Literal is the place of the literal in Facts.Literals, from 1, and
	// Parameter the n of $n, of an Equality; one of them is not zero.
	Literal, Parameter int
	// Alone reports that the parameter stands nowhere but in equalities.
	Alone bool
}

// Given is what must be so for a comparison to be one.
type Given string

// What may have to be so.
const (
	// Sized: the column is an array. Those of different sizes do not go into one
	// array, and the error tells.
	Sized Given = "sized"
	// Routed: rows are put into partitions of With by it.
	Routed Given = "routed"
	// Typed: it is of a type of the target's own.
	Typed Given = "typed"
	// Referred: another column refers to it. The use is of that one: whether it has
	// the value shows where a row cannot go.
	Referred Given = "referred"
	// Checked: a check of the table is about it and other columns. The use is of these.
	Checked Given = "checked"
)

// Compared is a comparison of a masked column.
type Compared struct {
	Comparison
	// Mask is the masked column as its masking rule names it; zero where what is
	// compared may derive from any of them.
	Mask Column
	// Same reports that With has the same mask.
	Same bool
	// Why says why nothing is known of how the command uses columns, where that is so.
	Why string
}
