package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/oklog/ulid/v2"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

// Group is what one insert stores: batches of any producers.
type Group struct {
	Items []*intake.Item
	// Has are the positions of records that are stored already, of batches that
	// a crash left without their row.
	Has map[intake.ID]map[int]bool

	rows []row
}

// Rows returns how many records the group will write.
func (g *Group) Rows() int {
	n := 0
	for _, i := range g.Items {
		n += len(i.Batch.Records)
	}
	return n
}

// token names the group for ClickHouse's deduplication. It depends on nothing
// but what is stored.
func (g *Group) token() string {
	h := sha256.New()
	for _, i := range g.Items {
		_, _ = fmt.Fprintf(h, "%q\n", i.ID().String()+i.ID().Digest)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var nobody = &eventv1.Principal{}

func (g *Group) prepare() []row {
	if g.rows != nil {
		return g.rows
	}
	g.rows = make([]row, 0, g.Rows())
	for _, i := range g.Items {
		has := g.Has[i.ID()]
		for position, r := range i.Batch.Records {
			if has[position] {
				continue
			}
			p := r.Principal
			if p == nil {
				p = nobody
			}
			g.rows = append(g.rows, row{Record: r, principal: p, item: i, position: position})
		}
	}
	return g.rows
}

// Insert stores a group: the records, then the rows that say so. After an error
// the same group must be tried again before any other.
func (s *Store) Insert(ctx context.Context, g *Group) error {
	if rows := g.prepare(); len(rows) > 0 {
		if err := s.note(s.insertRecords(ctx, g, rows)); err != nil {
			return err
		}
	}
	return s.note(s.insertBatches(ctx, g))
}

var insertRecords = func() string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quote(c.name)
	}
	return "INSERT INTO records (" + strings.Join(names, ", ") + ")"
}()

func (s *Store) insertRecords(ctx context.Context, g *Group, rows []row) error {
	batch, err := s.conn.PrepareBatch(s.inserting(ctx, "r:"+g.token()), insertRecords)
	if err != nil {
		return fmt.Errorf("store: insert records: %w", err)
	}
	defer func() { _ = batch.Close() }()
	for i, c := range columns {
		if err := batch.Column(i).Append(c.values(rows)); err != nil {
			return fmt.Errorf("store: insert records: column %s: %w", c.name, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("store: insert records: %w", err)
	}
	return nil
}

func (s *Store) insertBatches(ctx context.Context, g *Group) error {
	batch, err := s.conn.PrepareBatch(s.inserting(ctx, "b:"+g.token()), "INSERT INTO batches (producer, incarnation, number, digest, previous_hash, hash, key_id, signature, "+
		"leaves, record_count, integrity, problem, placeholder_reason, subject, stream_sequence, sealed_at)")
	if err != nil {
		return fmt.Errorf("store: insert batches: %w", err)
	}
	defer func() { _ = batch.Close() }()
	for _, i := range g.Items {
		b := i.Batch
		leaves := make([]string, len(i.Leaves))
		for n, leaf := range i.Leaves {
			leaves[n] = string(leaf)
		}
		err := batch.Append(b.Producer, b.Incarnation, b.Number, i.ID().Digest, string(b.PreviousHash), string(b.Hash), b.KeyId, string(b.Signature),
			leaves, uint32(len(b.Records)), string(i.Integrity), i.Problem, b.PlaceholderReason, i.Message.Subject(), i.Sequence, clamp(i.SealedAt())) //nolint:gosec // bounded by a message
		if err != nil {
			return fmt.Errorf("store: insert batches: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("store: insert batches: %w", err)
	}
	return nil
}

// queryPrefix marks the inserts of archival, so that a new writer finds those
// of the one before.
const queryPrefix = "gatestay-archival-"

func (s *Store) inserting(ctx context.Context, token string) context.Context {
	return clickhouse.Context(ctx,
		clickhouse.WithQueryID(queryPrefix+s.name+"-"+ulid.Make().String()),
		clickhouse.WithSettings(clickhouse.Settings{
			"async_insert":                    0, // it would return before the rows are there
			"insert_deduplicate":              1,
			"insert_deduplication_token":      token,
			"max_insert_block_size":           1 << 20, // one block, whatever the group
			"max_execution_time":              60,
			"max_partitions_per_insert_block": 0, // a producer whose clock is wrong must not stop the others
		}))
}
