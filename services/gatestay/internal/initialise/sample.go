package initialise

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/masking"
)

const (
	// tableLimit bounds the time for one table.
	tableLimit = 2 * time.Second
	// valueLimit bounds what is read of one value, in characters or bytes.
	valueLimit = 4096
	// columnLimit bounds the columns read of one table at once.
	columnLimit = 64
)

// sampler counts what the detectors find in the first rows of tables. Values
// live no longer than the row they came in.
type sampler struct {
	conn    *pgx.Conn
	rows    int
	skipped []string // tables that could not be sampled, and why
}

func (s *sampler) run(ctx context.Context, tables []*table) {
	if s.rows == 0 {
		return
	}
	for _, t := range tables {
		if t.foreign || ctx.Err() != nil {
			continue
		}
		var columns []*column
		for _, c := range t.columns {
			if c.text() && len(columns) < columnLimit {
				columns = append(columns, c)
			}
		}
		if len(columns) == 0 {
			continue
		}
		if err := s.table(ctx, t, columns); err != nil {
			// The server's message may quote a value.
			s.skipped = append(s.skipped, pgx.Identifier{t.schema, t.name}.Sanitize())
		}
	}
}

func (s *sampler) table(ctx context.Context, t *table, columns []*column) error {
	expressions := make([]string, len(columns))
	cells := make([]any, len(columns))
	values := make([][]byte, len(columns))
	for i, c := range columns {
		name := pgx.Identifier{c.name}.Sanitize()
		cells[i] = &values[i]
		if c.base == "bytea" {
			expressions[i] = fmt.Sprintf("substring(%s FROM 1 FOR %d)", name, valueLimit)
			continue
		}
		expressions[i] = fmt.Sprintf("convert_to(left(%s::text, %d), 'UTF8')", name, valueLimit)
	}
	query := fmt.Sprintf("SELECT %s FROM %s LIMIT %d", strings.Join(expressions, ", "), pgx.Identifier{t.schema, t.name}.Sanitize(), s.rows)
	return readOnly(ctx, s.conn, tableLimit, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, cells, func() error {
			for i, c := range columns {
				if values[i] == nil {
					continue
				}
				c.values++
				for _, detector := range masking.Detect(values[i]) {
					c.found[detector]++
				}
				clear(values[i])
			}
			return nil
		})
		return err
	})
}
