package store

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Manipulation is a record whose text is not what its producer committed to,
// though no redaction tells of it.
type Manipulation struct {
	Record      string
	Producer    string
	Incarnation string
	Number      uint64
	Fields      []string
}

// Manipulations looks at what was stored of late, but not at the latest: the
// redaction of a record comes after it.
func (s *Store) Manipulations(ctx context.Context) (found []Manipulation, err error) {
	err = s.each(ctx, `
		SELECT id, producer, incarnation, batch_number, unexplained FROM manipulations
		WHERE stored_at BETWEEN now() - INTERVAL 1 DAY AND now() - INTERVAL 2 MINUTE LIMIT 100`, nil,
		func(rows driver.Rows) error {
			var m Manipulation
			if err := rows.Scan(&m.Record, &m.Producer, &m.Incarnation, &m.Number, &m.Fields); err != nil {
				return err
			}
			found = append(found, m)
			return nil
		})
	return found, err
}
