package archival

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/archive"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

const (
	perBatch   = 500
	benchTotal = 100_000
)

// jobRecord is a record as a busy gateway makes it.
func jobRecord(session, n int) *eventv1.Record {
	r := &eventv1.Record{
		Id: ulid.Make().String(), Time: timestamppb.Now(), SessionId: fmt.Sprintf("ses_%026d", session), SessionSequence: uint64(n + 1), CommandId: fmt.Sprintf("cmd_%026d", session*1000+n/2),
		TraceId: "0af7651916cd43dd8448eb211c80319c", Target: "prod-db", Database: "shop", Environment: "production", Protocol: "postgres", Reason: "ticket 12",
		Principal: &eventv1.Principal{
			Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:acme/shop:ref:refs/heads/main", Preset: "github-actions", Repository: "acme/shop", RepositoryId: "1001", RepositoryOwnerId: "2002",
			Workflow: "deploy", RunId: "1795527103761", RunAttempt: "1", JobId: "33", Ref: "refs/heads/main", Event: "push", Actor: "kim", ActorId: "7", Url: "https://github.com/acme/shop/actions/runs/1795527103761",
			Claims: map[string]string{"sha": "da39a3ee5e6b4b0d3255bfef95601890afd80709", "runner_environment": "github-hosted"},
		},
	}
	if n%2 == 0 {
		r.Kind, r.Verb, r.Class, r.Effect, r.Rule, r.RuleHash, r.PolicyVersion, r.MaskingVersion = eventv1.Kind_KIND_INTENT, "update", "write", "allow", "deploys-write", "0123456789abcdef", 7, 3
		r.Objects = []*eventv1.Object{{Schema: "public", Name: "customers", Access: "write"}}
		r.Statement, r.Parameters, r.Fingerprint = fmt.Sprintf("UPDATE customers SET vip = true, touched = now() WHERE id = $1 AND region = 'r%d'", n%50), []string{fmt.Sprint(n)}, "5bd0d4a7c3f1b2e8"
	} else {
		r.Kind, r.Status, r.Rows, r.DurationNs = eventv1.Kind_KIND_OUTCOME, "ok", 1, 1_234_567
	}
	return r
}

// sealed makes a chain of batches.
func (w *world) sealed(total int) []*eventv1.Batch {
	var batches []*eventv1.Batch
	for n := 0; n < total; n += perBatch {
		b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01JBENCH", Number: uint64(len(batches) + 1)}
		if len(batches) > 0 {
			b.PreviousHash = batches[len(batches)-1].Hash
		}
		for i := range perBatch {
			b.Records = append(b.Records, jobRecord(len(batches), i))
		}
		if err := event.Seal(b, w.keys["gateway"]); err != nil {
			w.Fatal(err)
		}
		batches = append(batches, b)
	}
	return batches
}

// BenchmarkArchival compares the way from the stream into ClickHouse with a
// bare clickhouse-go insert of the same rows into the same table.
//
//	go test -run '^$' -bench Archival -benchtime 3x ./services/archival
func BenchmarkArchival(b *testing.B) {
	w := newWorld(b)
	s, err := store.Open(w.cfg.Archival.ClickHouse, w.cfg.Dir, "bench", zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	batches := w.sealed(benchTotal)
	for _, batch := range batches {
		w.publish(fromGateway, batch)
	}
	afresh := func() {
		b.Helper()
		if err := w.conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+w.cfg.Archival.ClickHouse.Database+" SYNC"); err != nil {
			b.Fatal(err)
		}
		if err := s.Migrate(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	w.limits = archive.DefaultLimits()
	b.Run("gatestay", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			afresh()
			b.StartTimer()
			began := time.Now()
			_, stop := w.start()
			w.await(benchTotal, "SELECT sum(record_count) FROM %s.batches WHERE producer LIKE 'gateway/%'")
			b.ReportMetric(benchTotal/time.Since(began).Seconds(), "records/s")
			b.StopTimer()
			stop()
		}
	})
	b.Run("bare_insert", func(b *testing.B) {
		var items []*intake.Item
		for n, batch := range batches {
			items = append(items, &intake.Item{Batch: batch, Message: nothing{}, Integrity: intake.Verified, Redacted: make([][]string, len(batch.Records)), Sequence: uint64(n)})
		}
		for range b.N {
			b.StopTimer()
			afresh()
			b.StartTimer()
			began := time.Now()
			for n := 0; n < len(items); n += 50_000 / perBatch {
				if err := s.Insert(context.Background(), &store.Group{Items: items[n:min(len(items), n+50_000/perBatch)]}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(benchTotal/time.Since(began).Seconds(), "records/s")
		}
	})
}

// nothing is a message of no stream.
type nothing struct{}

func (nothing) Data() []byte                     { return nil }
func (nothing) Subject() string                  { return fromGateway }
func (nothing) Ack() error                       { return nil }
func (nothing) InProgress() error                { return nil }
func (nothing) NakWithDelay(time.Duration) error { return nil }
