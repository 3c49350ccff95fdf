package postgres

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/gatestay/gatestay/libs/command"
)

// view is what is known of a view's query.
type view struct {
	// opaque says why reading the view may run anything; empty where it reads.
	opaque string
	// reads are the relations below it, views and their tables, transitively.
	reads []*relation
	facts command.Facts
	// plain has, by the view's column number, the column that it passes on.
	plain map[int16]ColumnRef
}

// definitionPath is the search_path under which definitions are printed: every
// name outside pg_catalog is qualified.
var definitionPath = []string{"pg_catalog"}

// readView reads the query of a view, and first those of the views below it.
func (c *Catalog) readView(r *relation) *view {
	if r.view != nil || (r.Kind != 'v' && r.Kind != 'm') || system(r.Schema) {
		return r.view
	}
	v := &view{}
	r.view = v
	v.reads = c.depends(r)
	st, err := Parse(r.Definition)
	if err != nil || len(st) != 1 {
		v.opaque = "has a query that Gatestay cannot read"
		return v
	}
	v.facts = c.Resolve(st[0].Facts, definitionPath, "")
	switch v.facts.Class {
	case command.Read:
	case command.Unknown:
		v.opaque = "may do more than read: " + v.facts.Why
	default:
		v.opaque = "writes"
	}
	if r.Kind == 'm' {
		v.opaque = "" // its rows are stored: the query does not run
	}
	v.plain = c.plainColumns(r)
	for _, o := range v.facts.Objects {
		if rel := c.relations[Name{o.Schema, o.Name}]; rel != nil {
			v.reads = appendNew(v.reads, rel)
		}
	}
	for _, below := range v.reads {
		if inner := c.readView(below); inner != nil && inner != v {
			if inner.opaque != "" && v.opaque == "" && r.Kind == 'v' {
				v.opaque = fmt.Sprintf("reads the view %s, which %s", below.title(), inner.opaque)
			}
			for _, rel := range inner.reads {
				v.reads = appendNew(v.reads, rel)
			}
		}
	}
	return v
}

// depends are the relations of pg_depend.
func (c *Catalog) depends(r *relation) []*relation {
	var out []*relation
	for _, ref := range r.Reads {
		if rel := c.byOID[ref.OID]; rel != nil && rel != r {
			out = appendNew(out, rel)
		}
	}
	return out
}

func appendNew(list []*relation, r *relation) []*relation {
	for _, o := range list {
		if o == r {
			return list
		}
	}
	return append(list, r)
}

// below are the relations that a view of a user reads.
func (r *relation) below() []*relation {
	if r.view == nil {
		return nil
	}
	return r.view.reads
}

// plainColumns finds the columns of a view that are plainly columns of a
// table or view below it.
func (c *Catalog) plainColumns(r *relation) map[int16]ColumnRef {
	tree, err := parseTree(r.Definition)
	if err != nil || len(tree.GetStmts()) != 1 {
		return nil
	}
	sel := tree.GetStmts()[0].GetStmt().GetSelectStmt()
	if sel == nil || sel.GetOp() != pg.SetOperation_SETOP_NONE || sel.GetWithClause() != nil ||
		len(sel.GetTargetList()) != len(r.Columns) {
		return nil
	}
	w := &walker{ranges: map[string]bool{}, joins: map[string]bool{}}
	f := &frame{}
	for _, item := range sel.GetFromClause() {
		w.sources(item, env{}, f)
	}
	if w.f.WholeRow || w.f.Class == command.Unknown {
		return nil // columns go by other names
	}
	out := map[int16]ColumnRef{}
	for i, t := range sel.GetTargetList() {
		ref := t.GetResTarget().GetVal().GetColumnRef()
		parts := names(ref.GetFields())
		if len(parts) == 0 || len(parts) < len(ref.GetFields()) {
			continue
		}
		col := f.column(parts)
		rel := c.relations[Name{col.Schema, col.Table}]
		if rel == nil {
			continue
		}
		if num, ok := rel.numbers[col.Name]; ok {
			out[r.Columns[i].Number] = ColumnRef{rel.OID, num}
		}
	}
	return out
}
