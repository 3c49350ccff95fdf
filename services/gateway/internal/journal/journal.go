// Package journal is the gateway's own durable store-and-forward stream of
// records: a JetStream work queue on an embedded server that listens nowhere,
// synced to disk before it acknowledges.
//
// What is journalled survives the gateway's death and the hub's absence. A
// forwarder publishes each batch to the hub and only then acknowledges it
// here, so that the journal empties itself. It is bounded in bytes; when it is
// full, Append fails, and with it every command that would need a record.
package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	stream       = "JOURNAL"
	subject      = "journal"
	consumer     = "forwarder"
	maxPayload   = 8 << 20
	appendLimit  = 5 * time.Second
	defaultBytes = 1 << 30
)

// Options says where the journal lives and how large it may grow.
type Options struct {
	Dir      string
	MaxBytes int64 // 0 means 1 GiB
	Log      zerolog.Logger
}

// Journal implements event.Sink. Safe for concurrent use.
type Journal struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	log    zerolog.Logger
}

var _ event.Sink = (*Journal)(nil)

// Open starts the embedded server on the folder and recovers what it holds.
func Open(ctx context.Context, o Options) (*Journal, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "journal", DontListen: true, JetStream: true, StoreDir: o.Dir, SyncAlways: true,
		NoSigs: true, NoLog: true, MaxPayload: maxPayload,
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("journal: the embedded server did not start in %s: is another gateway using it?", o.Dir)
	}
	j := &Journal{server: s, log: o.Log}
	if err := j.connect(ctx, o.MaxBytes); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) connect(ctx context.Context, maxBytes int64) error {
	conn, err := nats.Connect("", nats.InProcessServer(j.server), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("journal: connect: %w", err)
	}
	j.conn = conn
	if j.js, err = jetstream.New(conn); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if _, err = j.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
		MaxBytes: maxBytes, Discard: jetstream.DiscardNew, Duplicates: 10 * time.Minute,
	}); err != nil {
		return fmt.Errorf("journal: stream: %w", err)
	}
	if _, err = j.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxAckPending: 1024,
	}); err != nil {
		return fmt.Errorf("journal: consumer: %w", err)
	}
	return nil
}

// Append stores one batch and returns when it is synced to disk.
func (j *Journal) Append(ctx context.Context, b *eventv1.Batch) error {
	raw, err := proto.Marshal(b)
	if err != nil {
		return fmt.Errorf("journal: marshal batch: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, appendLimit)
	defer cancel()
	if _, err := j.js.Publish(ctx, subject, raw, jetstream.WithMsgID(event.ID(b))); err != nil {
		return fmt.Errorf("journal: append: %w", err)
	}
	return nil
}

// Waiting returns how many batches and bytes the hub has not stored yet.
func (j *Journal) Waiting(ctx context.Context) (batches, bytes uint64, err error) {
	s, err := j.js.Stream(ctx, stream)
	if err != nil {
		return 0, 0, fmt.Errorf("journal: %w", err)
	}
	state := s.CachedInfo().State
	return state.Msgs, state.Bytes, nil
}

// Forward publishes batch after batch to the hub subject until ctx ends. While
// the hub is away it waits; it never passes a batch.
func (j *Journal) Forward(ctx context.Context, hub *bus.Bus, hubSubject string) error {
	c, err := j.js.Consumer(ctx, stream, consumer)
	if err != nil {
		return fmt.Errorf("journal: forward: %w", err)
	}
	it, err := c.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		return fmt.Errorf("journal: forward: %w", err)
	}
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	for {
		m, err := it.Next()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("journal: next: %w", err)
		}
		if err := j.forward(ctx, hub, hubSubject, m); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (j *Journal) forward(ctx context.Context, hub *bus.Bus, hubSubject string, m jetstream.Msg) error {
	b := &eventv1.Batch{}
	if err := proto.Unmarshal(m.Data(), b); err != nil {
		return fmt.Errorf("journal: stored batch is damaged: %w", err)
	}
	pause := 50 * time.Millisecond
	for {
		err := bus.PublishBatch(ctx, hub.JS, hubSubject, b, m.Data())
		if err == nil {
			if err := m.Ack(); err != nil && ctx.Err() == nil {
				j.log.Warn().Err(err).Msg("journal acknowledgement failed; the batch will be forwarded again")
			}
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		j.log.Warn().Err(err).Msg("hub does not take records; they wait in the journal")
		_ = m.InProgress()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// Drained returns nil once the journal is empty, or an error when ctx ends.
func (j *Journal) Drained(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, _, err := j.Waiting(ctx)
		if err == nil && n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("journal: %d batches wait for the next start", n), ctx.Err())
		case <-tick.C:
		}
	}
}

// Close stops the embedded server. What is journalled stays on disk.
func (j *Journal) Close() {
	if j.conn != nil {
		j.conn.Close()
	}
	j.server.Shutdown()
	j.server.WaitForShutdown()
}
