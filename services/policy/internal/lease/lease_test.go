package lease_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy/internal/lease"
)

// A lease goes out at once and then every second, whether or not the bus takes
// it; the counter never repeats.
func TestALeaseEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := seal.Generate()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var sent []*eventv1.Lease
		var issued int
		var down atomic.Bool
		i := &lease.Issuer{
			Name: "a", Incarnation: "i", Key: key, Now: time.Now, Log: zerolog.Nop(), Issued: func() { issued++ },
			Send: func(_ string, raw []byte) error {
				if down.Load() {
					return errors.New("down")
				}
				signed, l := &eventv1.Signed{}, &eventv1.Lease{}
				if err := proto.Unmarshal(raw, signed); err != nil {
					t.Error(err)
				}
				payload, err := key.Public().Open(seal.ContextLease, signed)
				if err != nil || proto.Unmarshal(payload, l) != nil {
					t.Error(err)
				}
				sent = append(sent, l)
				return nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- i.Run(ctx) }()
		time.Sleep(2*time.Second + time.Millisecond) // of the fake clock
		synctest.Wait()
		down.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		down.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(sent) != 4 || issued != 4 {
			t.Fatalf("%d sent, %d counted, want 4", len(sent), issued)
		}
		for n, want := range []struct {
			counter uint64
			after   time.Duration
		}{{1, 0}, {2, time.Second}, {3, 2 * time.Second}, {6, 5 * time.Second}} {
			if got := sent[n]; got.Counter != want.counter || !got.IssuedAt.AsTime().Equal(start.Add(want.after)) {
				t.Errorf("lease %d: %v, want number %d after %s", n, got, want.counter, want.after)
			}
		}
	})
}
