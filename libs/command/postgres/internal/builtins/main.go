// Command builtins writes builtin_generated.go of package postgres: what
// PostgreSQL itself ships in pg_catalog and information_schema, and which of
// its functions a statement may call and still be classified.
//
// It asks a real, empty PostgreSQL 18 (libs/embedded starts one), named by -dsn
// or by PGHOST and its like:
//
//	go run ./internal/builtins -dsn 'postgres://postgres@127.0.0.1:5432/postgres' -out builtin_generated.go
//
// libs/pgcatalog tests that the lists fit the server.
//
// A function is trusted when every overload of its name is immutable or
// stable, or is one of the volatile ones listed in harmless, and when it is
// not in denied: those take SQL, relation or type names as text and run them,
// or tell what other sessions are doing. Input, output and support functions
// are not trusted either: nobody calls record_out(t) in good faith.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"go/format"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// harmless are volatile functions that change nothing but themselves.
var harmless = strings.Fields(`
	array_sample array_shuffle clock_timestamp current_query currval gen_random_uuid lastval
	pg_blocking_pids pg_collation_actual_version pg_current_wal_flush_lsn pg_current_wal_insert_lsn
	pg_current_wal_lsn pg_database_collation_actual_version pg_database_size pg_get_sequence_data
	pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused pg_isolation_test_session_is_blocked
	pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn
	pg_last_xact_replay_timestamp pg_partition_ancestors pg_partition_tree pg_relation_size
	pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_stat_get_xact_blocks_fetched
	pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time
	pg_stat_get_xact_function_total_time pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted
	pg_stat_get_xact_tuples_fetched pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted
	pg_stat_get_xact_tuples_newpage_updated pg_stat_get_xact_tuples_returned
	pg_stat_get_xact_tuples_updated pg_table_size pg_tablespace_size pg_total_relation_size
	pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status random random_normal
	timeofday txid_status uuidv4 uuidv7`)

// writes are functions that write, or lock, and do nothing else.
var writes = strings.Fields(`
	nextval pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
	pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_export_snapshot pg_notify pg_try_advisory_lock
	pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared setval`)

// denied are functions that are stable or immutable by their label and yet
// run what they are given as text, reveal other sessions or the upstream's
// address, or are called by event triggers only.
var denied = strings.Fields(`
	query_to_xml query_to_xmlschema query_to_xml_and_xmlschema
	cursor_to_xml cursor_to_xmlschema
	table_to_xml table_to_xmlschema table_to_xml_and_xmlschema
	schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
	database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
	ts_stat ts_rewrite
	pg_input_is_valid pg_input_error_info
	pg_cursor pg_prepared_statement pg_prepared_xact
	pg_stat_get_activity pg_stat_get_backend_activity pg_stat_get_wal_receiver pg_stat_get_wal_senders
	inet_server_addr inet_server_port
	pg_event_trigger_ddl_commands pg_event_trigger_dropped_objects
	pg_event_trigger_table_rewrite_oid pg_event_trigger_table_rewrite_reason
	set_config pg_read_file pg_read_binary_file`)

const functions = `
select proname,
  bool_and(provolatile in ('i', 's') and prokind <> 'p') as quiet,
  bool_or(exists (
    select from unnest(proargtypes::oid[] || prorettype) t
    where t in ('internal'::regtype, 'cstring'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
       or t::regtype::text like '%\_handler')) as machinery
from pg_proc where pronamespace = $1::regnamespace group by proname order by proname collate "C"`

// counting are aggregates and window functions: what they give may depend on how
// many rows there are.
const counting = `
select proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace and prokind in ('a', 'w')
group by proname order by proname collate "C"`

// producing are functions that return rows.
const producing = `
select proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proretset
group by proname order by proname collate "C"`

// guarded are the settings that only a superuser may change.
const guarded = `
select name from pg_settings where context in ('superuser', 'superuser-backend')
order by name collate "C"`

const operators = `
select oprname from pg_operator o join pg_proc p on p.oid = o.oprcode
where oprnamespace = 'pg_catalog'::regnamespace
group by oprname having bool_and(provolatile <> 'v') order by oprname collate "C"`

const types = `
select typname from pg_type t
where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'p', 'r', 'm')
  and typname !~ '^_pg_' and not exists (select from pg_class c where c.oid = t.typrelid)
  and not exists (select from pg_type e where e.oid = t.typelem and e.typrelid <> 0)
order by typname collate "C"`

const relations = `
select relname from pg_class where relnamespace = $1::regnamespace and relkind in ('r', 'v')
order by relname collate "C"`

func main() {
	dsn := flag.String("dsn", "", "connection string of an empty PostgreSQL 18")
	out := flag.String("out", "builtin_generated.go", "file to write")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, *dsn, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context, dsn, out string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("builtins: connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var version string
	if err := conn.QueryRow(ctx, "show server_version").Scan(&version); err != nil {
		return fmt.Errorf("builtins: version: %w", err)
	}
	var trusted, other []string
	if trusted, other, err = sort(ctx, conn, "pg_catalog"); err != nil {
		return err
	}
	schema, _, err := sort(ctx, conn, "information_schema")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by internal/builtins from PostgreSQL %s; DO NOT EDIT.\n\npackage postgres\n", version)
	list(&b, "trustedFunctions", "are what a statement may call and still be classified.", trusted)
	list(&b, "writingFunctions", "write, and do nothing else.", writes)
	list(&b, "otherFunctions", "are the rest of pg_catalog: a call makes the class unknown.", other)
	list(&b, "schemaFunctions", "are those of information_schema that are trusted.", schema)
	for _, q := range []struct{ name, doc, sql, arg string }{
		{"superuserSettings", "are the settings that only a superuser may change.", guarded, ""},
		{"countingFunctions", "are pg_catalog's aggregates and window functions.", counting, ""},
		{"rowFunctions", "are those of pg_catalog that return rows.", producing, ""},
		{"builtinOperators", "are the names of pg_catalog's operators.", operators, ""},
		{"builtinTypes", "are the base, range and pseudo types of pg_catalog.", types, ""},
		{"catalogRelations", "are the tables and views of pg_catalog.", relations, "pg_catalog"},
		{"schemaRelations", "are the tables and views of information_schema.", relations, "information_schema"},
	} {
		var args []any
		if q.arg != "" {
			args = append(args, q.arg)
		}
		rows, err := conn.Query(ctx, q.sql, args...)
		if err != nil {
			return fmt.Errorf("builtins: %s: %w", q.name, err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("builtins: %s: %w", q.name, err)
		}
		list(&b, q.name, q.doc, names)
	}
	src, err := format.Source(b.Bytes())
	if err != nil {
		return fmt.Errorf("builtins: format: %w", err)
	}
	if err := os.WriteFile(out, src, 0o644); err != nil { //nolint:gosec // source code
		return fmt.Errorf("builtins: write: %w", err)
	}
	return nil
}

// sort splits the function names of a schema into trusted ones and the rest.
func sort(ctx context.Context, conn *pgx.Conn, schema string) (trusted, other []string, err error) {
	rows, err := conn.Query(ctx, functions, schema)
	if err != nil {
		return nil, nil, fmt.Errorf("builtins: functions of %s: %w", schema, err)
	}
	var (
		name             string
		quiet, machinery bool
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &quiet, &machinery}, func() error {
		switch {
		case slices.Contains(writes, name):
		case slices.Contains(denied, name), machinery:
			other = append(other, name)
		case quiet, slices.Contains(harmless, name):
			trusted = append(trusted, name)
		default:
			other = append(other, name)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("builtins: functions of %s: %w", schema, err)
	}
	return trusted, other, nil
}

// list writes one sorted list, a few names a line.
func list(b *bytes.Buffer, name, doc string, names []string) {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	fmt.Fprintf(b, "\n// %s %s\nvar %s = []string{\n", name, doc, name)
	line := ""
	for _, n := range names {
		q := fmt.Sprintf("%q, ", n)
		if len(line)+len(q) > 100 {
			fmt.Fprintf(b, "\t%s\n", strings.TrimSpace(line))
			line = ""
		}
		line += q
	}
	fmt.Fprintf(b, "\t%s\n}\n", strings.TrimSpace(line))
}
