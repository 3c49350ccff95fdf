package event_test

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func batch(t *testing.T, key *seal.Key) *eventv1.Batch {
	t.Helper()
	b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01J", Number: 1, Records: []*eventv1.Record{
		{Id: "1", Statement: "SELECT 1", Parameters: []string{"4", "5"}, Reason: "because"},
		{Id: "2", Message: "boom", Details: map[string]string{"remote": "127.0.0.1:5", "role": "deploy"}},
	}}
	if err := event.Seal(b, key); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRedteam17_ChangedBatchDoesNotVerify(t *testing.T) {
	key, stranger := generate(t), generate(t)
	for name, change := range map[string]func(*eventv1.Batch){
		"a field of a record":     func(b *eventv1.Batch) { b.Records[0].Target = "other" },
		"a record removed":        func(b *eventv1.Batch) { b.Records = b.Records[:1] },
		"records reordered":       func(b *eventv1.Batch) { slices.Reverse(b.Records) },
		"the number":              func(b *eventv1.Batch) { b.Number = 2 },
		"the incarnation":         func(b *eventv1.Batch) { b.Incarnation = "01K" },
		"the producer":            func(b *eventv1.Batch) { b.Producer = "gateway/gw2" },
		"the previous hash":       func(b *eventv1.Batch) { b.PreviousHash = []byte("x") },
		"the time":                func(b *eventv1.Batch) { b.SealedAt.Seconds++ },
		"a commitment":            func(b *eventv1.Batch) { b.Records[0].Commitments["statement"][0] ^= 1 },
		"the hash recomputed":     func(b *eventv1.Batch) { b.Number = 2; b.Hash, _ = event.Hash(b) },
		"signed by someone else":  func(b *eventv1.Batch) { _ = event.Seal(b, stranger) },
		"the signature cut short": func(b *eventv1.Batch) { b.Signature = b.Signature[:10] },
	} {
		t.Run(name, func(t *testing.T) {
			b := batch(t, key)
			if err := event.Verify(b, key.Public()); err != nil {
				t.Fatalf("untouched batch: %v", err)
			}
			change(b)
			if err := event.Verify(b, key.Public()); !errors.Is(err, event.ErrChain) {
				t.Fatalf("Verify after changing %s: %v", name, err)
			}
		})
	}
}

func TestRedactLeavesBatchValidAndShows(t *testing.T) {
	key := generate(t)
	b := batch(t, key)
	for _, field := range []string{"statement", "parameters.1", "reason"} {
		if !event.Redact(b.Records[0], field, "[redacted]") {
			t.Fatalf("no field %s", field)
		}
	}
	if !event.Redact(b.Records[1], "details.role", "[redacted]") {
		t.Fatal("no detail role")
	}
	if err := event.Verify(b, key.Public()); err != nil {
		t.Fatalf("a redaction must leave the batch valid: %v", err)
	}
	got := event.Redacted(b.Records[0])
	slices.Sort(got)
	if want := []string{"parameters.1", "reason", "statement"}; !slices.Equal(got, want) {
		t.Fatalf("Redacted = %v, want %v", got, want)
	}
	if event.Redact(b.Records[0], "target", "x") || event.Redact(b.Records[0], "parameters.2", "x") || event.Redact(b.Records[1], "details.new", "x") {
		t.Fatal("a field without a commitment was redacted")
	}
	delete(b.Records[1].Details, "remote")
	got = event.Redacted(b.Records[1])
	slices.Sort(got)
	if want := []string{"details.remote", "details.role"}; !slices.Equal(got, want) {
		t.Fatalf("Redacted = %v, want %v: a detail that is gone shows", got, want)
	}
}

func TestVerifySurvivesTheWire(t *testing.T) {
	key := generate(t)
	rapid.Check(t, func(rt *rapid.T) {
		b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01J", Number: rapid.Uint64().Draw(rt, "number")}
		for range rapid.IntRange(1, 4).Draw(rt, "records") {
			b.Records = append(b.Records, &eventv1.Record{
				Statement: rapid.String().Draw(rt, "statement"), Parameters: rapid.SliceOf(rapid.String()).Draw(rt, "parameters"),
				Details: rapid.MapOf(rapid.String(), rapid.String()).Draw(rt, "details"),
			})
		}
		if err := event.Seal(b, key); err != nil {
			rt.Fatal(err)
		}
		raw, err := proto.Marshal(b)
		if err != nil {
			rt.Fatal(err)
		}
		again := &eventv1.Batch{}
		if err := proto.Unmarshal(raw, again); err != nil {
			rt.Fatal(err)
		}
		if err := event.Verify(again, key.Public()); err != nil {
			rt.Fatal(err)
		}
		for _, r := range again.Records {
			if got := event.Redacted(r); len(got) != 0 {
				rt.Fatalf("untouched record reports redactions %v", got)
			}
		}
	})
}

func generate(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
