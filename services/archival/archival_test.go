package archival

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// write offers n records of some sessions and waits until they are durable.
func (w *world) write(p *event.Producer, prefix string, sessions, each int) {
	var all sync.WaitGroup
	for s := range sessions {
		all.Go(func() {
			for n := range each {
				if err := p.Record(w.Context(), record(fmt.Sprintf("ses_%s_%d", prefix, s), n+1)); err != nil {
					w.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestArchival_storesOnceAndInOrderOverRestarts(t *testing.T) {
	w := newWorld(t)
	first, second := w.producer("gw1"), w.producer("gw2")
	var writing sync.WaitGroup
	writing.Go(func() { w.write(first, "one", 20, 500) })
	writing.Go(func() { w.write(second, "two", 20, 500) })
	for n := range 3 {
		_, stop := w.start()
		w.eventually(func() error {
			if got := w.number("SELECT count() FROM %s.records"); got < uint64(n+1)*2000 {
				return fmt.Errorf("%d records", got)
			}
			return nil
		})
		stop()
	}
	writing.Wait()
	w.start()
	w.onceAndInOrder(20_000)
	w.drained()
}

func TestArchival_survivesKill9(t *testing.T) {
	w := newWorld(t)
	p := w.producer("gw1")
	var writing sync.WaitGroup
	writing.Go(func() { w.write(p, "kill", 20, 250) })
	stored := uint64(0)
	for range 2 {
		cmd := w.spawn()
		w.eventually(func() error {
			if got := w.number("SELECT count() FROM %s.records"); got < stored+300 {
				return fmt.Errorf("%d records, killed at %d", got, stored)
			}
			return nil
		})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		stored = w.number("SELECT count() FROM %s.records")
	}
	writing.Wait()
	w.start()
	w.onceAndInOrder(5000)
	w.drained()
}

func TestArchival_waitsForClickHouse(t *testing.T) {
	dir := t.TempDir()
	ch, err := embedded.ClickHouse(t.Context(), embedded.ClickHouseOptions{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Kill() })
	w := newWorldAt(t, ch)
	s, _ := w.start()
	w.ready(s)
	p := w.producer("gw1")
	w.write(p, "before", 5, 100)
	w.await(500, "SELECT count() FROM %s.records WHERE kind = 'intent'")
	for _, end := range []func(){ch.Kill, func() { _ = ch.Stop(t.Context()) }} {
		end()
		w.write(p, "down"+fmt.Sprint(rand.Int()), 5, 100)
		w.eventually(func() error {
			response, err := http.Get("http://" + s.Addr() + "/readyz")
			if err != nil {
				return err
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusServiceUnavailable {
				return fmt.Errorf("/readyz says %s though ClickHouse is down", response.Status)
			}
			return nil
		})
		again, err := embedded.ClickHouse(t.Context(), embedded.ClickHouseOptions{Dir: dir, Log: zerolog.Nop(), Native: ch.Native, HTTP: ch.HTTP})
		if err != nil {
			t.Fatal(err)
		}
		*ch = *again
		w.ready(s)
	}
	w.onceAndInOrder(1500)
	w.drained()
}

func TestArchival_startsBeforeItsSurroundings(t *testing.T) {
	dir := t.TempDir()
	ch, err := embedded.ClickHouse(t.Context(), embedded.ClickHouseOptions{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ch.Kill() })
	ch.Kill()
	w := newWorldAt(t, ch)
	p := w.producer("gw1")
	w.start()
	w.write(p, "early", 2, 50)
	again, err := embedded.ClickHouse(t.Context(), embedded.ClickHouseOptions{Dir: dir, Log: zerolog.Nop(), Native: ch.Native, HTTP: ch.HTTP})
	if err != nil {
		t.Fatal(err)
	}
	*ch = *again
	w.onceAndInOrder(100)
}

// Two replicas run side by side, as during a deployment: one writes, the other
// takes over when it ends.
func TestArchival_oneWriterAtATime(t *testing.T) {
	w := newWorld(t)
	p := w.producer("gw1")
	_, stopFirst := w.start()
	w.start()
	w.write(p, "both", 10, 200)
	w.onceAndInOrder(2000)
	stopFirst()
	w.write(p, "after", 10, 200)
	w.onceAndInOrder(4000)
}

func TestArchival_storesADatabaseThatWasLostAgain(t *testing.T) {
	w := newWorld(t)
	_, stop := w.start()
	w.write(w.producer("gw1"), "lost", 4, 50)
	w.onceAndInOrder(200)
	w.drained()
	stop()
	if err := w.conn.Exec(t.Context(), "DROP DATABASE "+w.cfg.Archival.ClickHouse.Database+" SYNC"); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.onceAndInOrder(200)
}

func TestArchival_shuffledAndRepeated(t *testing.T) {
	w := newWorld(t)
	w.start()
	batches := w.chain(60)
	for _, n := range append(rand.Perm(60), rand.Perm(60)...) {
		w.publish(fromGateway, batches[n])
	}
	w.onceAndInOrder(60)
	w.drained()
}

func TestArchival_waitsAtAGapAndSaysSo(t *testing.T) {
	w := newWorld(t)
	w.start()
	batches := w.chain(6)
	for _, n := range []int{0, 1, 3, 4, 5} {
		w.publish(fromGateway, batches[n])
	}
	other := w.producer("gw2")
	w.write(other, "other", 1, 5)
	w.await(7, "SELECT count() FROM %s.records WHERE kind = 'intent'") // two of the chain, five of the other
	w.findingOnBus("batch.missing", map[string]string{"from": "3", "to": "3", "waiting": "3", "producer": "gateway/gw1"})
	if n := w.number("SELECT max(batch_number) FROM %s.records WHERE producer = 'gateway/gw1'"); n != 2 {
		t.Fatalf("stored up to %d, behind the gap", n)
	}
	w.publish(fromGateway, batches[2])
	w.await(11, "SELECT count() FROM %s.records WHERE kind = 'intent'")
	w.onceAndInOrder(11)
	w.drained()
}

// findingOnBus waits for a finding of archival's own on the bus, where it goes
// for the second look before it is archived.
func (w *world) findingOnBus(action string, details map[string]string) *eventv1.Record {
	w.Helper()
	var found *eventv1.Record
	w.eventually(func() error {
		stream, err := w.bus.JS.Stream(w.Context(), "ADMIN")
		if err != nil {
			return err
		}
		last := stream.CachedInfo().State.LastSeq
		for seq := uint64(1); seq <= last; seq++ {
			m, err := stream.GetMsg(w.Context(), seq)
			if err != nil {
				return err
			}
			b := &eventv1.Batch{}
			if err := proto.Unmarshal(m.Data, b); err != nil {
				return err
			}
			for _, r := range b.Records {
				if r.Action == action && includes(r.Details, details) {
					found = r
					return nil
				}
			}
		}
		return fmt.Errorf("no %s with %v among %d messages", action, details, last)
	})
	return found
}

func includes(all, some map[string]string) bool {
	for k, v := range some {
		if all[k] != v {
			return false
		}
	}
	return true
}

func TestArchival_endsInTime(t *testing.T) {
	w := newWorld(t)
	s, stop := w.start()
	w.ready(s)
	began := time.Now()
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("took %s", took)
	}
}
