package initialise

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/masking"
)

// maxColumns bounds what is read of a catalog.
const maxColumns = 100_000

// table is one relation that holds rows of its own.
type table struct {
	schema, name string
	foreign      bool // its rows lie elsewhere: not sampled
	columns      []*column
}

// column is one column with what the sample tells of it.
type column struct {
	name, typeName string
	category       string // pg_type.typcategory: S string, N number, D date, B boolean, I network, U user
	base           string // the type without its modifiers, domains undone
	comment        string
	values         int            // sampled values that are not NULL
	found          map[string]int // detector -> values in which it finds something
}

func (t *table) column(c *column) masking.Column {
	return masking.Column{Schema: t.schema, Table: t.name, Name: c.name}
}

// text reports a type whose values detectors look at.
func (c *column) text() bool {
	return c.category == "S" || c.base == "json" || c.base == "jsonb" || c.base == "bytea" || c.base == "citext" || c.base == "xml"
}

// document reports a type that holds more than one value.
func (c *column) document() bool { return c.base == "json" || c.base == "jsonb" || c.base == "xml" }

// Partitions are left out: their parent's masks cover them. So are views: what
// they show of a masked column is masked.
const catalogQuery = `
	WITH RECURSIVE types AS (
		SELECT oid, typname, typtype, typbasetype, oid AS of FROM pg_type
		UNION ALL SELECT b.oid, b.typname, b.typtype, b.typbasetype, t.of
		          FROM types t JOIN pg_type b ON b.oid = t.typbasetype WHERE t.typtype = 'd')
	SELECT n.nspname, c.relname, c.relkind = 'f', a.attname, format_type(a.atttypid, a.atttypmod),
	       t.typcategory::text, b.typname, coalesce(col_description(c.oid, a.attnum), '')
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	JOIN pg_type t ON t.oid = a.atttypid
	JOIN types b ON b.of = t.oid AND b.typtype <> 'd'
	WHERE c.relkind IN ('r', 'p', 'f', 'm') AND NOT c.relispartition
	  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
	ORDER BY 1, 2, a.attnum
	LIMIT 100001`

func readCatalog(ctx context.Context, conn *pgx.Conn) ([]*table, error) {
	var tables []*table
	n := 0
	err := readOnly(ctx, conn, 30*time.Second, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, catalogQuery)
		if err != nil {
			return err
		}
		t, c := table{}, column{}
		_, err = pgx.ForEachRow(rows, []any{&t.schema, &t.name, &t.foreign, &c.name, &c.typeName, &c.category, &c.base, &c.comment}, func() error {
			if n++; n > maxColumns {
				return fmt.Errorf("more than %d columns", maxColumns)
			}
			if len(tables) == 0 || tables[len(tables)-1].schema != t.schema || tables[len(tables)-1].name != t.name {
				tables = append(tables, &table{schema: t.schema, name: t.name, foreign: t.foreign})
			}
			last := tables[len(tables)-1]
			one := c
			one.found = map[string]int{}
			last.columns = append(last.columns, &one)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	return tables, nil
}

// readOnly runs f in a read-only transaction that waits for no lock for long,
// and is rolled back.
func readOnly(ctx context.Context, conn *pgx.Conn, limit time.Duration, f func(pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// pg_catalog first and alone: no function or operator of somebody else runs.
	for _, set := range []string{"search_path = pg_catalog", "lock_timeout = 500", fmt.Sprintf("statement_timeout = %d", limit.Milliseconds())} {
		if _, err := tx.Exec(ctx, "SET LOCAL "+set); err != nil {
			return fmt.Errorf("set %s: %w", set, err)
		}
	}
	return f(tx)
}
