package pgcatalog

import (
	"slices"

	"github.com/gatestay/gatestay/libs/command/postgres"
)

// PostgreSQL's own objects have OIDs below 16384 (FirstNormalObjectId); what
// somebody put into pg_catalog later has not.

// functions tells those in C apart (languages 12, by the name of one that the
// server is linked with, and 13), which only a superuser can have made.
// pgcrypto brings a gen_random_uuid of its own. What another version of
// PostgreSQL has in pg_catalog counts as not PostgreSQL's own.
func (l *loader) queueFunctions() {
	var (
		f     postgres.Function
		later bool // made after the database was
	)
	where := "p.oid >= 16384 OR n.nspname = 'pg_catalog'"
	if l.functions.some || l.functions.after > 0 {
		where = l.functions.has("p.oid")
	}
	l.each("functions", `
		SELECT n.nspname::text, p.proname::text, bool_and(p.prolang IN (12, 13) AND (p.provolatile <> 'v' OR p.proname = 'gen_random_uuid')),
		       p.oid >= 16384
				FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE `+where+` GROUP BY 1, 2, p.oid >= 16384`,
		l.functions, []any{&f.Schema, &f.Name.Name, &f.Plain, &later}, func() {
			switch {
			case later && !slices.Contains(l.out.Functions, f):
				l.out.Functions = append(l.out.Functions, f)
			case !later && !postgres.KnownFunction(f.Name.Name):
				l.own = append(l.own, f)
				l.out.Functions = append(l.out.Functions, f)
			}
		})
}

// operators leaves out those that rest on a non-volatile function in C, or on
// one of PostgreSQL's own that is trusted.
func (l *loader) queueOperators() {
	var (
		n           postgres.Name
		own, inC    bool
		fschema, fn string
	)
	l.each("operators", `
		SELECT n.nspname::text, o.oprname::text, f.oid < 16384, f.prolang IN (12, 13) AND f.provolatile <> 'v',
		       fnsp.nspname::text, f.proname::text
		FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
		JOIN pg_proc f ON f.oid = o.oprcode JOIN pg_namespace fnsp ON fnsp.oid = f.pronamespace
		WHERE o.oid >= 16384 AND `+l.operators.has("o.oid"),
		l.operators, []any{&n.Schema, &n.Name, &own, &inC, &fschema, &fn}, func() {
			if own && postgres.TrustedFunction(fschema, fn) || !own && inC {
				return
			}
			if !slices.Contains(l.out.Operators, n) {
				l.out.Operators = append(l.out.Operators, n)
			}
		})
}

// types are those that are not PostgreSQL's. A cast counts as code where its
// function is neither in C nor PostgreSQL's own.
func (l *loader) queueTypes() {
	var (
		t          postgres.Type
		kind       rune
		base       uint32
		canonical  bool
		cast       bool
		checks     []string
		unreadable bool
	)
	at := map[uint32]int{}
	for i := range l.out.Types {
		at[l.out.Types[i].OID] = i
	}
	l.each("types", `
		WITH foreign_cast AS (
			SELECT x.castsource, x.casttarget, x.castcontext FROM pg_cast x JOIN pg_proc f ON f.oid = x.castfunc
			WHERE f.oid >= 16384 AND NOT (f.prolang IN (12, 13) AND f.provolatile <> 'v'))
		SELECT n.nspname::text, t.typname::text, t.oid, t.typtype::"char",
			CASE t.typtype WHEN 'd' THEN t.typbasetype WHEN 'r' THEN g.rngsubtype ELSE 0 END,
			coalesce(g.rngcanonical <> 0, false),
			EXISTS (SELECT FROM foreign_cast x WHERE t.oid IN (x.castsource, x.casttarget)),
			EXISTS (SELECT FROM foreign_cast x WHERE t.oid IN (x.castsource, x.casttarget) AND x.castcontext <> 'e'),
			ARRAY(SELECT coalesce(pg_get_expr(k.conbin, 0), '') FROM pg_constraint k
			      WHERE k.contypid = t.oid AND k.contype = 'c'),
			t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1
		FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
		LEFT JOIN pg_range g ON g.rngtypid = t.oid
		WHERE t.oid >= 16384 AND n.nspname !~ '^pg_toast'
		  AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
		  AND `+l.types.has("t.oid"),
		l.types, []any{&t.Schema, &t.Name.Name, &t.OID, &kind, &base, &canonical, &cast, &t.Casts, &checks, &unreadable}, func() {
			t.Checks = nil
			switch kind {
			case 'e':
				t.Plain = true
			case 'b':
				t.Plain = !unreadable // arrays are written as element[]
			case 'd':
				t.Plain, t.Checks = base < 16384, slices.Clone(checks)
			case 'r':
				t.Plain = base < 16384 && !canonical
			default: // composite, multirange, pseudo
				t.Plain = false
			}
			t.Plain = t.Plain && !cast
			if i, ok := at[t.OID]; ok {
				l.out.Types[i] = t
				return
			}
			at[t.OID] = len(l.out.Types)
			l.out.Types = append(l.out.Types, t)
		})
}
