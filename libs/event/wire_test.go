package event_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestSealWireIsTheBatch(t *testing.T) {
	b, raw := sealed(t)
	again := &eventv1.Batch{}
	if err := proto.Unmarshal(raw, again); err != nil || !proto.Equal(b, again) {
		t.Fatalf("the bytes are another batch: %v", err)
	}
}

// What is read off the wire and what is made of the records must agree, in
// whatever order a field or a map came.
func TestRedteam17_WireLeavesAreThoseOfTheRecords(t *testing.T) {
	b, raw := sealed(t)
	want, err := event.Leaves(b)
	if err != nil {
		t.Fatal(err)
	}
	first := append(protowire.AppendTag(nil, 6, protowire.BytesType), protowire.AppendBytes(nil, must(t, b.Records[0]))...)
	for name, tt := range map[string]struct {
		raw  []byte
		same bool
	}{
		"as sealed":                  {raw, true},
		"maps in any order":          {must(t, b), true},
		"a record twice":             {append(bytes.Clone(raw), first...), false},
		"another target behind":      {bytes.Replace(raw, []byte("prod-db"), []byte("demo-db"), 1), false},
		"a second commitment hidden": {bytes.Replace(raw, []byte("statement"), []byte("statemen2"), 1), false},
		"another text":               {bytes.Replace(raw, []byte("SELECT 1"), []byte("SELECT 2"), 1), true}, // Redacted tells
	} {
		t.Run(name, func(t *testing.T) {
			read := &eventv1.Batch{}
			if err := proto.Unmarshal(tt.raw, read); err != nil {
				t.Fatal(err)
			}
			got, err := event.WireLeaves(read, tt.raw)
			if err != nil {
				t.Fatal(err)
			}
			direct, err := event.Leaves(read)
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, direct) {
				t.Error("the wire's leaves are not those of the records")
			}
			if equal(got, want) != tt.same {
				t.Errorf("same as what was sealed: %t, want %t", !tt.same, tt.same)
			}
		})
	}
}

func sealed(t *testing.T) (*eventv1.Batch, []byte) {
	t.Helper()
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01J", Number: 1, SealedAt: timestamppb.Now()}
	for range 3 {
		b.Records = append(b.Records, &eventv1.Record{
			Target: "prod-db", Statement: "SELECT 1", Reason: "why", Parameters: []string{"1", "2", "3"}, Details: map[string]string{"a": "1", "b": "2", "c": "3"},
			Principal: &eventv1.Principal{Subject: "s", Claims: map[string]string{"x": "1", "y": "2", "z": "3"}},
		})
	}
	raw, err := event.SealWire(b, key)
	if err != nil {
		t.Fatal(err)
	}
	return b, raw
}

func must(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
