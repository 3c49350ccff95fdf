package pgcatalog

import (
	"errors"
	"fmt"

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
func (l *loader) expressions() error {
	var (
		oid  uint32
		read bool
		expr *string
	)
	text := func(e, rel string) string {
		return fmt.Sprintf(`CASE WHEN %s IN (SELECT oid FROM locked) THEN NULL ELSE pg_get_expr(%s, %s) END`, rel, e, rel)
	}
	sql := locked + `
		SELECT adrelid, false, ` + text("adbin", "adrelid") + ` FROM pg_attrdef WHERE adrelid >= 16384
		UNION ALL SELECT conrelid, false, ` + text("conbin", "conrelid") + `
		          FROM pg_constraint WHERE contype = 'c' AND conrelid >= 16384
		UNION ALL SELECT indrelid, false, ` + text("indexprs", "indrelid") + `
		          FROM pg_index WHERE indexprs IS NOT NULL AND indrelid >= 16384
		UNION ALL SELECT indrelid, false, ` + text("indpred", "indrelid") + `
		          FROM pg_index WHERE indpred IS NOT NULL AND indrelid >= 16384
		UNION ALL SELECT partrelid, false, ` + text("partexprs", "partrelid") + `
		          FROM pg_partitioned_table WHERE partexprs IS NOT NULL
		UNION ALL SELECT polrelid, true, ` + text("polqual", "polrelid") + `
		          FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE polqual IS NOT NULL AND c.relrowsecurity
		UNION ALL SELECT polrelid, false, ` + text("polwithcheck", "polrelid") + `
		          FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE polwithcheck IS NOT NULL AND c.relrowsecurity`
	reset := func() {
		for i := range l.out.Relations {
			l.out.Relations[i].ReadExpressions, l.out.Relations[i].WriteExpressions = nil, nil
		}
	}
	return l.unlocked(sql, reset, []any{&oid, &read, &expr}, func() {
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
			return
		}
		*list = append(*list, *expr)
	})
}

// definitions are the queries of users' views. A view that cannot be printed
// has none, and is unknown until the next load.
func (l *loader) definitions() error {
	var (
		oid uint32
		def *string
	)
	sql := locked + `
		SELECT c.oid, CASE WHEN c.oid IN (SELECT oid FROM locked) OR EXISTS (
				SELECT FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
				WHERE w.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass
				  AND d.refobjid IN (SELECT oid FROM locked))
			THEN NULL ELSE pg_get_viewdef(c.oid) END
		FROM pg_class c WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384`
	return l.unlocked(sql, func() {}, []any{&oid, &def}, func() {
		if r := l.relation(oid); r != nil && def != nil {
			r.Definition = *def
		}
	})
}

const lockNotAvailable = "55P03"

// unlocked runs a query that uses the list of locked relations. Where a lock
// was taken after it was listed, it begins again with reset, a few times.
func (l *loader) unlocked(sql string, reset func(), dst []any, fn func()) error {
	const attempts = 5
	var err error
	for range attempts {
		reset()
		if err = l.guarded(func() error { return l.each(sql, dst, fn) }); err == nil || !lockTimeout(err) {
			return err
		}
	}
	return err
}

// guarded runs a query inside a savepoint, with a short wait for locks. It
// gives back the locks that the query has taken.
func (l *loader) guarded(run func() error) error {
	if _, err := l.tx.Exec(l.ctx, "SAVEPOINT guarded; SET LOCAL lock_timeout = '100ms'"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	err := run()
	if _, back := l.tx.Exec(l.ctx, "ROLLBACK TO SAVEPOINT guarded"); back != nil {
		return errors.Join(err, fmt.Errorf("savepoint: %w", back))
	}
	return err
}

func lockTimeout(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == lockNotAvailable
}
