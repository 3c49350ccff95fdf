package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatestay/gatestay/e2e/kit"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	batchRecords = 500     // as many as a busy gateway packs into one
	blockBatches = 20      // of a bare insert: 10,000 rows, a size ClickHouse likes
	benchName    = "bench" // of the producer
)

// archive times archival from the bus to ClickHouse, and then the same rows in
// a bare insert: read back in ClickHouse's own format and inserted into a copy
// of the table, with nothing checked.
func archive(ctx context.Context, g *kit.Gatestay, o Options) (out [2]*series, err error) {
	out[0] = &series{name: "archival/records/gatestay", unit: "records/s"}
	out[1] = &series{name: "archival/records/bare_insert", unit: "records/s"}
	key, err := seal.LoadOrGenerate(g.Path("keys", kit.Gateway))
	if err != nil {
		return out, fmt.Errorf("bench: %w", err)
	}
	for r := range o.Rounds {
		o.Log(fmt.Sprintf("archival: round %d of %d", r+1, o.Rounds))
		incarnation := ulid.Make().String()
		batches, err := makeBatches(key, incarnation, o.Records)
		if err != nil {
			return out, err
		}
		took, err := throughArchival(ctx, g, batches, incarnation, o.Records)
		if err != nil {
			return out, err
		}
		out[0].add(float64(o.Records) / took.Seconds())
		if took, err = bareInsert(ctx, g, incarnation, len(batches)); err != nil {
			return out, err
		}
		out[1].add(float64(o.Records) / took.Seconds())
	}
	return out, nil
}

// makeBatches seals a chain of batches: intents and outcomes of writes.
func makeBatches(key *seal.Key, incarnation string, records int) (batches [][]byte, err error) {
	var previous []byte
	session := "ses_" + ulid.Make().String()
	for n := 0; n < records; n += batchRecords {
		b := &eventv1.Batch{Producer: "gateway/" + benchName, Incarnation: incarnation, Number: uint64(len(batches) + 1), PreviousHash: previous}
		for i := n; i < min(n+batchRecords, records); i++ {
			b.Records = append(b.Records, benchRecord(session, i))
		}
		raw, err := event.SealWire(b, key)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		previous = b.Hash
		batches = append(batches, raw)
	}
	return batches, nil
}

// throughArchival lets the batches wait on the stream while archival is
// stopped, lets it go on, and waits for its last mark.
func throughArchival(ctx context.Context, g *kit.Gatestay, batches [][]byte, incarnation string, records int) (time.Duration, error) {
	if err := g.Signal(kit.Archival, syscall.SIGSTOP); err != nil {
		return 0, err
	}
	for i, raw := range batches {
		id := "gateway/" + benchName + "/" + incarnation + "/" + strconv.Itoa(i+1)
		if err := g.PublishBatch(ctx, kit.Masking, "audit.record."+benchName, "gateway/"+benchName, id, raw); err != nil {
			_ = g.Signal(kit.Archival, syscall.SIGCONT)
			return 0, err
		}
	}
	began := time.Now()
	if err := g.Signal(kit.Archival, syscall.SIGCONT); err != nil {
		return 0, err
	}
	for deadline := began.Add(2 * time.Minute); ; {
		rows, err := g.Query(ctx, "SELECT toUInt64(sum(record_count)) AS n FROM batches WHERE incarnation = '"+incarnation+"' AND integrity = 'verified'")
		if err != nil {
			return 0, err
		}
		if rows[0].String("n") == strconv.Itoa(records) {
			return time.Since(began), nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("bench: archival has stored %s of %d records\n%s", rows[0].String("n"), records, g.LogTail(kit.Archival, 10))
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func bareInsert(ctx context.Context, g *kit.Gatestay, incarnation string, batches int) (time.Duration, error) {
	if err := run(ctx, g, "CREATE OR REPLACE TABLE bare AS records", nil); err != nil {
		return 0, err
	}
	var blocks [][]byte
	for n := 1; n <= batches; n += blockBatches {
		body, err := g.HTTP(ctx, fmt.Sprintf("SELECT * FROM records WHERE incarnation = '%s' AND batch_number BETWEEN %d AND %d FORMAT Native",
			incarnation, n, n+blockBatches-1), nil)
		if err != nil {
			return 0, err
		}
		raw, err := io.ReadAll(body)
		_ = body.Close()
		if err != nil {
			return 0, fmt.Errorf("bench: %w", err)
		}
		blocks = append(blocks, raw)
	}
	began := time.Now()
	for _, raw := range blocks {
		if err := run(ctx, g, "INSERT INTO bare FORMAT Native", bytes.NewReader(raw)); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	return took, run(ctx, g, "DROP TABLE bare", nil)
}

func run(ctx context.Context, g *kit.Gatestay, sql string, data io.Reader) error {
	body, err := g.HTTP(ctx, sql, data)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	_ = body.Close()
	if err != nil {
		return fmt.Errorf("bench: clickhouse: %w", err)
	}
	return nil
}
