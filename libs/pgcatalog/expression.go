package pgcatalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// locked are the relations whose expressions and views cannot be printed now:
// printing takes a lock on what is read, and would wait for whoever holds it,
// a held migration perhaps.
const locked = `
	WITH locked AS MATERIALIZED (
		SELECT relation AS oid FROM pg_locks
		WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

// expressions are those that run when a table is read (row security) or
// written: whether they are harmless is for package postgres to say.
func (l *loader) expressions() {
	var (
		oid  uint32
		read bool
		expr *string
	)
	var b strings.Builder
	b.WriteString(locked)
	for i, e := range []struct{ read, expr, rel, from string }{
		{"false", "adbin", "adrelid", "pg_attrdef WHERE true"},
		{"false", "conbin", "conrelid", "pg_constraint WHERE contype = 'c'"},
		{"false", "indexprs", "indrelid", "pg_index WHERE indexprs IS NOT NULL"},
		{"false", "indpred", "indrelid", "pg_index WHERE indpred IS NOT NULL"},
		{"false", "partexprs", "partrelid", "pg_partitioned_table WHERE partexprs IS NOT NULL"},
		{"true", "polqual", "polrelid", "pg_policy JOIN pg_class c ON c.oid = polrelid WHERE polqual IS NOT NULL AND c.relrowsecurity"},
		{"false", "polwithcheck", "polrelid", "pg_policy JOIN pg_class c ON c.oid = polrelid WHERE polwithcheck IS NOT NULL AND c.relrowsecurity"},
	} {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&b, "SELECT %[1]s, %[2]s, CASE WHEN %[1]s IN (SELECT oid FROM locked) THEN NULL ELSE pg_get_expr(%[3]s, %[1]s) END FROM %[4]s AND %[1]s >= %[5]d AND %[6]s",
			e.rel, e.read, e.expr, e.from, firstUser, l.relations.has(e.rel))
	}
	l.each("expressions", b.String(), l.relations, []any{&oid, &read, &expr}, func() {
		r := l.relation(oid)
		if r == nil {
			return
		}
		list := &r.WriteExpressions
		if read {
			list = &r.ReadExpressions
		}
		if expr == nil {
			*list = append(*list, "") // cannot be read: not harmless
			l.unread[oid] = true
			return
		}
		*list = append(*list, *expr)
	})
}

// definitions are the queries of users' views. A view that cannot be printed
// has none, and is unknown until the next load.
func (l *loader) definitions() {
	var (
		oid uint32
		def *string
	)
	l.each("view definitions", locked+`
		SELECT c.oid, CASE WHEN c.oid IN (SELECT oid FROM locked) OR EXISTS (
				SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
				WHERE w.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass
				  AND d.refobjid IN (SELECT oid FROM locked))
			THEN NULL ELSE pg_get_viewdef(c.oid) END
		FROM pg_class c WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384 AND `+l.relations.has("c.oid"),
		l.relations, []any{&oid, &def}, func() {
			r := l.relation(oid)
			switch {
			case r == nil:
			case def == nil:
				l.unread[oid] = true
			default:
				r.Definition = *def
			}
		})
}

const lockNotAvailable = "55P03"

// unlocked reads what was asked for and then what is printed, with a short wait for
// locks: where a lock was taken after it was listed, it begins that again, a few
// times. The locks that it takes itself end with the transaction.
func (l *loader) unlocked() error {
	const attempts = 5
	var err error
	for range attempts {
		l.unprint()
		l.batch.Queue("SAVEPOINT guarded")
		l.batch.Queue("SET LOCAL lock_timeout = '100ms'")
		l.expressions()
		l.definitions()
		l.batch.Queue(end)
		if err = l.send(); !lockTimeout(err) {
			return err
		}
		if _, err := l.conn.Exec(l.ctx, "ROLLBACK TO SAVEPOINT guarded"); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
	}
	return err
}

// unprint forgets what was printed of the relations in scope.
func (l *loader) unprint() {
	clear(l.unread)
	for i := range l.out.Relations {
		if r := &l.out.Relations[i]; !l.relations.some || slices.Contains(l.relations.oids, r.OID) {
			r.ReadExpressions, r.WriteExpressions, r.Definition = nil, nil, ""
		}
	}
}

func lockTimeout(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == lockNotAvailable
}
