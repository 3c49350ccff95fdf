package e2e

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	_ "github.com/golang-migrate/migrate/v4/source/file" // reads files
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// TestMigrations has the tools that pipelines change schemas with do so, there
// and back, as a job that may read, write and change definitions.
func TestMigrations(t *testing.T) {
	g := shared.Get(t)
	direct, gateway := matrixWays(t, g, migrator)
	tables := func() string {
		return strings.TrimSpace(direct.run(t, "psql", "-XAtc", `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '_people$'`))
	}
	rows := func(table string) string {
		return strings.TrimSpace(direct.run(t, "psql", "-XAtc", "SELECT string_agg(name, ' ' ORDER BY name) FROM "+table))
	}
	db := func(t *testing.T) *sql.DB {
		t.Helper()
		db := stdlib.OpenDB(*pgxConfig(t, gateway.dsn()))
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	folder := func(name string) string {
		path, _ := filepath.Abs(filepath.Join("testdata", "migrations", name))
		return path
	}
	program := func(t *testing.T, extra []string, arguments ...string) {
		t.Helper()
		w := gateway
		w.environment = func() []string { return append(gateway.environment(), extra...) }
		w.run(t, arguments[0], arguments[1:]...)
	}
	node := []string{"NODE_PATH=" + filepath.Join(nodeClients(t), "node_modules"), "NODE_EXTRA_CA_CERTS=" + g.CA}
	bin := filepath.Join(nodeClients(t), "node_modules", ".bin")
	for name, tool := range map[string]struct {
		up, down func(t *testing.T)
		table    string
		rows     string
	}{
		"goose": {table: "goose_people", rows: "Ada", up: func(t *testing.T) {
			p, err := goose.NewProvider(goose.DialectPostgres, db(t), os.DirFS(folder("goose")))
			if err == nil {
				_, err = p.Up(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}, down: func(t *testing.T) {
			p, err := goose.NewProvider(goose.DialectPostgres, db(t), os.DirFS(folder("goose")))
			if err == nil {
				_, err = p.DownTo(t.Context(), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		"golang-migrate": {table: "migrate_people", rows: "Ada", up: func(t *testing.T) {
			if err := migrator4(t, db(t), folder("migrate")).Up(); err != nil {
				t.Fatal(err)
			}
		}, down: func(t *testing.T) {
			if err := migrator4(t, db(t), folder("migrate")).Down(); err != nil {
				t.Fatal(err)
			}
		}},
		"node-pg-migrate": {table: "npm_people", rows: "Ada", up: func(t *testing.T) {
			program(t, node, filepath.Join(bin, "node-pg-migrate"), "up", "-m", folder("node-pg-migrate"))
		}, down: func(t *testing.T) {
			program(t, node, filepath.Join(bin, "node-pg-migrate"), "down", "-m", folder("node-pg-migrate"))
		}},
		"knex": {table: "knex_people", rows: "Ada Grace", up: func(t *testing.T) {
			program(t, node, filepath.Join(bin, "knex"), "migrate:latest", "--knexfile", filepath.Join(folder("knex"), "knexfile.cjs"))
		}, down: func(t *testing.T) {
			program(t, node, filepath.Join(bin, "knex"), "migrate:rollback", "--knexfile", filepath.Join(folder("knex"), "knexfile.cjs"))
		}},
		"alembic": {table: "alembic_people", rows: "Ada Grace", up: func(t *testing.T) {
			program(t, nil, "/usr/bin/python3", "-m", "alembic", "-c", filepath.Join(folder("alembic"), "alembic.ini"), "upgrade", "head")
		}, down: func(t *testing.T) {
			program(t, nil, "/usr/bin/python3", "-m", "alembic", "-c", filepath.Join(folder("alembic"), "alembic.ini"), "downgrade", "base")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tool.up(t)
			if got := rows(tool.table); got != tool.rows {
				t.Errorf("%s holds %q, want %q", tool.table, got, tool.rows)
			}
			tool.down(t)
			if got := tables(); strings.Contains(got, tool.table) {
				t.Errorf("%s is still there: %s", tool.table, got)
			}
		})
	}
}

// migrator4 is golang-migrate on a folder. It is told to send a file statement by
// statement: in one text, what follows a definition is unknown.
func migrator4(t *testing.T, db *sql.DB, folder string) *migrate.Migrate {
	t.Helper()
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{MultiStatementEnabled: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithDatabaseInstance("file://"+folder, "matrix", driver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = m.Close() })
	return m
}
