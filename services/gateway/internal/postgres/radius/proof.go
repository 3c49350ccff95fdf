package radius

import (
	"fmt"
	"strconv"
	"strings"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// The bits of pg_trigger.tgtype that say what fires a trigger.
const (
	firesInsert = 4
	firesDelete = 8
	firesUpdate = 16
)

// closure are the relations that a command writes (w, with how), by its own words,
// in partitions and heirs, and through foreign keys, and those that it looks at
// besides (t): what it reads, and what the checks of foreign keys read.
const closure = `
	WITH RECURSIVE own (oid) AS (
		SELECT unnest($2::oid[]) UNION SELECT i.inhrelid FROM pg_inherits i JOIN own o ON i.inhparent = o.oid
	), events (n) AS (
		SELECT $3::int | CASE WHEN $3::int & 16 <> 0 AND EXISTS (SELECT FROM own JOIN pg_class USING (oid) WHERE relkind = 'p' OR relispartition) THEN 12 ELSE 0 END
	), w (oid, events) AS (
		SELECT o.oid, e.n FROM own o, events e
		UNION SELECT x.oid, x.events FROM w CROSS JOIN LATERAL (
			SELECT i.inhrelid AS oid, w.events FROM pg_inherits i WHERE i.inhparent = w.oid
			UNION ALL SELECT f.conrelid, CASE WHEN c.relkind = 'p' OR c.relispartition THEN 28 WHEN f.confdeltype = 'c' AND w.events & 16 = 0 THEN 8 ELSE 24 END
				FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
				WHERE f.contype = 'f' AND f.confrelid = w.oid AND (w.events & 8 <> 0 AND f.confdeltype IN ('c', 'n', 'd') OR w.events & 16 <> 0 AND f.confupdtype IN ('c', 'n', 'd'))
		) x
	), t (oid) AS (
		SELECT oid FROM w UNION SELECT unnest($1::oid[])
		UNION SELECT f.conrelid FROM pg_constraint f JOIN w ON f.confrelid = w.oid WHERE f.contype = 'f'
		UNION SELECT f.confrelid FROM pg_constraint f JOIN w ON f.conrelid = w.oid WHERE f.contype = 'f'
	)`

// proofQuery finds what makes a command run code that is not PostgreSQL's, do what
// a rollback does not undo, or do another thing in another session. It names
// the first relation, null where it is the command itself, and what it is.
const proofQuery = closure + `, types (oid) AS (
		SELECT a.atttypid FROM pg_attribute a JOIN t ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped
		UNION SELECT x.oid FROM types JOIN pg_type y ON y.oid = types.oid CROSS JOIN LATERAL (
			SELECT y.typelem AS oid WHERE y.typelem <> 0 UNION ALL SELECT y.typbasetype WHERE y.typbasetype <> 0
			UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = y.typrelid AND y.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped
		) x
	), expressions (oid, what, tree) AS (
		SELECT d.adrelid, 'has a default that', d.adbin::text FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN w ON w.oid = d.adrelid
			WHERE a.attgenerated = '' AND (w.events & 4 <> 0 OR $4::bool OR EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = d.adrelid AND 'd' IN (f.confdeltype, f.confupdtype)))
		UNION ALL SELECT d.adrelid, 'has a generated column that', d.adbin::text FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN t ON t.oid = d.adrelid WHERE a.attgenerated <> ''
		UNION ALL SELECT c.conrelid, 'has a check that', c.conbin::text FROM pg_constraint c JOIN w ON w.oid = c.conrelid WHERE c.conbin IS NOT NULL
		UNION ALL SELECT i.indrelid, 'has an index that', coalesce(i.indexprs::text, '') || coalesce(i.indpred::text, '') FROM pg_index i JOIN t ON t.oid = i.indrelid
		UNION ALL SELECT p.polrelid, 'has a policy that', coalesce(p.polqual::text, '') || coalesce(p.polwithcheck::text, '') FROM pg_policy p JOIN t ON t.oid = p.polrelid
		UNION ALL SELECT p.partrelid, 'is partitioned by what', p.partexprs::text FROM pg_partitioned_table p JOIN t ON t.oid = p.partrelid WHERE p.partexprs IS NOT NULL
		UNION ALL SELECT r.ev_class, 'is a view that', r.ev_action::text FROM pg_rewrite r JOIN t ON t.oid = r.ev_class WHERE r.ev_type = '1'
		UNION ALL SELECT NULL::oid, 'has to do with a type whose check', c.conbin::text FROM pg_constraint c JOIN types ON types.oid = c.contypid WHERE c.conbin IS NOT NULL
	), calls (oid, what, function) AS (
		SELECT DISTINCT e.oid, e.what, m[1]::oid FROM expressions e, regexp_matches(e.tree, ':(?:funcid|opfuncid|hashfuncid|negfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') m WHERE m[1] <> '0'
		UNION SELECT NULL, '', p.oid FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($5::text[])
	)
	SELECT what, (SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = x.oid) FROM (
		SELECT 'fires the trigger ' || g.tgname AS what, g.tgrelid AS oid FROM pg_trigger g JOIN w ON w.oid = g.tgrelid
			WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & w.events <> 0 OR g.tgisinternal AND g.tgfoid >= 16384
		UNION ALL SELECT 'has a rule', r.ev_class FROM pg_rewrite r JOIN t ON t.oid = r.ev_class WHERE r.ev_type <> '1' AND r.ev_enabled <> 'D'
		UNION ALL SELECT 'is no table', c.oid FROM pg_class c JOIN w USING (oid) WHERE c.relkind NOT IN ('r', 'p')
		UNION ALL SELECT 'is a foreign table', c.oid FROM pg_class c JOIN t USING (oid) WHERE c.relkind = 'f'
		UNION ALL SELECT 'is stored in a way that is not PostgreSQL''s own', c.oid FROM pg_class c JOIN t USING (oid) WHERE c.relam >= 16384
		UNION ALL SELECT 'has an index that is not of PostgreSQL''s own kind', i.indrelid FROM pg_index i JOIN t ON t.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
			WHERE c.relam >= 16384 OR EXISTS (SELECT FROM unnest(i.indclass::oid[]) k (o) WHERE k.o >= 16384)
		UNION ALL SELECT 'is partitioned by an operator class that is not PostgreSQL''s own', p.partrelid FROM pg_partitioned_table p JOIN t ON t.oid = p.partrelid
			WHERE EXISTS (SELECT FROM unnest(p.partclass::oid[]) k (o) WHERE k.o >= 16384)
		UNION ALL SELECT 'has a constraint with an operator that is not PostgreSQL''s own', c.conrelid FROM pg_constraint c JOIN t ON t.oid = c.conrelid
			WHERE EXISTS (SELECT FROM unnest(c.conpfeqop || c.conppeqop || c.conffeqop || c.conexclop) k (o) WHERE k.o >= 16384)
		UNION ALL SELECT 'has statistics about expressions', s.stxrelid FROM pg_statistic_ext s JOIN t ON t.oid = s.stxrelid WHERE to_jsonb(s) ->> 'stxexprs' IS NOT NULL
		UNION ALL SELECT 'takes numbers of a sequence', a.attrelid FROM pg_attribute a JOIN w ON w.oid = a.attrelid WHERE a.attidentity <> '' AND (w.events & 4 <> 0 OR $4::bool)
		UNION ALL SELECT e.what || ' takes a number of a sequence', e.oid FROM expressions e WHERE e.tree LIKE '%{NEXTVALUEEXPR %'
		UNION ALL SELECT e.what || ' uses an operator that is not PostgreSQL''s own', e.oid FROM expressions e, regexp_matches(e.tree, ':opno ([0-9]+)', 'g') m WHERE m[1]::oid >= 16384
		UNION ALL SELECT concat_ws(' ', nullif(k.what, ''), 'calls ' || coalesce(p.proname, 'a function') || '(), ' ||
				CASE WHEN p.proname = ANY ($7::text[]) THEN 'which depends on the session' ELSE 'which is not proved harmless' END), k.oid
			FROM calls k LEFT JOIN pg_proc p ON p.oid = k.function
			WHERE p.oid IS NULL OR p.oid >= 16384 OR p.proname = ANY ($7::text[]) OR p.provolatile = 'v' AND p.proname <> ALL ($6::text[])
		UNION ALL SELECT 'runs where rows are not counted (track_counts)', NULL WHERE current_setting('track_counts') <> 'on'
		UNION ALL SELECT 'runs under another session_replication_role', NULL WHERE current_setting('session_replication_role') <> 'origin'
	) x LIMIT 1`

// harmless makes sure, in the transaction of the run, that nothing but PostgreSQL's
// own code runs, and nothing that a rollback would leave behind.
func (r *trial) harmless() error {
	rows, err := r.rows(proofQuery, r.arguments(7)...)
	switch {
	case err != nil:
		return err
	case len(rows) == 0:
		return nil
	case rows[0][1] == nil:
		return unproved("it " + string(rows[0][0]))
	}
	return unproved(string(rows[0][1]) + " " + string(rows[0][0]))
}

// writable returns the OIDs of all relations that may be written.
func (r *trial) writable() (map[string]bool, error) {
	rows, err := r.rows(closure+` SELECT DISTINCT oid::text FROM w WHERE $4::bool IS NOT NULL`, r.arguments(4)...)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(rows))
	for _, row := range rows {
		out[string(row[0])] = true
	}
	return out, nil
}

// arguments are the first n parameters of the queries above.
func (r *trial) arguments(n int) []string {
	p := &r.q.Proof
	events := 0
	for bit, on := range map[int]bool{firesInsert: p.Inserts, firesUpdate: p.Updates, firesDelete: p.Deletes} {
		if on {
			events |= bit
		}
	}
	// DEFAULT as a value runs the default of an UPDATE, too.
	defaults := strings.Contains(strings.ToLower(r.q.Text), "default")
	return []string{
		oids(p.Looked), oids(p.Written), strconv.Itoa(events), strconv.FormatBool(defaults),
		array(p.Functions), array(pgfacts.Traceless), array(pgfacts.OfSession),
	}[:n]
}

func oids(list []uint32) string {
	parts := make([]string, len(list))
	for i, oid := range list {
		parts[i] = strconv.FormatUint(uint64(oid), 10)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// array is a text[] literal.
func array(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return fmt.Sprintf("{%s}", strings.Join(parts, ","))
}
