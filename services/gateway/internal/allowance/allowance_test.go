package allowance_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/services/gateway/internal/allowance"
)

func start(t *testing.T) (*server.Server, *bus.Bus) {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	b, err := bus.Connect(t.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{nats.InProcessServer(s)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return s, b
}

func open(b *bus.Bus) *allowance.Book {
	book := &allowance.Book{}
	book.Connect(b)
	return book
}

// TestRedteam13_GatewaysShareOneAllowance: many gateways at once let no more
// than the day's values pass, each value counts once, and a restart forgets none.
func TestRedteam13_GatewaysShareOneAllowance(t *testing.T) {
	_, b := start(t)
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	const slots, values = 5, 12
	var passed [values]atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		book := open(b)
		for v := range values {
			wg.Go(func() {
				switch err := book.Spend(t.Context(), now, "k", slots, allowance.Hash{byte(v)}); {
				case err == nil:
					passed[v].Add(1)
				case !errors.Is(err, allowance.ErrSpent):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	var n int
	restarted := open(b)
	for v := range values {
		err := restarted.Spend(t.Context(), now, "k", slots, allowance.Hash{byte(v)})
		switch got := passed[v].Load(); {
		case got != 0 && got != 4:
			t.Errorf("value %d passed at %d of 4 gateways", v, got)
		case (got == 4) != (err == nil):
			t.Errorf("value %d passed %d times, after a restart: %v", v, got, err)
		case got == 4:
			n++
		}
	}
	if n != slots {
		t.Errorf("%d values passed, not %d", n, slots)
	}
	for name, err := range map[string]error{
		"another key": restarted.Spend(t.Context(), now, "other", slots, allowance.Hash{99}),
		"another day": restarted.Spend(t.Context(), now.Add(14*time.Hour), "k", slots, allowance.Hash{99}),
		"more slots":  restarted.Spend(t.Context(), now, "k", slots+1, allowance.Hash{99}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpendFailsClosed(t *testing.T) {
	s, b := start(t)
	now := time.Now()
	if err := (&allowance.Book{}).Spend(t.Context(), now, "k", 5, allowance.Hash{1}); err == nil || errors.Is(err, allowance.ErrSpent) {
		t.Errorf("not connected: %v", err)
	}
	book := open(b)
	if err := book.Spend(t.Context(), now, "k", 5, allowance.Hash{1}); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := book.Spend(ctx, now, "k", 5, allowance.Hash{1}); err != nil {
		t.Errorf("a value that was asked for before costs no round trip: %v", err)
	}
	if err := book.Spend(ctx, now, "k", 5, allowance.Hash{2}); err == nil || errors.Is(err, allowance.ErrSpent) {
		t.Errorf("the bus is down: %v", err)
	}
}
