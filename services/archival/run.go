package archival

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/archive"
	"github.com/gatestay/gatestay/services/archival/internal/lease"
	"github.com/gatestay/gatestay/services/archival/internal/stream"
)

// The pauses between looks at the store, the stream and for manipulations.
const (
	pingPause  = 2 * time.Second
	lagPause   = 5 * time.Second
	checkPause = time.Minute
	again      = time.Second
)

// onBus runs all that needs the bus.
func (s *Service) onBus(ctx context.Context) error {
	b, err := bus.Connect(ctx, bus.Options{
		URL: s.cfg.Bus.URL, Name: s.name, Credentials: s.cfg.Path(s.cfg.Bus.Credentials), Replicas: s.cfg.Bus.Replicas,
		Log: s.deps.Log, Extra: s.deps.Bus,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("archival: %w", err)
	}
	defer b.Close()
	producer := event.NewProducer(s.name, s.key, bus.NewSink(b, bus.AdminSubject("archival", s.instance))) //nolint:contextcheck // it outlives ctx: Close waits for the last records
	s.producer.Store(producer)
	s.bus.Store(b)
	s.started()
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return s.followPolicy(inner, b) })
	group.Go(func() error { return s.write(inner, b) })
	err = group.Wait()
	s.producer.Store(nil)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	if closed := producer.Close(last); closed != nil {
		s.deps.Log.Warn().Err(closed).Msg("records lost at shutdown")
	}
	return err
}

func (s *Service) followPolicy(ctx context.Context, b *bus.Bus) error {
	kv, err := b.JS.KeyValue(ctx, bus.BucketPolicy)
	if err != nil {
		return fmt.Errorf("archival: bucket: %w", err)
	}
	return s.auditors.Run(ctx, kv)
}

// write waits for the store and for the writer's lease, and archives.
func (s *Service) write(ctx context.Context, b *bus.Bus) error {
	if !s.untilDone(ctx, "the audit store cannot be brought up to date", s.store.Migrate) {
		return nil
	}
	s.migrated.Store(true)
	kv, err := b.JS.KeyValue(ctx, bus.BucketArchival)
	if err != nil {
		return fmt.Errorf("archival: bucket: %w", err)
	}
	l := &lease.Lease{Bucket: kv, Holder: s.name + " " + ulid.Make().String(), TTL: bus.ArchivalLease, Log: s.deps.Log}
	return l.Run(ctx, func(ctx context.Context) error { return s.archive(ctx, b) })
}

// archive is one reign as the writer.
func (s *Service) archive(ctx context.Context, b *bus.Bus) error {
	s.metrics.writer.Set(1)
	defer s.metrics.writer.Set(0)
	in := &stream.Stream{JS: b.JS, Keys: s.keys, Unreadable: s.unreadable, Log: s.deps.Log}
	attach := func(ctx context.Context) error {
		// What was acknowledged for a store that has lost its data comes again.
		empty, err := s.store.Empty(ctx)
		if err != nil {
			return err
		}
		return in.Attach(ctx, empty)
	}
	if !s.untilDone(ctx, "the audit stream cannot be read yet", attach) {
		return nil
	}
	in.Begin()
	w := &archive.Writer{
		Store: s.store, Source: in, Limits: s.deps.Limits, Report: s.report, Expired: in.Expired, Log: s.deps.Log, Now: s.deps.Now,
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { in.Read(inner); return nil })
	group.Go(func() error { return w.Run(inner) })
	group.Go(func() error { s.watchLag(inner, in); return nil })
	group.Go(func() error { s.watchManipulations(inner); return nil })
	err := group.Wait()
	in.End()
	if err != nil {
		return fmt.Errorf("archival: %w", err)
	}
	return nil
}

// untilDone repeats f until it works. It returns false when ctx ends before.
func (s *Service) untilDone(ctx context.Context, trouble string, f func(context.Context) error) bool {
	for {
		err := f(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.deps.Log.Warn().Err(err).Msg(trouble)
		if !sleep(ctx, again) {
			return false
		}
	}
}

// watchStore keeps readiness honest while nothing is written.
func (s *Service) watchStore(ctx context.Context) {
	for sleep(ctx, pingPause) {
		attempt, cancel := context.WithTimeout(ctx, pingPause)
		_ = s.store.Ping(attempt) // the store keeps the error for Ready
		cancel()
	}
}

// watchLag measures how far the writer is behind.
func (s *Service) watchLag(ctx context.Context, in *stream.Stream) {
	for sleep(ctx, lagPause) {
		lag, err := in.Lag(ctx)
		if err != nil {
			continue // the bus is away; its own check says so
		}
		s.metrics.waiting.Set(float64(lag.Waiting))
		s.metrics.unacked.Set(float64(lag.Unacked))
	}
}

// watchManipulations looks for records whose text is not what was recorded, and
// of which no redaction tells. The redaction of a record follows it closely; so
// the latest are left for the next look.
func (s *Service) watchManipulations(ctx context.Context) {
	for sleep(ctx, checkPause) {
		found, err := s.store.Manipulations(ctx)
		if err != nil {
			s.deps.Log.Warn().Err(err).Msg("cannot look for manipulated records")
			continue
		}
		for _, m := range found {
			s.report.Manipulated(m)
		}
	}
}

// unreadable makes a finding about a message that is no batch durable.
func (s *Service) unreadable(ctx context.Context, subject string, sequence uint64, raw []byte, cause error) error {
	s.metrics.unreadable.Inc()
	s.deps.Log.Error().Err(cause).Str("subject", subject).Uint64("sequence", sequence).Msg("a message on the audit stream is no batch")
	p := s.producer.Load()
	if p == nil {
		return fmt.Errorf("archival: the bus is not connected")
	}
	sum := sha256.Sum256(raw)
	attempt, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	err := p.Record(attempt, &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "batch.unreadable", Actor: s.name, Message: "a message on the audit stream is no batch; it stays there until it expires",
		Details: map[string]string{"subject": subject, "sequence": fmt.Sprint(sequence), "bytes": fmt.Sprint(len(raw)), "sha256": hex.EncodeToString(sum[:])},
	})
	if err != nil {
		return fmt.Errorf("archival: record: %w", err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
