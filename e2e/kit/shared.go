package kit

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/embedded"
)

// Shared is one Gatestay for all tests of a package, started by the first that
// asks for it. Its owner is the package's TestMain:
//
//	var shared kit.Shared
//
//	func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }
type Shared struct {
	once sync.Once
	g    *Gatestay
	err  error
}

// Main runs the tests and ends what they started.
func (s *Shared) Main(m *testing.M) int {
	embedded.MaybeChild()
	code := m.Run()
	if s.g == nil {
		return code
	}
	if err := s.g.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Get returns the running Gatestay, with every part up. When the test fails,
// what the services said during it is shown.
func (s *Shared) Get(t testing.TB) *Gatestay {
	t.Helper()
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // a cold build included
		defer cancel()
		s.g, s.err = Start(ctx, Options{Race: Race, Progress: func(line string) { fmt.Fprintln(os.Stderr, "kit:", line) }})
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range Services {
				t.Log(s.g.LogTail(name, 15))
			}
		}
		s.g.revive(t)
	})
	return s.g
}

// revive starts what a test has left dead.
func (g *Gatestay) revive(t testing.TB) {
	t.Helper()
	for _, part := range append([]string{ClickHouse, Bus}, Services...) {
		g.mu.Lock()
		p := g.processes[part]
		g.mu.Unlock()
		dead := p == nil || p.ended()
		if part == ClickHouse {
			dead = g.clickhouse.Done() != nil && closed(g.clickhouse.Done())
		}
		if !dead {
			continue
		}
		if err := g.start1(context.Background(), part); err != nil {
			t.Errorf("revive: %v", err)
		}
	}
	for _, name := range Services {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err := g.ready(ctx, name); err != nil {
			t.Errorf("revive: %v", err)
		}
		cancel()
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
