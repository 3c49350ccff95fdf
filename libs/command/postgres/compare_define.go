package postgres

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
)

// kin follows a statement of another kind: all columns that are mentioned in
// it, in conditions of an index, a policy or a check, are used in a way that
// is not understood. So are those that it mentions by name alone, or not at
// all, where the server looks at the rows that there are.
func (c *comparer) kin(n *pg.Node, s *compareScope) value {
	c.stored = true
	inner := s.Inner()
	m := inside(n)
	for child := range below(m) {
		if wrapped, ok := child.Interface().(*pg.Node); ok && wrapped.GetRangeVar() != nil {
			inner.Items = append(inner.Items, c.written(wrapped.GetRangeVar()))
		} else if rv, ok := child.Interface().(*pg.RangeVar); ok {
			inner.Items = append(inner.Items, c.written(rv))
		}
	}
	switch v := n.GetNode().(type) {
	case *pg.Node_AlterTableStmt:
		c.keys(v.AlterTableStmt.GetRelation(), m)
		for _, cmd := range v.AlterTableStmt.GetCmds() {
			c.altered(v.AlterTableStmt.GetRelation(), cmd.GetAlterTableCmd())
		}
	case *pg.Node_IndexStmt:
		for _, e := range v.IndexStmt.GetIndexParams() {
			if v.IndexStmt.GetUnique() {
				c.checked(v.IndexStmt.GetRelation(), e.GetIndexElem().GetName(), command.Other)
			}
		}
	case *pg.Node_CreateStmt:
		if inherits := v.CreateStmt.GetInhRelations(); v.CreateStmt.GetPartbound() != nil && len(inherits) > 0 {
			parent := inherits[0].GetRangeVar() // what its default partition has goes elsewhere from now on
			c.routed(parent, parent)
		}
	case *pg.Node_ClusterStmt: // rows come in this order from then on
		c.checked(v.ClusterStmt.GetRelation(), "*", command.Order)
	case *pg.Node_AlterDomainStmt:
		switch v.AlterDomainStmt.GetSubtype() {
		case "C", "O", "V": // ADD, SET NOT NULL, VALIDATE: of all columns of the type
			c.note(comparison{Comparison: command.Comparison{Column: command.Column{Table: "*", Name: "*"}, Use: command.Other, Given: command.Typed}})
		}
	}
	return c.children(m, inner)
}

// altered follows one change of a table whose rows the server looks at for it.
// VALIDATE CONSTRAINT is not among them: that asks what the constraint asked,
// when it was made.
func (c *comparer) altered(rv *pg.RangeVar, cmd *pg.AlterTableCmd) {
	switch cmd.GetSubtype() { //nolint:exhaustive // the others look at no values, or hold expressions
	case pg.AlterTableType_AT_AlterColumnType:
		if !takesAny(cmd.GetDef().GetColumnDef().GetTypeName()) { // it fails for some values
			c.checked(rv, cmd.GetName(), command.Expression)
		}
		if using := cmd.GetDef().GetColumnDef().GetRawDefault(); using != nil {
			s := (&compareScope{}).Over(c.written(rv))
			c.rewrites(c.eval(using, s), rv, cmd.GetName())
		}
	case pg.AlterTableType_AT_SetNotNull:
		c.checked(rv, cmd.GetName(), command.Null)
	case pg.AlterTableType_AT_AttachPartition:
		part := cmd.GetDef().GetPartitionCmd().GetName()
		c.routed(rv, rv)
		c.routed(part, rv)
	}
}

// routed notes that rows of a table are looked at by the key of a partitioned one.
func (c *comparer) routed(rv, by *pg.RangeVar) {
	c.note(comparison{Comparison: command.Comparison{
		Column: command.Column{Schema: rv.GetSchemaname(), Table: rv.GetRelname(), Name: "*"}, Use: command.Other,
		With: command.Column{Schema: by.GetSchemaname(), Table: by.GetRelname(), Name: "*"}, Given: command.Routed,
	}})
}

// takesAny reports a type to which any value can be cast.
func takesAny(t *pg.TypeName) bool {
	schema, name := split(names(t.GetNames()))
	return (schema == "" || schema == "pg_catalog") && (name == "text" || name == "varchar") && len(t.GetArrayBounds()) == 0 && len(t.GetTypmods()) == 0
}

// keys follows keys that a table with rows is given: whether they hold tells
// whether values are there, or there twice.
func (c *comparer) keys(rv *pg.RangeVar, m protoreflect.Message) {
	for child := range below(m) {
		k, ok := child.Interface().(*pg.Constraint)
		if !ok {
			c.keys(rv, child)
			continue
		}
		switch k.GetContype() { //nolint:exhaustive // the others are conditions, or ask nothing
		case pg.ConstrType_CONSTR_FOREIGN:
			c.assigned(k.GetPktable(), names(k.GetPkAttrs()), true)
			for _, name := range names(k.GetFkAttrs()) {
				c.checked(rv, name, command.Other)
			}
		case pg.ConstrType_CONSTR_PRIMARY, pg.ConstrType_CONSTR_UNIQUE, pg.ConstrType_CONSTR_EXCLUSION:
			for _, name := range names(k.GetKeys()) {
				c.checked(rv, name, command.Other)
			}
			for _, e := range k.GetExclusions() {
				for _, item := range e.GetList().GetItems() {
					c.checked(rv, item.GetIndexElem().GetName(), command.Other)
				}
			}
		}
	}
}
