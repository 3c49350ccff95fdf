package pgcatalog_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command/postgres"
)

// TestBuiltins_fitTheServer: the lists that package postgres ships are those of
// the server that the tests run on. A new version of PostgreSQL fails here
// first: run go generate, and look at what became trusted.
func TestBuiltins_fitTheServer(t *testing.T) {
	conn := connect(t, "postgres")
	rows, err := conn.Query(t.Context(), `
		SELECT proname::text, bool_or(provolatile = 'v'), bool_or(prokind = 'p')
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	var (
		name                string
		volatile, procedure bool
		trusted             []string // though volatile
		n                   int
	)
	if _, err := pgx.ForEachRow(rows, []any{&name, &volatile, &procedure}, func() error {
		n++
		if !postgres.KnownFunction(name) {
			t.Errorf("pg_catalog.%s is not known", name)
		}
		if postgres.TrustedFunction("pg_catalog", name) && (volatile || procedure) {
			trusted = append(trusted, name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n < 2000 {
		t.Errorf("the server has %d functions", n)
	}
	if !slices.Contains(trusted, "random") || len(trusted) > 60 {
		t.Errorf("%d volatile functions are trusted: %v", len(trusted), trusted)
	}
	for _, never := range []string{
		"query_to_xml", "table_to_xml", "database_to_xml", "ts_stat", "pg_read_file", "pg_sleep", "lo_export", "set_config",
		"pg_terminate_backend", "nextval", "pg_advisory_lock", "pg_ls_dir", "dblink", "record_out",
	} {
		if postgres.TrustedFunction("pg_catalog", never) {
			t.Errorf("%s is trusted", never)
		}
	}
}
