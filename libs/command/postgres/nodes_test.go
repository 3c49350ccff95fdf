package postgres

import (
	"slices"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres/internal/scope"
)

// analyzed are the kinds of nodes that PostgreSQL's analysis, planner and executor
// make, and no text does, and those that a statement's own reader takes apart.
// Anywhere else they make the class unknown.
var analyzed = strings.Fields(`
	TableFunc Var Param Aggref WindowFunc WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr DistinctExpr NullIfExpr ScalarArrayOpExpr
	SubPlan AlternativeSubPlan FieldSelect FieldStore RelabelType CoerceViaIO ArrayCoerceExpr ConvertRowtypeExpr CollateExpr CaseTestExpr
	ArrayExpr RowCompareExpr JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin MergeAction CoerceToDomain
	CoerceToDomainValue NextValueExpr InferenceElem TargetEntry RangeTblRef FromExpr OnConflictExpr Query SinglePartitionSpec RangeTblEntry
	RTEPermissionInfo RangeTblFunction TableSampleClause WithCheckOption SortGroupClause WindowClause RowMarkClause SetOperationStmt
	PLAssignStmt InlineCodeBlock CallContext IntList OidList IntoClause MergeWhenClause RawStmt`)

// kinds yields every kind of node of the grammar, an empty one of each.
func kinds(yield func(string, *pg.Node) bool) {
	fields := (&pg.Node{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range fields.Len() {
		n, fd := &pg.Node{}, fields.Get(i)
		n.ProtoReflect().Set(fd, n.ProtoReflect().NewField(fd))
		if !yield(string(fd.Message().Name()), n) {
			return
		}
	}
}

func newWalker() *walker {
	return &walker{assigned: map[int]place{}, ranges: map[string]bool{}, f: command.Facts{Class: command.Read}}
}

// TestRedteam13_EveryKindOfNodeIsKnownOrRefused: a kind that a newer grammar
// brings is in no list here, and is unknown.
func TestRedteam13_EveryKindOfNodeIsKnownOrRefused(t *testing.T) {
	for name, n := range kinds {
		w, st := newWalker(), newWalker()
		w.node(n.ProtoReflect(), env{})
		if strings.HasSuffix(name, "Stmt") {
			st.statement(n, env{})
		} else {
			st.f.Class, st.f.Why = command.Unknown, "that Gatestay does not know"
		}
		const why = "that Gatestay does not know"
		unknown := strings.Contains(w.f.Why, why) && strings.Contains(st.f.Why, why) && !strings.HasSuffix(st.f.Why, "(<nil>)")
		if listed := slices.Contains(analyzed, name); unknown != listed {
			t.Errorf("%s: unknown %v, listed as such %v (%s; %s)", name, unknown, listed, w.f.Why, st.f.Why)
		}
	}
}

// onlyNames are the parts of nodes that the grammar fills with names, constants
// and options, by the name of the field: no column of a row goes there.
var onlyNames = plain(`
	xpr colnames names array_bounds typmods funcname name oper_name use_op collname opclass opclassopts collation options objargs objfuncargs objname
	col_names view_query attlist aliascolnames ctecolcollations ctecolnames ctecoltypes ctecoltypmods cycle_col_list search_col_list cycle_mark_value
	cycle_mark_default using_clause fdwoptions cooked_default identity_sequence fields func_options grantees grantee_roles granted_roles objects object
	privileges roles opt type_name defnames stat_types stxstattarget items opfamilyname opclassname conversion_name func_name cfgname dicts dictname
	tokentype publication actions handler_name vals whenclause plhandler plinline plvalidator params definition constraints aliases table_list args_names
	locked_rels argtypes indirection coldeflist collation_name columns transform_tables`)

// elsewhere are parts that stand in one kind of node only for what no row goes
// into, or that no text has: raw_default and the like of a column that a function in
// FROM is given, what only analysis fills in, a statement in a statement.
var elsewhere = plain(`
	ColumnDef.coll_clause.arg AlterDatabaseSetStmt.setstmt.args AlterRoleSetStmt.setstmt.args AlterSystemStmt.setstmt.args VariableSetStmt.args
	CaseExpr.arg DefineStmt.args SelectStmt.larg SelectStmt.rarg`)

// holders make of a column what a list holds by the grammar.
var holders = map[string]func(*pg.Node) *pg.Node{
	"target_list": func(n *pg.Node) *pg.Node {
		return &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Name: "name", Val: n}}}
	},
	"returning_list": func(n *pg.Node) *pg.Node {
		return &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: n}}}
	},
	"order_clause": func(n *pg.Node) *pg.Node { return &pg.Node{Node: &pg.Node_SortBy{SortBy: &pg.SortBy{Node: n}}} },
	"sort_clause":  func(n *pg.Node) *pg.Node { return &pg.Node{Node: &pg.Node_SortBy{SortBy: &pg.SortBy{Node: n}}} },
	"agg_order":    func(n *pg.Node) *pg.Node { return &pg.Node{Node: &pg.Node_SortBy{SortBy: &pg.SortBy{Node: n}}} },
	"rexpr":        listOf,
	"CaseExpr.args": func(n *pg.Node) *pg.Node {
		return &pg.Node{Node: &pg.Node_CaseWhen{CaseWhen: &pg.CaseWhen{Expr: n}}}
	},
	"subselect": func(n *pg.Node) *pg.Node {
		return &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{WhereClause: n}}}
	},
}

func listOf(n *pg.Node) *pg.Node {
	return &pg.Node{Node: &pg.Node_List{List: &pg.List{Items: []*pg.Node{n}}}}
}

// plant yields copies of an expression, in each of which one part is a masked
// column, with the part's name, for each value of its enumerations.
func plant(m protoreflect.Message, depth int, yield func(string, protoreflect.Message)) {
	fields := m.Descriptor().Fields()
	for choose := range choices(m) {
		for i := range fields.Len() {
			fd := fields.Get(i)
			if fd.Kind() != protoreflect.MessageKind || onlyNames[string(fd.Name())] {
				continue
			}
			with := func(part string, v protoreflect.Message) {
				out := m.New()
				choose(out)
				if fd.IsList() {
					l := out.NewField(fd)
					l.List().Append(protoreflect.ValueOfMessage(v))
					out.Set(fd, l)
				} else {
					out.Set(fd, protoreflect.ValueOfMessage(v))
				}
				yield(string(fd.Name())+part, out)
			}
			switch {
			case fd.Message().Name() == "Node":
				n := planted
				for _, part := range []string{string(fd.Name()), string(m.Descriptor().Name()) + "." + string(fd.Name())} {
					if hold := holders[part]; hold != nil {
						n = hold(n)
					}
				}
				with("", n.ProtoReflect())
			case depth > 0:
				empty := m.NewField(fd)
				if fd.IsList() {
					empty = empty.List().NewElement()
				}
				plant(empty.Message(), depth-1, func(part string, v protoreflect.Message) { with("."+part, v) })
			}
		}
	}
}

// choices sets one enumeration of a message at a time, to each of its values.
func choices(m protoreflect.Message) func(func(func(protoreflect.Message)) bool) {
	return func(yield func(func(protoreflect.Message)) bool) {
		found := false
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			fd := fields.Get(i)
			if fd.Kind() != protoreflect.EnumKind {
				continue
			}
			for j := range fd.Enum().Values().Len() {
				v := protoreflect.ValueOfEnum(fd.Enum().Values().Get(j).Number())
				if found = true; !yield(func(m protoreflect.Message) { m.Set(fd, v) }) {
					return
				}
			}
		}
		if !found {
			yield(func(protoreflect.Message) {})
		}
	}
}

var planted = &pg.Node{Node: &pg.Node_ColumnRef{ColumnRef: &pg.ColumnRef{Fields: []*pg.Node{
	{Node: &pg.Node_String_{String_: &pg.String{Sval: "customers"}}}, {Node: &pg.Node_String_{String_: &pg.String{Sval: "email"}}},
}}}}

// TestRedteam13_NoPartOfANodeHidesAColumn puts a masked column into every part of
// every kind of expression that the grammar has, and asks each of the three readers
// of the tree whether it sees it: facts, lineage and comparisons.
func TestRedteam13_NoPartOfANodeHidesAColumn(t *testing.T) {
	masks := NewCatalog(shop()).Masks(maskedEmail)
	rv := &pg.RangeVar{Relname: "customers", Inh: true}
	asked := 0
	for name, empty := range kinds {
		if slices.Contains(analyzed, name) || strings.HasSuffix(name, "Stmt") || defining[name] {
			continue
		}
		plant(inside(empty), 2, func(part string, m protoreflect.Message) {
			if elsewhere[name+"."+part] {
				return
			}
			if l, ok := m.Interface().(*pg.SubLink); ok && l.GetTestexpr() != nil && l.GetSubLinkType() != pg.SubLinkType_ANY_SUBLINK && l.GetSubLinkType() != pg.SubLinkType_ALL_SUBLINK {
				return // only these have one
			}
			n := &pg.Node{}
			for fd := range empty.ProtoReflect().Range {
				n.ProtoReflect().Set(fd, protoreflect.ValueOfMessage(m))
			}
			asked++
			w := newWalker()
			f := &frame{}
			f.add(source{alias: "customers", table: "customers"})
			w.node(n.ProtoReflect(), env{from: f})
			if w.f.Class != command.Unknown && !slices.ContainsFunc(w.columns.list, func(c command.Column) bool { return c.Name == "email" }) {
				t.Errorf("facts do not see what %s.%s holds: %s", name, part, n)
			}
			p := &prover{masks: masks, path: newPath(public, ""), every: masks.rules()}
			p.names.Reader = p
			it, _ := p.Relation(rv)
			it.Bare, it.Named = true, true
			if d := p.derive(n.ProtoReflect(), (&level{}).Over(it)); len(d) == 0 && !p.failed {
				t.Errorf("lineage does not see what %s.%s holds: %s", name, part, n)
			}
			c := &comparer{budget: maxComparing, seen: map[comparison]bool{}, parameters: map[int32]bool{}}
			c.names = scope.Analysis[value]{Reader: c, Eager: true}
			if v := c.below(n, (&compareScope{}).Over(c.written(rv))); len(v.from) == 0 && len(c.found) == 0 && c.budget > 0 {
				t.Errorf("comparisons do not see what %s.%s holds: %s", name, part, n)
			}
		})
	}
	if asked < 200 {
		t.Errorf("%d parts: the test shows nothing", asked)
	}
	t.Logf("%d parts of nodes", asked)
}

// defining are the kinds of nodes that only definitions have: lineage does not come
// to them.
var defining = plain(`ColumnDef Constraint TableLikeClause PartitionElem PartitionSpec PartitionBoundSpec PartitionRangeDatum PartitionCmd AlterTableCmd
	CreateOpClassItem FunctionParameter StatsElem VacuumRelation PublicationTable PublicationObjSpec TriggerTransition AccessPriv DefElem RoleSpec ObjectWithArgs TypeName`)
