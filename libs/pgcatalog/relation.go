package pgcatalog

import (
	"github.com/gatestay/gatestay/libs/command/postgres"
)

// kept is the condition on the relations (c, in n) that are read.
const kept = `c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_toast'`

func (l *loader) queueRelations() {
	var (
		oid          uint32
		schema, name string
		kind         rune
	)
	l.each("relations", `
		SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::"char"
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE `+kept+` AND `+l.relations.has("c.oid")+`
		ORDER BY c.oid`,
		l.relations, []any{&oid, &schema, &name, &kind}, func() {
			r := postgres.Relation{OID: oid, Schema: schema, Name: name, Kind: byte(kind)} //nolint:gosec // a "char"
			if at, ok := l.index[oid]; ok {
				l.out.Relations[at] = r
				return
			}
			l.index[oid] = len(l.out.Relations)
			l.out.Relations = append(l.out.Relations, r)
		})
}

func (l *loader) columns() {
	var (
		oid, typ  uint32
		name      string
		typeName  string
		number    int16
		typeNames = map[uint32]string{} // one string a type, not one a column
	)
	l.each("columns", `
		SELECT a.attrelid, a.attname::text, a.attnum, a.atttypid, (SELECT t.typname::text FROM pg_type t WHERE t.oid = a.atttypid)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND `+l.relations.has("a.attrelid")+`
		ORDER BY a.attrelid, a.attnum`,
		l.relations, []any{&oid, &name, &number, &typ, &typeName}, func() {
			r := l.relation(oid)
			if r == nil {
				return
			}
			if _, ok := typeNames[typ]; !ok {
				typeNames[typ] = typeName
			}
			r.Columns = append(r.Columns, postgres.CatalogColumn{
				Name: name, Number: number, Type: typ, TypeName: typeNames[typ],
			})
		})
}

// generated finds what generated columns are computed from.
func (l *loader) generated() {
	var (
		oid          uint32
		number, from int16
	)
	l.each("generated columns", `
		SELECT DISTINCT ad.adrelid, ad.adnum, d.refobjsubid::int2
		FROM (SELECT d.oid, d.adrelid, d.adnum FROM pg_attrdef d WHERE `+l.relations.has("d.adrelid")+`
			AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated <> '') OFFSET 0) ad
		JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid
		WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ad.adrelid AND d.refobjsubid NOT IN (0, ad.adnum)`,
		l.relations, []any{&oid, &number, &from}, func() {
			r := l.relation(oid)
			if r == nil {
				return
			}
			for i := range r.Columns {
				if r.Columns[i].Number == number {
					r.Columns[i].From = append(r.Columns[i].From, from)
				}
			}
		})
}

func (l *loader) inheritance() {
	var child, parent uint32
	l.each("inheritance", `SELECT inhrelid, inhparent FROM pg_inherits WHERE `+l.relations.has("inhrelid"), l.relations, []any{&child, &parent}, func() {
		if r := l.relation(child); r != nil { // indexes have parents too
			r.Parents = append(r.Parents, parent)
		}
	})
}

// dependencies are the columns that the queries of users' views refer to.
func (l *loader) dependencies() {
	var (
		view, oid uint32
		number    int32
	)
	l.each("view dependencies", `
		SELECT DISTINCT w.ev_class, d.refobjid, d.refobjsubid
		FROM pg_rewrite w
		JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
		WHERE w.ev_type = '1' AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class
		  AND w.ev_class >= 16384 AND `+l.relations.has("w.ev_class"),
		l.relations, []any{&view, &oid, &number}, func() {
			if r := l.relation(view); r != nil {
				r.Reads = append(r.Reads, postgres.ColumnRef{OID: oid, Number: int16(number)}) //nolint:gosec // an attnum
			}
		})
}

// cascades are what foreign keys change besides the table that is written.
func (l *loader) cascades() {
	var child, parent uint32
	l.each("foreign keys", `
		SELECT DISTINCT conrelid, confrelid FROM pg_constraint
		WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')) AND `+l.relations.has("confrelid"),
		l.relations, []any{&child, &parent}, func() {
			if r := l.relation(parent); r != nil {
				r.Cascades = append(r.Cascades, child)
				r.WriteCode = true // the child's triggers may run
			}
		})
}

// keys are the columns of unique and exclusion indexes.
func (l *loader) keys() {
	var (
		oid     uint32
		number  int16
		primary bool
	)
	l.each("keys", `
		SELECT indrelid, k.number, bool_or(indisprimary) FROM pg_index CROSS JOIN LATERAL unnest(indkey::int2[]) AS k (number)
		WHERE (indisunique OR indisexclusion) AND indrelid >= 16384 AND `+l.relations.has("indrelid")+` GROUP BY 1, 2`,
		l.relations, []any{&oid, &number, &primary}, func() {
			if r := l.relation(oid); r != nil {
				if r.Keys = append(r.Keys, number); primary {
					r.Primary = append(r.Primary, number)
				}
			}
		})
}

// partitioned are the columns of the keys that tables are partitioned by.
func (l *loader) partitioned() {
	var (
		oid    uint32
		number int16
	)
	l.each("partition keys", `
		SELECT partrelid, k.number FROM pg_partitioned_table CROSS JOIN LATERAL unnest(partattrs::int2[]) AS k (number)
		WHERE `+l.relations.has("partrelid"),
		l.relations, []any{&oid, &number}, func() {
			if r := l.relation(oid); r != nil {
				r.Partitioned = append(r.Partitioned, number)
			}
		})
}

// references are the columns of foreign keys, each with the one it refers to.
func (l *loader) references() {
	var (
		oid, to   uint32
		number, n int16
	)
	l.each("what foreign keys refer to", `
		SELECT DISTINCT c.conrelid, k.number, c.confrelid, k.ref
		FROM pg_constraint c CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k (number, ref)
		WHERE c.contype = 'f' AND `+l.relations.has("c.conrelid"),
		l.relations, []any{&oid, &number, &to, &n}, func() {
			if r := l.relation(oid); r != nil {
				r.References = append(r.References, postgres.Reference{
					Number: number, To: postgres.ColumnRef{OID: to, Number: n},
				})
			}
		})
}

// triggers are the functions that a write fires, by name.
func (l *loader) triggers() {
	var (
		oid              uint32
		events           int16
		schema, function string
	)
	l.each("triggers", `
		SELECT t.tgrelid, t.tgtype, n.nspname::text, p.proname::text
		FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND `+l.relations.has("t.tgrelid")+`
		ORDER BY t.tgrelid, t.tgname`,
		l.relations, []any{&oid, &events, &schema, &function}, func() {
			if r := l.relation(oid); r != nil {
				r.Triggers = append(r.Triggers, postgres.Trigger{Events: events, Function: postgres.Name{Schema: schema, Name: function}})
			}
		})
}

// code finds what runs at a write, whatever its text: triggers and rules.
// Which of them decide what the write returns goes by the bits of
// pg_trigger.tgtype (catalog/pg_trigger.h): 1 for each row, 2 before, 64
// instead. Triggers of PostgreSQL and its contrib modules that take nothing
// from other columns do not.
func (l *loader) code() {
	var (
		oid      uint32
		rewrites bool
	)
	l.each("triggers and rules", `
		SELECT t.tgrelid, t.tgtype & 64 <> 0 OR (t.tgtype & 3 = 3 AND NOT (a.lanname IN ('c', 'internal') AND p.proname IN
			('suppress_redundant_updates_trigger', 'moddatetime', 'insert_username', 'autoinc', 'lo_manage')))
		FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language a ON a.oid = p.prolang
		WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND `+l.relations.has("t.tgrelid")+`
		UNION SELECT ev_class, true FROM pg_rewrite WHERE ev_type <> '1' AND ev_enabled <> 'D' AND `+l.relations.has("ev_class"),
		l.relations, []any{&oid, &rewrites}, func() {
			if r := l.relation(oid); r != nil {
				r.WriteCode = true
				r.Rewrites = r.Rewrites || rewrites
			}
		})
}
