// Package scope finds what a name in a statement means, as PostgreSQL's analysis
// does (parse_relation.c, parse_clause.c, parse_cte.c): which FROM items a place of
// the tree sees, by their names or by the bare names of their columns; the merged
// columns of joins; the queries of WITH clauses, recursive ones too.
//
// What a column is, the package does not say: a Reader gives each expression a
// value V. Two readers of a statement, that of lineage and that of comparisons,
// thus agree about every name. Where more than one thing may be meant, since the
// columns of an item are not all known, a lookup returns all of them.
package scope
