package policy_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gatestay/gatestay/libs/bus"
)

// Replicas ask once and make a change once, whichever of them sees what first, and
// whichever is killed in between.
func TestReplicasAskOnceForAPeopleMap(t *testing.T) {
	w := newTown(t, "second_person")
	var stops []func()
	for _, name := range []string{"a", "b", "c"} {
		_, stop := w.start(name)
		stops = append(stops, stop)
	}
	w.version(1)
	w.write("policies/people.yaml", kims)
	r := w.asks(1)
	w.flows("meanwhile") // every replica has looked by the time that one has published this
	w.asks(1)
	var stopping sync.WaitGroup
	stopping.Go(stops[0])
	w.decide(w.approvals, w.decision(r, "dana", "lee"))
	w.until("the new map", func() bool { return string(w.current().GetFiles()["people.yaml"]) == kims })
	stopping.Wait()
	if b := w.flows("afterwards"); string(b.Files["people.yaml"]) != kims {
		t.Errorf("in force is %s", b.Files["people.yaml"])
	}
	w.recorded("people.changed", 1)
	w.recorded("people.change_requested", 1)
	if len(w.events(bus.Cancelled)) != 0 || len(w.records("people.decision_refused")) != 0 {
		t.Error("something was taken back, or refused")
	}
}

// Where no map is in force nobody is there to ask: the first one is taken, and
// recorded; taking it away is a change as any other.
func TestTheFirstPeopleMapComesLater(t *testing.T) {
	w := newTown(t, "second_person")
	w.remove("policies/people.yaml")
	s, _ := w.start("a")
	w.version(1)
	w.write("policies/people.yaml", folk)
	w.until("the first map", func() bool { return string(w.current().GetFiles()["people.yaml"]) == folk })
	if r := w.recorded("people.changed", 1)[0]; r.Details["how"] != "first" {
		t.Errorf("record: %v", r)
	}
	w.remove("policies/people.yaml")
	w.waits(s, "- person sam: slack:U0SAM")
	if b := w.flows("without a map"); string(b.Files["people.yaml"]) != folk {
		t.Errorf("in force is %q", b.Files["people.yaml"])
	}
	r := w.asks(1)
	w.decide(w.approvals, w.decision(r, "dana", "lee"))
	w.until("none", func() bool { return w.current() != nil && w.current().Files["people.yaml"] == nil })
}

func (w *town) remove(name string) {
	w.Helper()
	if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
		w.Fatal(err)
	}
}
