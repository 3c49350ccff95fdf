// Package journal is the gateway's own durable store-and-forward stream of
// records: a JetStream stream on an embedded server that listens nowhere,
// synced to disk before it acknowledges.
//
// What is journalled survives the gateway's death and the hub's absence. A
// forwarder publishes each batch to the hub and only then removes it here, so
// that the journal empties itself. It is bounded in bytes; when it is full,
// Append fails, and with it every command that would need a record.
//
// It is emptied by purging up to the last forwarded batch, many at a time, and
// not by work-queue acknowledgements: each of those is a removal, synced as
// everything in this stream is, and they halved what the journal could take.
// A batch that was forwarded and not yet purged when the gateway died goes out
// again; its number tells the hub and archival that it is the same.
package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	maxPayload   = 8 << 20
	appendLimit  = 5 * time.Second
	defaultBytes = 1 << 30
	purgeBatches = 256                    // forwarded batches that may lie here
	purgeIdle    = 100 * time.Millisecond // after which they are purged anyway
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
		Name: stream, Subjects: []string{subject}, Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage,
		MaxBytes: maxBytes, Discard: jetstream.DiscardNew, Duplicates: 10 * time.Minute,
	}); err != nil {
		return fmt.Errorf("journal: stream: %w", err)
	}
	return nil
}

// Append stores one batch and returns when it is synced to disk.
func (j *Journal) Append(ctx context.Context, b *eventv1.Batch, raw []byte) error {
	ctx, cancel := context.WithTimeout(ctx, appendLimit)
	defer cancel()
	if err := bus.Publish(ctx, j.js, subject, bus.Attributes(b), raw); err != nil {
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
	st, err := j.js.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("journal: forward: %w", err)
	}
	c, err := st.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("journal: forward: %w", err)
	}
	it, err := c.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		return fmt.Errorf("journal: forward: %w", err)
	}
	defer context.AfterFunc(ctx, it.Stop)()
	defer it.Stop()
	f := &forwarder{journal: j, stream: st, hub: hub, subject: hubSubject}
	for {
		m, err := f.next(ctx, it)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("journal: next: %w", err)
		}
		if err := f.forward(ctx, m); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// forwarder is the journal's one reader.
type forwarder struct {
	journal *Journal
	stream  jetstream.Stream
	hub     *bus.Bus
	subject string
	last    uint64 // sequence of the last forwarded batch
	lying   int    // forwarded batches that are not purged yet
}

// next returns the next batch; while none comes it purges what was forwarded.
func (f *forwarder) next(ctx context.Context, it jetstream.MessagesContext) (jetstream.Msg, error) {
	if f.lying >= purgeBatches {
		f.purge(ctx)
	}
	for {
		if f.lying == 0 {
			return it.Next()
		}
		m, err := it.Next(jetstream.NextMaxWait(purgeIdle))
		if !errors.Is(err, nats.ErrTimeout) {
			return m, err
		}
		f.purge(ctx)
	}
}

func (f *forwarder) purge(ctx context.Context) {
	if err := f.stream.Purge(ctx, jetstream.WithPurgeSequence(f.last+1)); err != nil && ctx.Err() == nil {
		f.journal.log.Warn().Err(err).Msg("forwarded records could not be removed from the journal; trying again")
		return
	}
	f.lying = 0
}

func (f *forwarder) forward(ctx context.Context, m jetstream.Msg) error {
	attributes, err := attributes(m)
	if err != nil {
		return err
	}
	pause := 50 * time.Millisecond
	for {
		err := bus.Publish(ctx, f.hub.JS, f.subject, attributes, m.Data())
		if err == nil {
			meta, err := m.Metadata()
			if err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			f.last, f.lying = meta.Sequence.Stream, f.lying+1
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		f.journal.log.Warn().Err(err).Msg("hub does not take records; they wait in the journal")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// attributes are those that the batch was journalled with, so that it is
// forwarded as it is. Those of an earlier version have none.
func attributes(m jetstream.Msg) (nats.Header, error) {
	if h := m.Headers(); h.Get("ce-id") != "" {
		return maps.Clone(h), nil
	}
	b := &eventv1.Batch{}
	if err := proto.Unmarshal(m.Data(), b); err != nil {
		return nil, fmt.Errorf("journal: stored batch is damaged: %w", err)
	}
	return bus.Attributes(b), nil
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
