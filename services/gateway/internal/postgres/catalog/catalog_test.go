package catalog_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loader counts loads; each takes a second, and fails while broken is set.
type loader struct {
	loads, opened, closed atomic.Int64
	broken, unchanged     atomic.Bool
	last                  *pgfacts.Catalog
}

func (l *loader) open(context.Context) (catalog.Source, error) {
	l.opened.Add(1)
	return l, nil
}

// Close implements catalog.Source.
func (l *loader) Close() { l.closed.Add(1) }

var errDown = errors.New("down")

// Read implements catalog.Source.
func (l *loader) Read(ctx context.Context) (*pgfacts.Catalog, error) {
	l.loads.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.broken.Load() {
		return nil, errDown
	}
	if l.last == nil || !l.unchanged.Load() {
		l.last = pgfacts.NewCatalog(&pgfacts.Snapshot{})
	}
	return l.last, nil
}

func TestSharedAndFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		c := catalog.New(time.Minute, zerolog.Nop())
		key := catalog.Key{Target: "t", Database: "d"}
		done := make(chan uint64)
		for range 5 { // sessions that open at once share one load
			go func() {
				s, err := c.For(key, l.open).Current(t.Context())
				if err != nil {
					t.Error(err)
				}
				done <- s.Version
			}()
		}
		first := <-done
		for range 4 {
			if v := <-done; v != first {
				t.Errorf("versions %d and %d", first, v)
			}
		}
		h := c.For(key, l.open)
		at := func(what string, wait time.Duration, loads int64, newer bool) {
			t.Helper()
			time.Sleep(wait)
			s, err := h.Current(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			c.Wait()
			if n := l.loads.Load(); n != loads {
				t.Errorf("%s: %d loads, want %d", what, n, loads)
			}
			if (s.Version > first) != newer {
				t.Errorf("%s: version %d, was %d", what, s.Version, first)
			}
			first = s.Version
		}
		at("at once", 0, 1, false)
		at("young", 20*time.Second, 1, false)
		at("of a certain age, in the background", 15*time.Second, 2, false)
		at("renewed", 0, 2, true)
		at("too old", 2*time.Minute, 3, true)
		h.Stale(t.Context())
		at("after a definition has changed", 0, 4, true)
		if s, err := c.For(catalog.Key{Target: "t", Database: "other"}, l.open).Current(t.Context()); err != nil || s.Version == first {
			t.Error("another database has the same catalog", err)
		}
	})
}

func TestNotTrustedWhenItCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		h := catalog.New(time.Minute, zerolog.Nop()).For(catalog.Key{}, l.open)
		if _, err := h.Current(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.broken.Store(true)
		time.Sleep(40 * time.Second)
		if _, err := h.Current(t.Context()); err != nil {
			t.Error("young enough:", err)
		}
		time.Sleep(30 * time.Second)
		s, err := h.Current(t.Context())
		if !errors.Is(err, errDown) || s.Catalog != nil {
			t.Errorf("too old: %v", err)
		}
		if f := s.Catalog.Resolve(command.Facts{Class: command.Read, Objects: []command.Object{{Name: "x", Access: command.Read}}}, nil, ""); f.Class != command.Unknown {
			t.Errorf("a name without a catalog: %+v", f)
		}
		n := l.loads.Load()
		if _, err := h.Current(t.Context()); err == nil || l.loads.Load() != n {
			t.Error("a target that is down was asked again at once")
		}
		l.broken.Store(false)
		time.Sleep(2 * time.Second)
		if _, err := h.Current(t.Context()); err != nil {
			t.Error("back again:", err)
		}
		h.Stale(t.Context())
		l.broken.Store(true)
		if _, err := h.Current(t.Context()); err == nil {
			t.Error("a stale catalog was trusted")
		}
		time.Sleep(2 * time.Second)
		if _, err := h.Current(t.Context()); err == nil {
			t.Error("a stale catalog was trusted, later")
		}
	})
}

func TestChangeDuringALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		h := catalog.New(time.Minute, zerolog.Nop()).For(catalog.Key{}, l.open)
		h.Warm(t.Context())
		time.Sleep(500 * time.Millisecond)
		h.Stale(t.Context()) // what is being read may be from before the change
		if _, err := h.Current(t.Context()); err != nil || l.loads.Load() != 2 {
			t.Errorf("%d loads, %v", l.loads.Load(), err)
		}
	})
}

func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		h := catalog.New(time.Minute, zerolog.Nop()).For(catalog.Key{}, l.open)
		s, err := h.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again, ok := h.Missed(t.Context(), s)
		if !ok || again.Version <= s.Version {
			t.Error("a name that is not there was not looked for")
		}
		for range 100 { // a name that is nowhere
			if _, ok := h.Missed(t.Context(), again); ok {
				time.Sleep(time.Millisecond)
			}
		}
		if n := l.loads.Load(); n > 4 {
			t.Errorf("%d loads for one name", n)
		}
		if newest, ok := h.Missed(t.Context(), s); !ok || newest == s {
			t.Error("what another session has loaded meanwhile was not used")
		}
	})
}

func TestCancelledWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		c := catalog.New(time.Minute, zerolog.Nop())
		h := c.For(catalog.Key{}, l.open)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := h.Current(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// The load goes on for whoever comes next.
		if _, err := h.Current(t.Context()); err != nil || l.loads.Load() != 1 {
			t.Error(err, l.loads.Load())
		}
		h.Release()
		c.Wait()
	})
}

func TestMasksAreResolvedOnce(t *testing.T) {
	s := &catalog.Snapshot{}
	a := []command.Column{{Schema: "public", Table: "t", Name: "c"}}
	if first := s.Masks(a, nil); first != s.Masks([]command.Column{a[0]}, nil) {
		t.Error("the same rules were resolved again")
	}
	if first := s.Masks(a, nil); first == s.Masks(append(a, command.Column{Table: "x", Name: "y"}), nil) {
		t.Error("other rules were not")
	}
	if first := s.Masks(a, nil); first == s.Masks(a, a) || first != s.Masks(a, nil) {
		t.Error("a copy is none, or undoes what was resolved")
	}
}

// TestDoubtIsSettledInTheBackground: commands that run the target's code do not
// wait for the catalog, and do not load it each time.
func TestDoubtIsSettledInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		c := catalog.New(time.Minute, zerolog.Nop())
		h := c.For(catalog.Key{Target: "t"}, l.open)
		first, err := h.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 3 {
			h.Doubt()
			if s, err := h.Current(t.Context()); err != nil || s != first {
				t.Errorf("in doubt: another catalog, %v", err)
			}
		}
		if took := time.Since(began); took > 0 || l.loads.Load() != 1 {
			t.Errorf("waited %s, %d loads", took, l.loads.Load())
		}
		time.Sleep(6 * time.Second)
		if s, err := h.Current(t.Context()); err != nil || s != first {
			t.Errorf("while it is loaded: another catalog, %v", err)
		}
		time.Sleep(2 * time.Second)
		if s, err := h.Current(t.Context()); err != nil || s == first || l.loads.Load() != 2 {
			t.Errorf("the same catalog, %d loads, %v", l.loads.Load(), err)
		}
		c.Wait()
	})
}

// TestSourceIsKept while there are sessions, and replaced when it fails.
func TestSourceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loader{}
		c := catalog.New(time.Minute, zerolog.Nop())
		one, two := c.For(catalog.Key{Target: "t"}, l.open), c.For(catalog.Key{Target: "t"}, l.open)
		for range 3 {
			one.Stale(t.Context())
			if _, err := two.Current(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		state := func(what string, loads, opened, closed int64) {
			t.Helper()
			c.Wait()
			if a, b, d := l.loads.Load(), l.opened.Load(), l.closed.Load(); a != loads || b != opened || d != closed {
				t.Errorf("%s: %d loads, %d opened, %d closed", what, a, b, d)
			}
		}
		state("in use", 3, 1, 0)
		one.Release()
		state("in use by one", 3, 1, 0)
		l.broken.Store(true) // its connection was closed, say: a second source is asked
		two.Stale(t.Context())
		if _, err := two.Current(t.Context()); err == nil {
			t.Error("no error")
		}
		state("broken", 5, 2, 2)
		l.broken.Store(false)
		time.Sleep(2 * time.Second)
		if _, err := two.Current(t.Context()); err != nil {
			t.Error(err)
		}
		state("mended", 6, 3, 2)
		two.Stale(t.Context())
		two.Release() // while it is being read
		state("released", 7, 3, 3)
	})
}

// TestUnchangedKeepsItsVersion: what was resolved in it stays so.
func TestUnchangedKeepsItsVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loader{}
		l.unchanged.Store(true)
		h := catalog.New(time.Minute, zerolog.Nop()).For(catalog.Key{}, l.open)
		first, err := h.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		masks := first.Masks([]command.Column{{Table: "x", Name: "y"}}, nil)
		h.Stale(t.Context())
		if s, err := h.Current(t.Context()); err != nil || s == first || s.Version != first.Version || s.Masks([]command.Column{{Table: "x", Name: "y"}}, nil) != masks {
			t.Errorf("version %d, was %d, %v", s.Version, first.Version, err)
		}
		if _, ok := h.Missed(t.Context(), first); ok {
			t.Error("a name was found where nothing has changed")
		}
	})
}

// TestOthersSeeAChangeToo: no session is told of a catalog from before a change
// that this gateway has seen.
func TestOthersSeeAChangeToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loader{}
		c := catalog.New(time.Minute, zerolog.Nop())
		one, two := c.For(catalog.Key{}, l.open), c.For(catalog.Key{}, l.open)
		first, err := one.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		one.Stale(t.Context()) // begins to load
		if s, err := two.Current(t.Context()); err != nil || s == first {
			t.Errorf("the catalog of before: %v", err)
		}
	})
}
