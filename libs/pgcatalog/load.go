// Package pgcatalog reads a PostgreSQL target's catalog into a
// postgres.Snapshot: relations with their columns, what views read, what runs
// code of its own, and the functions, operators and types that are not
// PostgreSQL's. It is the I/O beside libs/command/postgres, which does none.
//
// Everything it reads is open to every role, so that the target's own
// credential is enough. PostgreSQL 12 and newer.
package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command/postgres"
)

// ErrTooLarge says that a catalog has more entries than are read: facts about
// such a target are unknown.
var ErrTooLarge = errors.New("pgcatalog: the catalog is too large")

const (
	// maxRows bounds each of the queries.
	maxRows = 2_000_000
	// timeout bounds the whole, on the client and on the server.
	timeout = 60 * time.Second
)

// Load reads the catalog as one consistent snapshot. The connection must be
// idle, and is left as it was. Nothing that it does waits for a table's lock
// for long: a migration that is held must not hold the catalog too.
func Load(ctx context.Context, conn *pgx.Conn) (*postgres.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := &loader{ctx: ctx, out: &postgres.Snapshot{}, index: map[uint32]int{}}
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		l.tx = tx
		return l.run()
	})
	if err != nil {
		return nil, fmt.Errorf("pgcatalog: load: %w", err)
	}
	return l.out, nil
}

type loader struct {
	ctx   context.Context //nolint:containedctx // lives for one Load
	tx    pgx.Tx
	out   *postgres.Snapshot
	index map[uint32]int // OID to place in out.Relations
}

func (l *loader) run() error {
	// Names outside pg_catalog are printed with their schema.
	if _, err := l.tx.Exec(l.ctx, "SET LOCAL search_path = pg_catalog"); err != nil {
		return fmt.Errorf("set search_path: %w", err)
	}
	if _, err := l.tx.Exec(l.ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", timeout.Milliseconds())); err != nil {
		return fmt.Errorf("set statement_timeout: %w", err)
	}
	for _, step := range []struct {
		what string
		run  func() error
	}{
		{"relations", l.relations},
		{"columns", l.columns},
		{"generated columns", l.generated},
		{"inheritance", l.inheritance},
		{"view dependencies", l.dependencies},
		{"triggers and rules", l.code},
		{"foreign keys", l.cascades},
		{"what foreign keys refer to", l.references},
		{"keys", l.keys},
		{"expressions", l.expressions},
		{"functions", l.functions},
		{"operators", l.operators},
		{"types", l.types},
		{"view definitions", l.definitions},
	} {
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// each runs a query and calls fn after each row has been scanned into dst.
func (l *loader) each(sql string, dst []any, fn func()) error {
	rows, err := l.tx.Query(l.ctx, sql)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	n := 0
	if _, err := pgx.ForEachRow(rows, dst, func() error {
		if n++; n > maxRows {
			return ErrTooLarge
		}
		fn()
		return nil
	}); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// relation returns the relation with this OID, nil where it is of no interest.
func (l *loader) relation(oid uint32) *postgres.Relation {
	if i, ok := l.index[oid]; ok {
		return &l.out.Relations[i]
	}
	return nil
}
