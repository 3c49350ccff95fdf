// Package journal is the gateway's own durable store-and-forward stream of
// records: a JetStream stream on an embedded server that listens nowhere,
// synced to disk before it acknowledges.
//
// What is journalled survives the gateway's death and the hub's absence. A
// forwarder publishes each batch to the hub and only then removes it here, so
// that the journal empties itself. It is bounded in bytes; when it is full,
// Append fails, and with it every command that would need a record.
//
// The forwarder has what was appended last from memory, and reads the stream
// only where it is behind: after a restart, or an absence of the hub.
//
// It is emptied by purging up to the last forwarded batch, many at a time, and
// not by work-queue acknowledgements: each of those is a removal, synced as
// everything in this stream is, and they halved what the journal could take.
// A batch that was forwarded and not yet purged when the gateway died goes out
// again; its number tells the hub and archival that it is the same.
package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	stream       = "JOURNAL"
	subject      = "journal"
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
	stream jetstream.Stream
	recent *recent
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
	if j.stream, err = j.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: []string{subject}, Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage,
		MaxBytes: maxBytes, Discard: jetstream.DiscardNew, Duplicates: 10 * time.Minute,
	}); err != nil {
		return fmt.Errorf("journal: stream: %w", err)
	}
	j.recent = newRecent(j.stream.CachedInfo().State.LastSeq)
	return nil
}

// Append stores one batch and returns when it is synced to disk.
func (j *Journal) Append(ctx context.Context, b *eventv1.Batch, raw []byte) error {
	ctx, cancel := context.WithTimeout(ctx, appendLimit)
	defer cancel()
	attributes := bus.Attributes(b)
	sequence, err := bus.Publish(ctx, j.js, subject, attributes, raw)
	if err != nil {
		return fmt.Errorf("journal: append: %w", err)
	}
	j.recent.put(batch{sequence, attributes, bytes.Clone(raw)})
	return nil
}

// Waiting returns how many batches and bytes the hub has not stored yet.
func (j *Journal) Waiting(ctx context.Context) (batches, bytes uint64, err error) {
	info, err := j.stream.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("journal: %w", err)
	}
	return info.State.Msgs, info.State.Bytes, nil
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
