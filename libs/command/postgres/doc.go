// Package postgres reads facts from SQL text with PostgreSQL's own parser
// (libpg_query, grammar of PostgreSQL 17), so that comments, dollar quotes,
// U&"" identifiers and nested statements mean what they mean to the server.
//
// Parse (or Cache.Parse) gives facts from the text alone. They are complete
// only after Catalog.Resolve has looked up every name in the target's catalog
// along the session's real search_path; a policy decides on resolved facts.
// Masks.Taint then says which result columns may derive from a masked one: each
// by its own lineage where that is proved, else all by what the statement touches.
//
// # What is not known is said so
//
// The tree is walked node by node; a kind of node that this package was not
// taught makes the class unknown, and so does a function, operator or type
// that is not PostgreSQL's own. A function is trusted by a list generated from
// PostgreSQL 18's catalog (internal/builtins): every overload immutable or
// stable, none that takes SQL or the name of a relation as text. A stable
// function of somebody else may call a volatile one, so its label is no proof.
//
// The parser does not know syntax that came with PostgreSQL 18: such text is a
// SyntaxError, and unknown as a whole.
//
// # Comparisons
//
// A column that a reader may not see is read bit by bit where it decides which
// rows come. Facts.Comparisons lists such uses of columns by what a query does
// with values, not by where names stand (compare_*.go): it follows each value
// through sub-selects, WITH and set operations, and Masks.Compared through views.
// What a name means it finds as lineage does: by internal/scope.
//
// # Bounds
//
// libpg_query trusts its input: `1+1+1+…` of 200 kB overflows the C stack and
// kills the process, `/**//**//**/…` keeps it busy for minutes, and
// `SET (a,a,a,…) = (…)` takes gigabytes. A scanner of our own, that does none
// of it, therefore measures a text before it is parsed (measured). A text that
// is too much, or longer than MaxText, is not read at all, and is unknown.
package postgres

//go:generate go run ./internal/builtins -out builtin_generated.go
