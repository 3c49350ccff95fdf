// Package catalog keeps what targets' catalogs say, one for each target and
// database, shared by all sessions.
//
// A catalog is loaded beside the sessions, over a connection that is kept while
// there are any, and loaded anew after a definition was changed through this
// gateway, when a name or an OID is not in it, and in the background every few
// seconds while it is used. One that is too old, and cannot be loaded anew, is not
// trusted: names are unknown then.
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

// Source reads a target's catalog, again and again. Not for concurrent use.
type Source interface {
	// Read returns the one that it returned before where nothing has changed.
	Read(context.Context) (*pgfacts.Catalog, error)
	Close()
}

// Open opens a source.
type Open func(context.Context) (Source, error)

// Snapshot is a catalog at one time. The zero Snapshot knows nothing.
type Snapshot struct {
	Catalog *pgfacts.Catalog
	Version uint64 // grows with each change; 0 is none

	loaded  time.Time
	changes uint64     // that it has seen, of its entry's
	masks   *maskCache // of this version
	own     maskCache  // of a Snapshot that knows nothing
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
	changes uint64 // of definitions, that were heard of
	doubted bool   // one may have
	flight  *flight
	source  Source // the flight's, where there is one; nil where none is open
	took    time.Duration
	missed  time.Time // when a name was last looked for in vain
	failed  time.Time // when loading last failed
	reason  error
	refs    int
}

// flight is a load that is under way.
type flight struct {
	done     chan struct{}
	changes  uint64 // that it will have seen
	snapshot *Snapshot
	err      error
}

// Handle is one session's view of its target's catalog.
type Handle struct {
	cache *Cache
	key   Key
	entry *entry
	open  Open
}

// For returns a session's handle. Release gives it back.
func (c *Cache) For(key Key, open Open) *Handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		e = &entry{}
		c.entries[key] = e
	}
	e.refs++
	return &Handle{cache: c, key: key, entry: e, open: open}
}

// Release closes the source of a catalog that no session uses any more, and drops
// those that are too old to be of use to the next.
func (h *Handle) Release() {
	c := h.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	h.entry.refs--
	h.entry.mu.Lock()
	c.quit(h.entry)
	h.entry.mu.Unlock()
	for key, e := range c.entries {
		e.mu.Lock()
		old := e.flight == nil && (e.current == nil || time.Since(e.current.loaded) > c.maxAge)
		e.mu.Unlock()
		if e.refs == 0 && old {
			delete(c.entries, key)
		}
	}
}

// quit closes a source that nobody needs. The caller holds both locks.
func (c *Cache) quit(e *entry) {
	if source := e.source; e.refs == 0 && e.flight == nil && source != nil {
		e.source = nil
		c.loading.Go(source.Close)
	}
}

// Stale says that a definition has changed. Where a catalog is in use it is begun
// to be loaded anew, while the client finds its next words.
func (h *Handle) Stale(ctx context.Context) {
	e := h.entry
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes++
	if e.flight == nil && e.current != nil && time.Since(e.failed) > retryAfter {
		h.load(ctx)
	}
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

// A catalog is renewed in the background when it is as old as this, and as this
// many times what loading it takes: that is how long it goes unnoticed when
// somebody else changes a definition.
const (
	renewAfter = 5 * time.Second
	renewShare = 100
)

// retryAfter is how long a failed load, or a name that is not there, is not
// tried again: neither a target that is down nor a typing mistake may keep the
// gateway loading.
const retryAfter = time.Second

// Current returns a catalog that can be trusted, loading it where it must. With
// an error it returns a Snapshot that knows nothing.
func (h *Handle) Current(ctx context.Context) (*Snapshot, error) {
	e := h.entry
	e.mu.Lock()
	if s := e.current; s != nil && s.changes == e.changes {
		switch age := time.Since(s.loaded); {
		case age <= min(h.cache.maxAge/2, max(renewAfter, renewShare*e.took)) && (!e.doubted || age <= doubtAfter):
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
		return s, err == nil && s.Version != in.Version
	}
	if time.Since(e.missed) < retryAfter {
		e.mu.Unlock()
		return in, false
	}
	e.missed = time.Now()
	s, err := h.wait(ctx)
	return s, err == nil && s.Version != in.Version
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
	case f.changes != e.changes:
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
	f := &flight{done: make(chan struct{}), changes: e.changes}
	e.flight, e.doubted = f, false
	begun := time.Now()
	c.loading.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
		defer cancel()
		source, catalog, err := h.read(ctx, e.source)
		if err != nil {
			c.log.Warn().Err(err).Str("target", h.key.Target).Msg("a target's catalog could not be loaded")
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.versions++
		e.mu.Lock()
		defer e.mu.Unlock()
		e.flight, e.source, e.took = nil, source, time.Since(begun)
		if f.err = err; err == nil {
			f.snapshot = &Snapshot{Catalog: catalog, Version: c.versions, loaded: begun, changes: f.changes, masks: &maskCache{}}
			if old := e.current; old != nil && old.Catalog == catalog {
				f.snapshot.Version, f.snapshot.masks = old.Version, old.masks
			}
			e.current, e.reason = f.snapshot, nil
		} else {
			e.failed, e.reason = time.Now(), err
		}
		c.quit(e)
		close(f.done)
	})
	return f
}

// read reads from a source, a new one where there is none or where it fails: its
// connection may have been closed while it was idle.
func (h *Handle) read(ctx context.Context, source Source) (Source, *pgfacts.Catalog, error) {
	if source != nil {
		catalog, err := source.Read(ctx)
		if err == nil {
			return source, catalog, nil
		}
		source.Close()
	}
	source, err := h.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	catalog, err := source.Read(ctx)
	if err != nil {
		source.Close()
		return nil, nil, err //nolint:wrapcheck // the source says what it was about
	}
	return source, catalog, nil
}

// With is the snapshot with a table that only one session knows of, as long as its
// transaction is open.
func (s *Snapshot) With(t *pgfacts.Fresh) *Snapshot {
	return &Snapshot{Catalog: s.Catalog.With(t), Version: s.Version}
}

// loadLimit bounds a load.
const loadLimit = 60 * time.Second

// Masks resolves the columns that masking rules name in this catalog, and those
// that they were copied to.
func (s *Snapshot) Masks(columns, copies []command.Column) *pgfacts.Masks {
	if s.masks == nil {
		return s.own.get(s.Catalog, columns, copies)
	}
	return s.masks.get(s.Catalog, columns, copies)
}
