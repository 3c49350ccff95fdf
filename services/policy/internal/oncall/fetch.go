package oncall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/policy"
)

const (
	every   = 5 * time.Minute
	timeout = 15 * time.Second
)

// Reader reads the schedule's feeds. Safe for concurrent use.
type Reader struct {
	Dir  string       // of the policy folder's files
	HTTP *http.Client // nil: one that speaks https only
	Now  func() time.Time
	Log  zerolog.Logger
	// Changed is called when something new was read. It must not block.
	Changed func()

	mu    sync.Mutex
	feeds []policy.Feed
	read  map[string]copied // by address
	wake  chan struct{}
	once  sync.Once
}

// copied is what an address last gave.
type copied struct {
	raw []byte
	at  time.Time
}

func (r *Reader) init() {
	r.once.Do(func() {
		r.read, r.wake = map[string]copied{}, make(chan struct{}, 1)
		if r.HTTP == nil {
			r.HTTP = &http.Client{Timeout: timeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
				if req.URL.Scheme != "https" || len(via) > 3 {
					return errors.New("oncall: a redirect to no https address, or too many")
				}
				return nil
			}}
		}
	})
}

// Run reads the addresses now and then until ctx ends.
func (r *Reader) Run(ctx context.Context) error {
	r.init()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r.mu.Lock()
		feeds := slices.Clone(r.feeds)
		r.mu.Unlock()
		for _, f := range feeds {
			if f.URL != "" && ctx.Err() == nil {
				r.fetch(ctx, f)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-tick.C:
		}
	}
}

func (r *Reader) fetch(ctx context.Context, f policy.Feed) {
	raw, err := r.get(ctx, f.URL)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Warn().Err(err).Str("rotation", f.Rotation).Msg("the calendar of a rotation was not read; what was read last holds until it is too old")
		}
		return
	}
	r.mu.Lock()
	r.read[f.URL] = copied{raw, r.Now()}
	r.mu.Unlock()
	r.Changed()
}

func (r *Reader) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("oncall: %w", err)
	}
	resp, err := r.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("oncall: %w", errors.Unwrap(err)) // without the address: it may be a secret
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("oncall: it answers %s", resp.Status)
	}
	return all(resp.Body)
}

func all(from io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(from, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("oncall: %w", err)
	}
	if len(raw) > maxBytes {
		return nil, errors.New("oncall: the calendar is larger than 1 MiB")
	}
	return raw, nil
}

// Follow makes these the feeds to be read.
func (r *Reader) Follow(feeds []policy.Feed) {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(feeds, r.feeds) {
		return
	}
	r.feeds = slices.Clone(feeds)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Shifts returns what was last read of a feed, with until when it holds; nil where
// nothing was, or it cannot be understood.
func (r *Reader) Shifts(f policy.Feed, people People) *policy.Shifts {
	r.init()
	var raw []byte
	out := &policy.Shifts{}
	if f.File != "" {
		file, err := os.OpenInRoot(r.Dir, f.File)
		if err == nil {
			raw, err = all(file)
			_ = file.Close()
		}
		if err != nil {
			r.Log.Warn().Err(err).Str("rotation", f.Rotation).Msg("the calendar of a rotation cannot be read: nobody is on call")
			return nil
		}
	} else {
		r.mu.Lock()
		have, ok := r.read[f.URL]
		r.mu.Unlock()
		if !ok {
			return nil
		}
		raw, out.Until = have.raw, have.at.Add(f.MaxAge).UTC().Truncate(time.Second)
	}
	var err error
	if out.Shifts, err = Parse(raw, f.Zone, people, r.Now()); err != nil {
		r.Log.Warn().Err(err).Str("rotation", f.Rotation).Msg("the calendar of a rotation cannot be understood")
		return nil
	}
	return out
}

// Newer returns which of two copies of a feed a bundle is to carry: the one in
// force, unless it is another one that holds longer, or it has lost a quarter of
// its life. So replicas agree, and a bundle does not change with each look.
func Newer(inForce, read *policy.Shifts, maxAge time.Duration, now time.Time) *policy.Shifts {
	switch {
	case read == nil:
		return inForce
	case inForce == nil || read.Until.IsZero():
		return read
	case !read.Until.After(inForce.Until):
		return inForce
	case slices.Equal(read.Shifts, inForce.Shifts) && inForce.Until.Sub(now) > maxAge*3/4:
		return inForce
	}
	return read
}
