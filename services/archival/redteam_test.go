package archival

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// A message changed on its way is stored apart, told of, and takes the genuine
// batch's place neither before nor after that one comes.
func TestRedteam17_ChangedBatchIsStoredApart(t *testing.T) {
	for name, change := range map[string]func(*eventv1.Batch){
		"a target changed":        func(b *eventv1.Batch) { b.Records[0].Target = "other-db" },
		"a record removed":        func(b *eventv1.Batch) { b.Records = b.Records[:1] },
		"records reordered":       func(b *eventv1.Batch) { slices.Reverse(b.Records) },
		"a record added":          func(b *eventv1.Batch) { b.Records = append(b.Records, proto.CloneOf(b.Records[0])) },
		"a record twice":          func(b *eventv1.Batch) { b.Records[1] = b.Records[0] },
		"a commitment changed":    func(b *eventv1.Batch) { b.Records[0].Commitments["statement"][0] ^= 1 },
		"claimed unprocessable":   func(b *eventv1.Batch) { b.Records, b.PlaceholderReason = nil, "too bad" },
		"hash recomputed":         func(b *eventv1.Batch) { b.Records[0].Target = "other-db"; b.Hash, _ = event.Hash(b) },
		"signature cut off":       func(b *eventv1.Batch) { b.Signature = nil },
		"dated into another time": func(b *eventv1.Batch) { b.SealedAt.Seconds -= 90 * 24 * 3600 },
	} {
		for _, when := range []string{"before the genuine one", "after the genuine one"} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				w.start()
				genuine := w.seal(nil, record("ses_a", 1), record("ses_a", 2))
				changed := proto.CloneOf(genuine)
				change(changed)
				order := []*eventv1.Batch{changed, genuine}
				if when == "after the genuine one" {
					slices.Reverse(order)
				}
				for _, b := range order {
					w.publish(fromGateway, b)
				}
				w.publish(fromGateway, w.seal(genuine, record("ses_a", 3)))
				w.await(2, "SELECT count() FROM %s.batches WHERE digest = '' AND integrity = 'verified'")
				w.await(1, "SELECT count() FROM %s.batches WHERE digest != '' AND integrity != 'verified'")
				w.await(3, "SELECT count() FROM %s.records WHERE integrity = 'verified'")
				w.await(uint64(len(changed.Records)), "SELECT count() FROM %s.unverified")
				w.await(3, "SELECT count() FROM %s.commands")
				w.findingOnBus("batch.unverified", map[string]string{"producer": "gateway/gw1", "number": "1"})
				w.drained()
			})
		}
	}
}

func TestRedteam17_ForgedBatchIsStoredApart(t *testing.T) {
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(*world, *eventv1.Batch) (subject string){
		"signed by a stranger": func(_ *world, b *eventv1.Batch) string { _ = event.Seal(b, stranger); return fromGateway },
		"a trusted key under another key's name": func(w *world, b *eventv1.Batch) string {
			_ = event.Seal(b, w.keys["gateway"])
			b.KeyId = w.keys["policy"].ID()
			return fromGateway
		},
		"a policy service that speaks for a gateway": func(w *world, b *eventv1.Batch) string {
			_ = event.Seal(b, w.keys["policy"])
			return bus.AuditPrefix + bus.AdminSubject("policy", "1")
		},
		"a gateway that speaks for another": func(w *world, b *eventv1.Batch) string {
			_ = event.Seal(b, w.keys["gateway"])
			return bus.AuditPrefix + bus.RecordSubject("gw2")
		},
		"a service that calls itself gateway": func(w *world, b *eventv1.Batch) string {
			_ = event.Seal(b, w.keys["policy"])
			return bus.AuditPrefix + bus.AdminSubject("gateway", "gw1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			forged := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01JINCARNATION", Number: 1, Records: []*eventv1.Record{record("ses_forged", 1)}}
			w.publish(forge(w, forged), forged)
			w.publish(fromGateway, w.seal(nil, record("ses_genuine", 1)))
			w.await(1, "SELECT count() FROM %s.batches WHERE integrity = 'verified'")
			w.await(1, "SELECT count() FROM %s.batches WHERE integrity = 'untrusted' AND digest != ''")
			w.await(1, "SELECT count() FROM %s.unverified WHERE session_id = 'ses_forged'")
			if n := w.number("SELECT count() FROM %s.commands WHERE session_id = 'ses_forged'"); n != 0 {
				t.Fatal("a forged record counts as a command")
			}
		})
	}
}

// What was recorded before comes again, in other clothes too.
func TestRedteam17_ReplayIsRecognised(t *testing.T) {
	w := newWorld(t)
	_, stop := w.start()
	batches := w.chain(5)
	for _, b := range batches {
		w.publish(fromGateway, b)
	}
	w.onceAndInOrder(5)
	forged := proto.CloneOf(batches[1])
	forged.Records[0].Target = "other-db"
	for range 3 {
		for _, b := range batches {
			w.publish(fromGateway, b)
		}
		w.publish(fromGateway, forged) // the same forgery again and again is stored once
	}
	w.drained()
	stop()
	w.start()
	for _, b := range append(batches, forged) {
		w.publish(fromGateway, b)
	}
	w.drained()
	if n := w.number("SELECT count() FROM %s.batches WHERE digest = ''"); n != 5 {
		t.Errorf("%d batches in the chain, want 5", n)
	}
	if n := w.number("SELECT count() FROM %s.records WHERE integrity = 'verified'"); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
	if n := w.number("SELECT count() FROM %s.batches WHERE digest != ''"); n != 1 {
		t.Errorf("%d forgeries, want 1", n)
	}
}

// A producer, or who has its key, seals two batches under one number.
func TestRedteam17_TwoBatchesUnderOneNumber(t *testing.T) {
	w := newWorld(t)
	w.start()
	first := w.seal(nil, record("ses_a", 1))
	w.publish(fromGateway, first)
	w.await(1, "SELECT count() FROM %s.batches")
	w.publish(fromGateway, w.seal(nil, record("ses_b", 1)))
	w.await(1, "SELECT count() FROM %s.batches WHERE integrity = 'conflict' AND digest != ''")
	w.await(1, "SELECT count() FROM %s.unverified WHERE session_id = 'ses_b'")
	w.findingOnBus("batch.unverified", map[string]string{"integrity": "conflict"})
}

// A batch whose signed head names another predecessor: history was rewritten.
func TestRedteam17_BrokenChainIsTold(t *testing.T) {
	w := newWorld(t)
	w.start()
	first, other := w.seal(nil, record("ses_a", 1)), w.seal(nil, record("ses_a", 1))
	w.publish(fromGateway, first)
	w.publish(fromGateway, w.seal(other, record("ses_a", 2)))
	w.await(1, "SELECT count() FROM %s.batches WHERE number = 2 AND problem != ''")
	w.findingOnBus("batch.odd", map[string]string{"number": "2"})
}

// Removing a message leaves a gap: everything behind it waits, and it is told.
// When what came in its place does not verify, the rest goes on behind it, and
// the genuine one is still taken when it turns up.
func TestRedteam17_RemovedBatchIsMissed(t *testing.T) {
	w := newWorld(t)
	w.start()
	batches := w.chain(4)
	w.publish(fromGateway, batches[0])
	forged := proto.CloneOf(batches[1])
	forged.Records[0].Target = "other-db"
	w.publish(fromGateway, forged)
	w.publish(fromGateway, batches[2])
	w.publish(fromGateway, batches[3])
	w.await(3, "SELECT count() FROM %s.batches WHERE digest = ''") // behind the forged one, after a while
	w.publish(fromGateway, batches[1])
	w.onceAndInOrderBut(4, "not verified")
	w.drained()
}

// A text changed on its way leaves hash and signature valid, as a redaction
// does. Only what masking says it redacted passes for a redaction.
func TestRedteam17_ManipulationIsNoRedaction(t *testing.T) {
	w := newWorld(t)
	w.start()
	b := w.seal(nil, record("ses_a", 1), record("ses_a", 2), record("ses_a", 3))
	event.Redact(b.Records[0], "statement", "SELECT [redacted]") // masking tells of it
	event.Redact(b.Records[1], "statement", "SELECT nothing to see here")
	w.publish(fromGateway, b)
	told := &eventv1.Batch{Producer: "masking/1", Incarnation: "01JM", Number: 1, Records: []*eventv1.Record{{
		Id: "r1", Kind: eventv1.Kind_KIND_REDACTION, Details: map[string]string{"record": b.Records[0].Id, "fields": "reason,statement"},
	}}}
	if err := event.Seal(told, w.keys["masking"]); err != nil {
		t.Fatal(err)
	}
	w.publish(bus.AuditPrefix+bus.AdminSubject("masking", "1"), told)
	// The forger tells of a redaction, too, but is not masking.
	lie := &eventv1.Batch{Producer: "policy/1", Incarnation: "01JP", Number: 1, Records: []*eventv1.Record{{
		Id: "r2", Kind: eventv1.Kind_KIND_REDACTION, Details: map[string]string{"record": b.Records[1].Id, "fields": "statement"},
	}}}
	if err := event.Seal(lie, w.keys["policy"]); err != nil {
		t.Fatal(err)
	}
	w.publish(bus.AuditPrefix+bus.AdminSubject("policy", "1"), lie)
	w.await(3, "SELECT count() FROM %s.batches")
	w.await(2, "SELECT count() FROM %s.records WHERE notEmpty(redacted)")
	if n := w.number("SELECT count() FROM %s.manipulations WHERE id = '" + b.Records[1].Id + "' AND unexplained = ['statement']"); n != 1 {
		t.Error("the manipulation is not found")
	}
	if n := w.number("SELECT count() FROM %s.manipulations"); n != 1 {
		t.Errorf("%d manipulations, want 1", n)
	}
}

func TestRedteam16_MessagesThatAreNoBatch(t *testing.T) {
	w := newWorld(t)
	w.start()
	for n, raw := range [][]byte{{}, []byte("\xff\xff\xff"), []byte("hello"), []byte(`{"producer":"gateway/gw1"}`)} {
		w.publishRaw(fmt.Sprintf("audit.record.x%d", n), raw)
	}
	w.publish(fromGateway, w.seal(nil, record("ses_a", 1)))
	w.await(1, "SELECT count() FROM %s.records WHERE integrity = 'verified'")
	w.findingOnBus("batch.unreadable", map[string]string{"subject": "audit.record.x1", "bytes": "3"})
	w.drained()
}

// Terminal escapes, line breaks and time stamps beyond what the store holds
// reach it as they are, and stop nothing.
func TestRedteam16_HostileTextAndTimesAreStored(t *testing.T) {
	w := newWorld(t)
	w.start()
	hostile := record("ses_\x1b]0;owned\x07", 1)
	hostile.Statement = "SELECT '\x1b[2J\\'; DROP TABLE records; --\u202e\u0000\n\r\t`$(id)`'"
	hostile.Reason = "{text:String} ? $1 %s"
	hostile.Time = &timestamppb.Timestamp{Seconds: 253_402_300_799} // the year 9999
	b := w.seal(nil, hostile)
	w.publish(fromGateway, b)
	w.publish(fromGateway, w.seal(b, record("ses_a", 1)))
	w.await(2, "SELECT count() FROM %s.records WHERE integrity = 'verified'")
	var statement, reason string
	err := w.conn.QueryRow(t.Context(), "SELECT statement, reason FROM "+w.cfg.Archival.ClickHouse.Database+".records WHERE startsWith(session_id, 'ses_\\x1b')").Scan(&statement, &reason)
	if err != nil || statement != hostile.Statement || reason != hostile.Reason {
		t.Fatalf("%v: %q, %q", err, statement, reason)
	}
}
