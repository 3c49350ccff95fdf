// Package pgcatalog reads a PostgreSQL target's catalog into a
// postgres.Snapshot: relations with their columns, what views read, what runs
// code of its own, and the functions, operators and types that are not
// PostgreSQL's. It is the I/O beside libs/command/postgres, which does none.
//
// Load reads all of it once; a Reader reads it again and again, and from the
// second time on only what has changed (see change.go).
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
	// firstUser is the first OID that is not PostgreSQL's own (FirstNormalObjectId).
	firstUser = 16384
)

// Load reads the catalog as one consistent snapshot. The connection must be
// idle, and is left as it was. Nothing that it does waits for a table's lock
// for long: a migration that is held must not hold the catalog too.
func Load(ctx context.Context, conn *pgx.Conn) (*postgres.Snapshot, error) {
	s, _, err := NewReader(conn).Read(ctx)
	return s, err
}

// loader reads a catalog, or a part of it, in one transaction.
type loader struct {
	ctx   context.Context //nolint:containedctx // lives for one Read
	conn  *pgx.Conn
	batch *pgx.Batch
	out   *postgres.Snapshot
	index map[uint32]int // OID to place in out.Relations
	// own are the functions that are in pg_catalog as PostgreSQL came with them,
	// and that this program does not know: another version's.
	own []postgres.Function
	// unread are relations of which something could not be printed.
	unread map[uint32]bool

	relations, functions, operators, types scope
}

// scope is what of a catalog's table is read.
type scope struct {
	after uint32   // OIDs from this one on
	some  bool     // of them only
	oids  []uint32 // these
}

// has is the condition on a column.
func (s scope) has(column string) string {
	switch {
	case s.some:
		return column + " = ANY ($1)"
	case s.after > 0:
		return fmt.Sprintf("%s >= %d", column, s.after)
	}
	return "true"
}

func (s scope) args() []any {
	if s.some {
		return []any{s.oids}
	}
	return nil
}

// run reads what is in scope, and ends the transaction.
func (l *loader) run() error {
	for _, queue := range []func(){
		l.queueRelations, l.columns, l.generated, l.inheritance, l.dependencies, l.code, l.triggers, l.cascades, l.references, l.keys, l.partitioned,
		l.queueFunctions, l.queueOperators, l.queueTypes, l.eventTriggers,
	} {
		queue()
	}
	return l.unlocked()
}

// each asks for rows: fn is called after each of them has been scanned into dst,
// once the batch is sent.
func (l *loader) each(what, sql string, in scope, dst []any, fn func()) {
	if in.some && len(in.oids) == 0 {
		return
	}
	l.batch.Queue(sql, in.args()...).Query(func(rows pgx.Rows) error {
		n := 0
		if _, err := pgx.ForEachRow(rows, dst, func() error {
			if n++; n > maxRows {
				return ErrTooLarge
			}
			fn()
			return nil
		}); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// send runs what was asked for, in one round trip.
func (l *loader) send() error {
	batch := l.batch
	l.batch = &pgx.Batch{}
	if err := l.conn.SendBatch(l.ctx, batch).Close(); err != nil {
		return err //nolint:wrapcheck // each says what it was about
	}
	return nil
}

// eventTriggers finds out whether changes of definitions run somebody's code.
func (l *loader) eventTriggers() {
	l.each("event triggers", "SELECT true FROM pg_event_trigger WHERE evtenabled <> 'D'", scope{}, []any{&l.out.EventTriggers}, func() {})
}

// relation returns the relation with this OID, nil where it is of no interest.
func (l *loader) relation(oid uint32) *postgres.Relation {
	if i, ok := l.index[oid]; ok {
		return &l.out.Relations[i]
	}
	return nil
}
