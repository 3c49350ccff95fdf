package scope

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// ResultName is the name that the server gives a column of a target list
// (FigureColname in parse_target.c); empty where this package does not know.
func ResultName(r *pg.ResTarget) string {
	if r.GetName() != "" {
		return r.GetName()
	}
	name, _ := figure(r.GetVal())
	return name
}

// unnamed is the name of what has none.
const unnamed = "?column?"

// figure returns a name and how good it is: 2 for one that nothing outside of the
// expression replaces, 1 for one that is taken where there is no better.
func figure(n *pg.Node) (name string, strength int) {
	switch v := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		if parts := Names(v.ColumnRef.GetFields()); len(parts) > 0 {
			return parts[len(parts)-1], 2
		}
	case *pg.Node_FuncCall:
		if parts := Names(v.FuncCall.GetFuncname()); len(parts) > 0 {
			return parts[len(parts)-1], 2
		}
	case *pg.Node_AIndirection:
		if parts := Names(v.AIndirection.GetIndirection()); len(parts) > 0 {
			return parts[len(parts)-1], 2
		}
		return figure(v.AIndirection.GetArg())
	case *pg.Node_CollateClause:
		return figure(v.CollateClause.GetArg())
	case *pg.Node_TypeCast:
		if name, strength = figure(v.TypeCast.GetArg()); strength > 1 || name == "" {
			return name, strength
		}
		if parts := Names(v.TypeCast.GetTypeName().GetNames()); len(parts) > 0 {
			return parts[len(parts)-1], 1
		}
		return name, strength
	case *pg.Node_CaseExpr:
		if v.CaseExpr.GetDefresult() != nil {
			if name, strength = figure(v.CaseExpr.GetDefresult()); strength > 1 || name == "" {
				return name, strength
			}
		}
		return "case", 1
	case *pg.Node_SubLink:
		return ofSubLink(v.SubLink)
	case *pg.Node_AExpr:
		if v.AExpr.GetKind() == pg.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", 2
		}
		return unnamed, 0
	case *pg.Node_MinMaxExpr:
		return strings.ToLower(strings.TrimPrefix(v.MinMaxExpr.GetOp().String(), "IS_")), 2
	case *pg.Node_CoalesceExpr:
		return "coalesce", 2
	case *pg.Node_RowExpr:
		return "row", 2
	case *pg.Node_AArrayExpr:
		return "array", 2
	case *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_BoolExpr, *pg.Node_NullTest, *pg.Node_BooleanTest:
		return unnamed, 0
	}
	return "", 0
}

func ofSubLink(n *pg.SubLink) (name string, strength int) {
	switch n.GetSubLinkType() { //nolint:exhaustive // the others have no name of their own
	case pg.SubLinkType_EXISTS_SUBLINK:
		return "exists", 2
	case pg.SubLinkType_ARRAY_SUBLINK:
		return "array", 2
	case pg.SubLinkType_EXPR_SUBLINK:
		sel := n.GetSubselect().GetSelectStmt()
		for sel.GetLarg() != nil {
			sel = sel.GetLarg()
		}
		if list := sel.GetTargetList(); len(list) > 0 {
			return ResultName(list[0].GetResTarget()), 2
		}
		return "", 2
	}
	return unnamed, 0
}
