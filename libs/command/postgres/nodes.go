package postgres

// plainNodes are the kinds of nodes that only hold others: walking through
// them misses nothing. A kind that is neither here nor has a case in node or
// statement makes the class unknown, so that a newer grammar fails closed.
var plainNodes = plain(`
	Integer Float Boolean String BitString List Alias A_Const A_Star A_Indices A_ArrayExpr
	TypeCast CollateClause BoolExpr NullTest BooleanTest CoalesceExpr MinMaxExpr SQLValueFunction
	RowExpr CaseWhen GroupingFunc GroupingSet NamedArgExpr SetToDefault CurrentOfExpr
	MergeSupportFunc ResTarget MultiAssignRef WindowDef WithClause CTESearchClause CTECycleClause
	InferClause OnConflictClause RangeTableFunc RangeTableFuncCol XmlExpr XmlSerialize
	JsonTable JsonTableColumn JsonTablePathSpec JsonFuncExpr JsonValueExpr JsonFormat JsonOutput
	JsonReturning JsonArgument JsonBehavior JsonKeyValue JsonParseExpr JsonScalarExpr
	JsonSerializeExpr JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor
	JsonAggConstructor JsonObjectAgg JsonArrayAgg JsonIsPredicate
	DefElem RoleSpec Constraint TableLikeClause PartitionElem PartitionSpec
	PartitionBoundSpec PartitionRangeDatum PartitionCmd AlterTableCmd ReplicaIdentityStmt
	ObjectWithArgs AccessPriv FunctionParameter TriggerTransition CreateOpClassItem
	VacuumRelation PublicationTable PublicationObjSpec ReturnStmt`)
