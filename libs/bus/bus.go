// Package bus connects a service to NATS JetStream and owns the names and the
// settings of its streams and buckets.
//
// # Guarantees
//
// Delivery is at least once: a consumer acknowledges after its own effect is
// durable, and every effect is idempotent by the event's identity (a batch's
// producer, incarnation and number; an approval's id and event).
//
// Order: the batches of one producer incarnation carry consecutive numbers.
// The bus may deliver them out of order after a redelivery; whoever needs the
// order takes them by number and waits at a gap.
//
// In plain words: nothing is lost, things may come twice, and numbers say
// where each belongs.
package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// The streams and buckets.
const (
	StreamRecords   = "RECORDS"   // record.>
	StreamAdmin     = "ADMIN"     // admin.>
	StreamAudit     = "AUDIT"     // audit.>
	StreamApprovals = "APPROVALS" // approval.>
	StreamTokens    = "TOKENS"    // token.>, one message a subject
	StreamCopies    = "COPIES"    // copy.>, one message a subject, kept for ever

	StreamComparisons = "COMPARISONS" // comparison.>, one message a subject
	StreamUses        = "USES"        // use.>, one message a subject

	BucketPolicy    = "bundle_policy"
	BucketMasking   = "bundle_masking"
	BucketApprovals = "approvals" // state of the approval service; one writer
	BucketArchival  = "archival"  // which archival writes; its entries expire after ArchivalLease

	// ArchivalLease is how long an archival that died keeps the next one waiting.
	ArchivalLease = 6 * time.Second

	// BundleKey is the key of the current Signed bundle in a bundle bucket.
	BundleKey = "current"
)

// Bus is a connection with its JetStream context. Safe for concurrent use.
type Bus struct {
	Conn *nats.Conn
	JS   jetstream.JetStream
}

// Options says how to connect.
type Options struct {
	URL         string // nats://host:port, several separated by commas
	Name        string // service/instance, shown in the server's monitoring
	Credentials string // path of a .creds or .nk file; empty for none
	Replicas    int    // of streams and buckets; 0 means 1
	Log         zerolog.Logger
	// Extra options, for an in-process connection in dev.
	Extra []nats.Option
}

// Connect waits until the bus answers and the streams exist, or ctx ends:
// services may start in any order. It reconnects forever by itself.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	options := []nats.Option{
		nats.Name(o.Name), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				o.Log.Warn().Err(err).Msg("bus disconnected; reconnecting")
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { o.Log.Info().Msg("bus connected") }),
	}
	if o.Credentials != "" {
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	conn, err := nats.Connect(o.URL, append(options, o.Extra...)...)
	if err != nil {
		return nil, fmt.Errorf("bus: connect: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("bus: jetstream: %w", err)
	}
	b := &Bus{Conn: conn, JS: js}
	if err := b.ensure(ctx, max(o.Replicas, 1), o.Log); err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

// Close drains the connection and closes it.
func (b *Bus) Close() { b.Conn.Close() }

// Ready reports whether the bus is connected now.
func (b *Bus) Ready() error {
	if !b.Conn.IsConnected() {
		return errors.New("bus: not connected")
	}
	return nil
}

// ensure creates what is missing; it is idempotent and every service does it,
// so that start order does not matter.
func (b *Bus) ensure(ctx context.Context, replicas int, log zerolog.Logger) error {
	return retry(ctx, log, func(ctx context.Context) error {
		for _, s := range streams(replicas) {
			if _, err := b.JS.CreateOrUpdateStream(ctx, s); err != nil {
				return fmt.Errorf("bus: stream %s: %w", s.Name, err)
			}
		}
		for _, k := range buckets(replicas) {
			if _, err := b.JS.CreateOrUpdateKeyValue(ctx, k); err != nil {
				return fmt.Errorf("bus: bucket %s: %w", k.Bucket, err)
			}
		}
		return nil
	})
}

func streams(replicas int) []jetstream.StreamConfig {
	events := func(name, subjects string, age time.Duration) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{subjects}, Storage: jetstream.FileStorage, Replicas: replicas,
			Retention: jetstream.LimitsPolicy, MaxAge: age, Duplicates: 10 * time.Minute,
			DenyDelete: true, DenyPurge: true,
		}
	}
	once := func(name, subjects string, age time.Duration) jetstream.StreamConfig {
		s := events(name, subjects, age)
		s.MaxMsgsPerSubject, s.Discard, s.DiscardNewPerSubject, s.AllowDirect = 1, jetstream.DiscardNew, true, true
		return s
	}
	// Reads of it go to the leader: what was revoked is revoked for every gateway.
	uses := once(StreamUses, UsePrefix+">", 48*time.Hour)
	uses.AllowDirect = false
	return []jetstream.StreamConfig{
		events(StreamRecords, RecordPrefix+">", 7*24*time.Hour),
		events(StreamAdmin, AdminPrefix+">", 7*24*time.Hour),
		events(StreamAudit, AuditPrefix+">", 7*24*time.Hour),
		events(StreamApprovals, ApprovalPrefix+">", 7*24*time.Hour),
		once(StreamTokens, TokenPrefix+">", 48*time.Hour),
		once(StreamComparisons, ComparisonPrefix+">", 48*time.Hour),
		once(StreamCopies, CopyPrefix+">", 0),
		uses,
	}
}

func buckets(replicas int) []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{Bucket: BucketPolicy, History: 16, Storage: jetstream.FileStorage, Replicas: replicas},
		{Bucket: BucketMasking, History: 16, Storage: jetstream.FileStorage, Replicas: replicas},
		{Bucket: BucketApprovals, History: 1, Storage: jetstream.FileStorage, Replicas: replicas},
		{Bucket: BucketArchival, History: 1, TTL: ArchivalLease, Storage: jetstream.FileStorage, Replicas: replicas},
	}
}

func retry(ctx context.Context, log zerolog.Logger, f func(context.Context) error) error {
	pause := 50 * time.Millisecond
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := f(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		}
		log.Debug().Err(err).Msg("bus not ready; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(pause*2, 2*time.Second)
	}
}
