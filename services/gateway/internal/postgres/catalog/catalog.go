// Package catalog keeps what targets' catalogs say, one for each target and
// database, shared by all sessions.
//
// A catalog is loaded beside the sessions, and loaded anew after a definition was changed through this gateway, when a name
// or an OID is not in it, and in the background while it is used. One that is
// too old, and cannot be loaded anew, is not trusted: names are unknown then.
package catalog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// Key names a catalog.
type Key struct{ Target, Database string }

// Load reads a target's catalog.
type Load func(context.Context) (*pgfacts.Catalog, error)

// Snapshot is a catalog at one time. The zero Snapshot knows nothing.
type Snapshot struct {
	Catalog *pgfacts.Catalog
	Version uint64 // grows with each load; 0 is none

	loaded time.Time
	masks  maskCache
}

// Cache holds the catalogs. Safe for concurrent use.
type Cache struct {
	maxAge time.Duration
	log    zerolog.Logger

	mu       sync.Mutex
	entries  map[Key]*entry
	loading  sync.WaitGroup
	versions uint64
}

// New returns an empty cache whose catalogs are trusted up to an age.
func New(maxAge time.Duration, log zerolog.Logger) *Cache {
	return &Cache{maxAge: maxAge, log: log, entries: map[Key]*entry{}}
}

// Wait returns when no catalog is being loaded.
func (c *Cache) Wait() { c.loading.Wait() }

type entry struct {
	mu      sync.Mutex
	current *Snapshot
	stale   bool // a definition has changed since current was begun
	doubted bool // one may have
	flight  *flight
	missed  time.Time // when a name was last looked for in vain
	failed  time.Time // when loading last failed
	reason  error
	refs    int
}

// flight is a load that is under way.
type flight struct {
	done     chan struct{}
	snapshot *Snapshot
	err      error
}

// Handle is one session's view of its target's catalog.
type Handle struct {
	cache *Cache
	key   Key
	entry *entry
	read  Load
}

// For returns a session's handle. Release gives it back.
func (c *Cache) For(key Key, read Load) *Handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		e = &entry{}
		c.entries[key] = e
	}
	e.refs++
	return &Handle{cache: c, key: key, entry: e, read: read}
}

// Release drops a catalog that no session uses any more and that is too old to
// be of use to the next.
func (h *Handle) Release() {
	c := h.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	h.entry.refs--
	for key, e := range c.entries {
		e.mu.Lock()
		old := e.flight == nil && (e.current == nil || time.Since(e.current.loaded) > c.maxAge)
		e.mu.Unlock()
		if e.refs == 0 && old {
			delete(c.entries, key)
		}
	}
}

// Stale says that a definition has changed.
func (h *Handle) Stale() {
	h.entry.mu.Lock()
	defer h.entry.mu.Unlock()
	h.entry.stale = true
}

// Doubt says that code of the target's has run, which may have changed a
// definition. It seldom does: so the catalog is loaded anew in the background,
// and not for each such command.
func (h *Handle) Doubt() {
	h.entry.mu.Lock()
	defer h.entry.mu.Unlock()
	h.entry.doubted = true
}

// doubtAfter is how old a catalog may be that is in doubt.
const doubtAfter = 5 * time.Second

// retryAfter is how long a failed load, or a name that is not there, is not
// tried again: neither a target that is down nor a typing mistake may keep the
// gateway loading.
const retryAfter = time.Second

// Current returns a catalog that can be trusted, loading it where it must. With
// an error it returns a Snapshot that knows nothing.
func (h *Handle) Current(ctx context.Context) (*Snapshot, error) {
	e := h.entry
	e.mu.Lock()
	if s := e.current; s != nil && !e.stale {
		switch age := time.Since(s.loaded); {
		case age <= h.cache.maxAge/2 && (!e.doubted || age <= doubtAfter):
			e.mu.Unlock()
			return s, nil
		case age <= h.cache.maxAge:
			if e.flight == nil && time.Since(e.failed) > retryAfter {
				h.load(ctx)
			}
			e.mu.Unlock()
			return s, nil
		}
	}
	return h.wait(ctx)
}

// Missed loads the catalog because something is not in a snapshot. It reports
// false where that would be no use.
func (h *Handle) Missed(ctx context.Context, in *Snapshot) (*Snapshot, bool) {
	e := h.entry
	e.mu.Lock()
	if e.current != in { // newer already
		e.mu.Unlock()
		s, err := h.Current(ctx)
		return s, err == nil && s != in
	}
	if time.Since(e.missed) < retryAfter {
		e.mu.Unlock()
		return in, false
	}
	e.missed = time.Now()
	s, err := h.wait(ctx)
	return s, err == nil
}

// wait joins the load that is under way, or begins one. The caller holds mu,
// which is released.
func (h *Handle) wait(ctx context.Context) (*Snapshot, error) {
	e := h.entry
	f := e.flight
	switch {
	case f == nil && e.reason != nil && time.Since(e.failed) < retryAfter:
		defer e.mu.Unlock()
		return &Snapshot{}, e.reason
	case f == nil:
		f = h.load(ctx)
	case e.stale:
		// The one under way began before the change: wait for it, then load again.
		e.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return &Snapshot{}, fmt.Errorf("catalog: %w", context.Cause(ctx))
		}
		return h.Current(ctx)
	}
	e.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return &Snapshot{}, fmt.Errorf("catalog: %w", context.Cause(ctx))
	}
	if f.err != nil {
		return &Snapshot{}, f.err
	}
	return f.snapshot, nil
}

// Warm begins to load the catalog where there is none.
func (h *Handle) Warm(ctx context.Context) {
	h.entry.mu.Lock()
	defer h.entry.mu.Unlock()
	if h.entry.current == nil && h.entry.flight == nil {
		h.load(ctx)
	}
}

// load begins a load, which is nobody's request in particular: it does not end
// with ctx. The caller holds mu.
func (h *Handle) load(ctx context.Context) *flight {
	e, c := h.entry, h.cache
	f, stale := &flight{done: make(chan struct{})}, e.stale
	e.flight, e.stale, e.doubted = f, false, false
	begun := time.Now()
	c.loading.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
		defer cancel()
		catalog, err := h.read(ctx)
		if err != nil {
			c.log.Warn().Err(err).Str("target", h.key.Target).Msg("a target's catalog could not be loaded")
		}
		c.mu.Lock()
		c.versions++
		version := c.versions
		c.mu.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.flight = nil
		if f.err = err; err == nil {
			f.snapshot = &Snapshot{Catalog: catalog, Version: version, loaded: begun}
			e.current, e.reason = f.snapshot, nil
		} else {
			e.stale = e.stale || stale
			e.failed, e.reason = time.Now(), err
		}
		close(f.done)
	})
	return f
}

// loadLimit bounds a load.
const loadLimit = 60 * time.Second

// Masks resolves the columns that masking rules name in this catalog, and those
// that they were copied to.
func (s *Snapshot) Masks(columns, copies []command.Column) *pgfacts.Masks {
	return s.masks.get(s.Catalog, columns, copies)
}
