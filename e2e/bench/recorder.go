package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Recorder makes a splice into the least that any gateway could cost which
// records before it answers: it takes what a client sends for a command and
// what comes back for its answer, leaves a sealed intent and a sealed outcome
// of a usual size in one file, synced, and withholds the answer until the
// intent is there. It decodes nothing, decides nothing and forwards no record.
type Recorder struct {
	producer  *event.Producer
	principal *eventv1.Principal
}

// NewRecorder records into a new file in dir.
func NewRecorder(dir string) (*Recorder, error) {
	f, err := os.CreateTemp(dir, "records-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	key, err := seal.Generate()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return &Recorder{producer: event.NewProducer("splice/1", key, fileSink{f}), principal: &eventv1.Principal{
		Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:acme@2002/shop@1001:ref:refs/heads/main", Preset: "github-actions",
		Repository: "acme/shop", RepositoryId: "1001", RepositoryOwnerId: "2002", Workflow: "deploy", RunId: "17346289512", RunAttempt: "1",
		Job: "migrate", Ref: "refs/heads/main", Environment: "production", Event: "push", Actor: "kim", ActorId: "3001",
	}}, nil
}

type fileSink struct{ file *os.File }

// Append implements event.Sink.
func (s fileSink) Append(_ context.Context, _ *eventv1.Batch, raw []byte) error {
	if _, err := s.file.Write(raw); err != nil {
		return err //nolint:wrapcheck // the producer wraps
	}
	return s.file.Sync() //nolint:wrapcheck // as above
}

func (r *Recorder) forward(client, upstream net.Conn) error {
	var intent atomic.Pointer[event.Pending]
	var both sync.WaitGroup
	both.Go(func() {
		defer func() { _ = upstream.Close() }()
		buf := make([]byte, 32<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			pending := r.producer.Offer(&eventv1.Record{
				Kind: eventv1.Kind_KIND_INTENT, SessionId: "ses_01JD5N8Q6Y0000000000000000", CommandId: "cmd_01JD5N8Q6Y0000000000000000", Principal: r.principal,
				Target: "prod-db", Database: "shop", Environment: "production", Protocol: "postgres", Verb: "select", Class: "read", Effect: "allow", Rule: "jobs-read",
				RuleHash:  "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
				Objects:   []*eventv1.Object{{Schema: "public", Name: "pgbench_accounts", Access: "read"}},
				Statement: "SELECT abalance FROM pgbench_accounts WHERE aid = $1", Parameters: []string{"4711"},
			})
			intent.Store(&pending)
			if _, err := upstream.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	both.Go(func() {
		defer func() { _ = client.Close() }()
		buf := make([]byte, 32<<10)
		for {
			n, err := upstream.Read(buf)
			if err != nil {
				return
			}
			if pending := intent.Swap(nil); pending != nil {
				if err := pending.Wait(context.Background()); err != nil {
					return
				}
				r.producer.Later(&eventv1.Record{
					Kind: eventv1.Kind_KIND_OUTCOME, SessionId: "ses_01JD5N8Q6Y0000000000000000", CommandId: "cmd_01JD5N8Q6Y0000000000000000", Principal: r.principal,
					Target: "prod-db", Database: "shop", Environment: "production", Protocol: "postgres", Status: "ok", Rows: 1, DurationNs: 412_000,
				})
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	both.Wait()
	return nil
}
