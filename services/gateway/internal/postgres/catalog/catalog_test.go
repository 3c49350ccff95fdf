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
	loads  atomic.Int64
	broken atomic.Bool
}

var errDown = errors.New("down")

func (l *loader) load(ctx context.Context) (*pgfacts.Catalog, error) {
	l.loads.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.broken.Load() {
		return nil, errDown
	}
	return pgfacts.NewCatalog(&pgfacts.Snapshot{}), nil
}

func TestSharedAndFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		c := catalog.New(time.Minute, zerolog.Nop())
		key := catalog.Key{Target: "t", Database: "d"}
		done := make(chan uint64)
		for range 5 { // sessions that open at once share one load
			go func() {
				s, err := c.For(key, l.load).Current(t.Context())
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
		h := c.For(key, l.load)
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
		h.Stale()
		at("after a definition has changed", 0, 4, true)
		if s, err := c.For(catalog.Key{Target: "t", Database: "other"}, l.load).Current(t.Context()); err != nil || s.Version == first {
			t.Error("another database has the same catalog", err)
		}
	})
}

func TestNotTrustedWhenItCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		h := catalog.New(time.Minute, zerolog.Nop()).For(catalog.Key{}, l.load)
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
		h.Stale()
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
		h := catalog.New(time.Minute, zerolog.Nop()).For(catalog.Key{}, l.load)
		h.Warm(t.Context())
		time.Sleep(500 * time.Millisecond)
		h.Stale() // what is being read may be from before the change
		if _, err := h.Current(t.Context()); err != nil || l.loads.Load() != 2 {
			t.Errorf("%d loads, %v", l.loads.Load(), err)
		}
	})
}

func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		h := catalog.New(time.Minute, zerolog.Nop()).For(catalog.Key{}, l.load)
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
		h := c.For(catalog.Key{}, l.load)
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
		h := c.For(catalog.Key{Target: "t"}, l.load)
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
