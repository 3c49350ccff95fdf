package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gatestay/gatestay/libs/embedded"
)

const life = 600 * time.Millisecond

// world is a bus with the bucket in it.
type world struct {
	*testing.T
	server *embedded.NATSServer
	dir    string
	url    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	w.up("")
	t.Cleanup(func() { w.down() })
	return w
}

func (w *world) up(address string) {
	w.Helper()
	s, err := embedded.NATS(w.Context(), embedded.NATSOptions{Dir: w.dir, Log: zerolog.Nop(), Listen: true, Address: address})
	if err != nil {
		w.Fatal(err)
	}
	w.server, w.url = s, s.URL
}

func (w *world) down() { _ = w.server.Stop(context.Background()) }

func (w *world) lease(holder string) *Lease {
	w.Helper()
	conn, err := nats.Connect(w.url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		w.Fatal(err)
	}
	kv, err := js.CreateOrUpdateKeyValue(w.Context(), jetstream.KeyValueConfig{Bucket: "archival", TTL: life})
	if err != nil {
		w.Fatal(err)
	}
	return &Lease{Bucket: kv, Holder: holder, TTL: life, Log: zerolog.Nop()}
}

// run runs a lease until the returned function.
func (w *world) run(l *Lease, write func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, write) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	w.Cleanup(func() { _ = stop() })
	return stop
}

func TestLease_oneAtATime(t *testing.T) {
	w := newWorld(t)
	var inside, most atomic.Int32
	began := make(chan int, 4)
	stops := make([]func() error, 4)
	for n := range stops {
		stops[n] = w.run(w.lease(fmt.Sprint(n)), func(ctx context.Context) error {
			now := inside.Add(1)
			defer inside.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			began <- n
			<-ctx.Done()
			return nil
		})
	}
	seen := map[int]bool{}
	for range stops {
		writer := <-began
		seen[writer] = true
		if err := stops[writer](); err != nil {
			t.Fatal(err)
		}
	}
	if most.Load() != 1 || len(seen) != 4 {
		t.Fatalf("%d wrote at the same time, %d of 4 had their turn", most.Load(), len(seen))
	}
}

// A writer that the bus no longer hears stops by its own clock, before the next
// one can begin.
func TestLease_stopsWhenTheBusIsAway(t *testing.T) {
	w := newWorld(t)
	began, ended := make(chan time.Time, 4), make(chan error, 4)
	w.run(w.lease("a"), func(ctx context.Context) error {
		began <- time.Now()
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil
	})
	<-began
	address := w.url[len("nats://"):]
	w.down()
	away := time.Now()
	if cause := <-ended; !errors.Is(cause, ErrLost) {
		t.Fatalf("ended with %v", cause)
	}
	if took := time.Since(away); took > life {
		t.Fatalf("it wrote for %s after the bus had gone; its key lives for %s", took, life)
	}
	w.up(address)
	<-began // and it writes again
}

func TestLease_isGivenBackAtOnce(t *testing.T) {
	w := newWorld(t)
	began := make(chan string, 4)
	writer := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			began <- name
			<-ctx.Done()
			return nil
		}
	}
	l := w.lease("a")
	l.TTL = time.Hour // nobody waits for this one to expire
	stop := w.run(l, writer("a"))
	<-began
	w.run(w.lease("b"), writer("b"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := <-began; got != "b" {
		t.Fatalf("%s writes", got)
	}
}

func TestLease_passesOnWhatWriteFailedWith(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("broken")
	if err := w.lease("a").Run(t.Context(), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
