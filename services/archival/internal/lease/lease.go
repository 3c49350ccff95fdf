// Package lease makes sure that one archival writes at a time, of all that run
// beside one another (a newer and an older one during a deployment, a spare).
//
// The writer holds a key in a bucket whose entries expire. It renews the key
// well before that and, when it could not, stops by its own clock before the
// key is gone: the next one begins only then. What it had sent off by that time
// the next one ends at the store (store.Takeover).
package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// ErrLost is the cause of a writer's context that ended because the lease
// could not be renewed.
var ErrLost = errors.New("lease: lost")

const key = "writer"

// Lease is one process's wish to be the writer.
type Lease struct {
	Bucket jetstream.KeyValue // its entries expire after TTL
	Holder string             // this process, for whoever looks
	TTL    time.Duration
	Log    zerolog.Logger
}

// renewals is how many renewals fit into the life of a key; the last third of
// it is the margin in which a writer that could not renew has stopped.
const renewals = 6

// Run waits for the lease and calls write with a context that ends when ctx
// does or the lease is lost; then it waits again. It returns when ctx ends or
// write fails.
func (l *Lease) Run(ctx context.Context, write func(context.Context) error) error {
	for {
		revision, since, err := l.acquire(ctx)
		if err != nil {
			return nil //nolint:nilerr // only ctx ends the wait
		}
		l.Log.Info().Str("holder", l.Holder).Msg("this process writes the audit store")
		if err := l.hold(ctx, revision, since, write); err != nil && !errors.Is(err, ErrLost) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		l.Log.Warn().Msg("the writer's lease was lost; waiting for it")
	}
}

// acquire polls until the key is free. since is when the request was made: the
// key cannot expire before since + TTL.
func (l *Lease) acquire(ctx context.Context) (revision uint64, since time.Time, err error) {
	for {
		since = time.Now()
		attempt, cancel := context.WithTimeout(ctx, l.TTL)
		revision, err = l.Bucket.Create(attempt, key, []byte(l.Holder))
		cancel()
		if err == nil {
			return revision, since, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && ctx.Err() == nil {
			l.Log.Warn().Err(err).Msg("cannot ask for the writer's lease; trying again")
		}
		select {
		case <-ctx.Done():
			return 0, since, fmt.Errorf("lease: %w", ctx.Err())
		case <-time.After(l.TTL / renewals):
		}
	}
}

// hold runs write and renews beside it.
func (l *Lease) hold(ctx context.Context, revision uint64, since time.Time, write func(context.Context) error) error {
	mine, stop := context.WithCancelCause(ctx)
	done := make(chan error, 1)
	go func() { done <- write(mine) }()
	until := since.Add(l.TTL - l.TTL/3)
	expiry := time.NewTimer(time.Until(until))
	defer expiry.Stop()
	renew := time.NewTicker(l.TTL / renewals)
	defer renew.Stop()
	for {
		select {
		case err := <-done:
			stop(nil)
			l.release(ctx, revision)
			return err
		case <-expiry.C:
			stop(ErrLost)
			if err := <-done; err != nil {
				return err
			}
			return ErrLost
		case <-renew.C:
			now := time.Now()
			if !now.Before(until) {
				continue // expiry is due as well
			}
			attempt, cancel := context.WithDeadline(mine, earlier(now.Add(l.TTL/renewals), until))
			next, err := l.Bucket.Update(attempt, key, []byte(l.Holder), revision)
			cancel()
			if err == nil {
				revision, until = next, now.Add(l.TTL-l.TTL/3)
				expiry.Reset(time.Until(until))
				continue
			}
			if mine.Err() == nil {
				l.Log.Warn().Err(err).Msg("the writer's lease was not renewed; trying again")
				revision = l.revision(mine, revision, until)
			}
		}
	}
}

// revision returns the key's revision where it is still this process's: a renewal
// may have worked though its answer was lost.
func (l *Lease) revision(ctx context.Context, known uint64, until time.Time) uint64 {
	ctx, cancel := context.WithDeadline(ctx, earlier(time.Now().Add(l.TTL/renewals), until))
	defer cancel()
	e, err := l.Bucket.Get(ctx, key)
	if err != nil || string(e.Value()) != l.Holder {
		return known
	}
	return e.Revision()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// release lets the next one begin at once.
func (l *Lease) release(ctx context.Context, revision uint64) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := l.Bucket.Delete(last, key, jetstream.LastRevision(revision)); err != nil {
		l.Log.Debug().Err(err).Msg("the writer's lease was not released; it expires")
	}
}
