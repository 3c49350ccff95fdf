package store

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/order"
)

// Takeover makes sure that no insert of an earlier writer is still on its way,
// and returns the records that such a writer stored of batches that have no row.
// It must come before the first insert.
func (s *Store) Takeover(ctx context.Context) (orphans map[intake.ID]map[int]bool, err error) {
	if err := s.note(s.conn.Exec(ctx, "KILL QUERY WHERE startsWith(query_id, {prefix:String}) AND user = currentUser() AND current_database = currentDatabase() SYNC", clickhouse.Named("prefix", queryPrefix))); err != nil {
		return nil, fmt.Errorf("store: end inserts of another writer: %w", err)
	}
	orphans, err = s.orphans(ctx)
	return orphans, s.note(err)
}

// orphans looks at what was stored since shortly before the last row of
// batches: a writer stores one group after the other, so there is at most one.
func (s *Store) orphans(ctx context.Context) (map[intake.ID]map[int]bool, error) {
	rows, err := s.conn.Query(ctx, `
		WITH (SELECT max(stored_at) FROM batches) - INTERVAL 10 MINUTE AS since
		SELECT producer, incarnation, batch_number, digest, groupArray(position)
		FROM records
		WHERE stored_at >= since AND (producer, incarnation, batch_number, digest) NOT IN
			(SELECT producer, incarnation, number, digest FROM batches WHERE stored_at >= since - INTERVAL 10 MINUTE)
		GROUP BY producer, incarnation, batch_number, digest`)
	if err != nil {
		return nil, fmt.Errorf("store: orphans: %w", err)
	}
	defer func() { _ = rows.Close() }()
	orphans := map[intake.ID]map[int]bool{}
	for rows.Next() {
		var id intake.ID
		var positions []uint32
		if err := rows.Scan(&id.Producer, &id.Incarnation, &id.Number, &id.Digest, &positions); err != nil {
			return nil, fmt.Errorf("store: orphans: %w", err)
		}
		has := make(map[int]bool, len(positions))
		for _, p := range positions {
			has[int(p)] = true
		}
		orphans[id] = has
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: orphans: %w", err)
	}
	return orphans, nil
}

// Empty reports that nothing was ever stored here.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var n uint64
	if err := s.conn.QueryRow(ctx, "SELECT count() FROM (SELECT 1 FROM batches LIMIT 1)").Scan(&n); err != nil {
		return false, s.note(fmt.Errorf("store: empty: %w", err))
	}
	return n == 0, s.note(nil)
}

// Marks returns what is stored of these chains; one that is not in the answer
// has nothing.
func (s *Store) Marks(ctx context.Context, chains []intake.Chain) (map[intake.Chain]order.Stored, error) {
	marks, err := s.marks(ctx, chains)
	return marks, s.note(err)
}

func (s *Store) marks(ctx context.Context, chains []intake.Chain) (map[intake.Chain]order.Stored, error) {
	producers, incarnations := make([]string, len(chains)), make([]string, len(chains))
	for i, c := range chains {
		producers[i], incarnations[i] = c.Producer, c.Incarnation
	}
	rows, err := s.conn.Query(ctx, `
		SELECT producer, incarnation, max(number) AS high, if(argMax(integrity, number) = 'placeholder', '', argMax(hash, number)), count() AS n
		FROM batches
		WHERE (producer, incarnation) IN (SELECT arrayJoin(arrayZip({producers:Array(String)}, {incarnations:Array(String)}))) AND digest = ''
		GROUP BY producer, incarnation`, clickhouse.Named("producers", producers), clickhouse.Named("incarnations", incarnations))
	if err != nil {
		return nil, fmt.Errorf("store: marks: %w", err)
	}
	defer func() { _ = rows.Close() }()
	marks, holed := map[intake.Chain]order.Stored{}, []intake.Chain(nil)
	for rows.Next() {
		var c intake.Chain
		var m order.Stored
		var hash string
		var n uint64
		if err := rows.Scan(&c.Producer, &c.Incarnation, &m.High, &hash, &n); err != nil {
			return nil, fmt.Errorf("store: marks: %w", err)
		}
		if hash != "" {
			m.Hash = []byte(hash)
		}
		marks[c] = m
		if n < m.High {
			holed = append(holed, c)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: marks: %w", err)
	}
	for _, c := range holed {
		m := marks[c]
		if m.Holes, err = s.holes(ctx, c); err != nil {
			return nil, err
		}
		marks[c] = m
	}
	return marks, nil
}

// holes returns the ranges of numbers that a chain has passed.
func (s *Store) holes(ctx context.Context, c intake.Chain) (holes []order.Range, err error) {
	rows, err := s.conn.Query(ctx, `
		SELECT toUInt64(previous + 1), toUInt64(number - 1) FROM (
			SELECT number, lagInFrame(number, 1, 0) OVER (ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS previous
			FROM batches WHERE producer = {producer:String} AND incarnation = {incarnation:String} AND digest = ''
		) WHERE number > previous + 1`, clickhouse.Named("producer", c.Producer), clickhouse.Named("incarnation", c.Incarnation))
	if err != nil {
		return nil, fmt.Errorf("store: holes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r order.Range
		if err := rows.Scan(&r.From, &r.To); err != nil {
			return nil, fmt.Errorf("store: holes: %w", err)
		}
		holes = append(holes, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: holes: %w", err)
	}
	return holes, nil
}

// Hashes returns the hashes of those batches that are stored.
func (s *Store) Hashes(ctx context.Context, ids []intake.ID) (map[intake.ID][]byte, error) {
	hashes, err := s.hashes(ctx, ids)
	return hashes, s.note(err)
}

func (s *Store) hashes(ctx context.Context, ids []intake.ID) (map[intake.ID][]byte, error) {
	n := len(ids)
	producers, incarnations, numbers, digests := make([]string, n), make([]string, n), make([]uint64, n), make([]string, n)
	for i, id := range ids {
		producers[i], incarnations[i], numbers[i], digests[i] = id.Producer, id.Incarnation, id.Number, id.Digest
	}
	rows, err := s.conn.Query(ctx, `
		SELECT producer, incarnation, number, digest, hash FROM batches
		WHERE (producer, incarnation, number, digest) IN
			(SELECT arrayJoin(arrayZip({producers:Array(String)}, {incarnations:Array(String)}, {numbers:Array(UInt64)}, {digests:Array(String)})))`,
		clickhouse.Named("producers", producers), clickhouse.Named("incarnations", incarnations),
		clickhouse.Named("numbers", numbers), clickhouse.Named("digests", digests))
	if err != nil {
		return nil, fmt.Errorf("store: hashes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	hashes := map[intake.ID][]byte{}
	for rows.Next() {
		var id intake.ID
		var hash string
		if err := rows.Scan(&id.Producer, &id.Incarnation, &id.Number, &id.Digest, &hash); err != nil {
			return nil, fmt.Errorf("store: hashes: %w", err)
		}
		hashes[id] = []byte(hash)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: hashes: %w", err)
	}
	return hashes, nil
}
