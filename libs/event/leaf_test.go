package event_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// leafByCloning says what a leaf is: the deterministic bytes of a copy with the
// committed texts and the salt taken out.
func leafByCloning(t *testing.T, r *eventv1.Record) []byte {
	t.Helper()
	c := proto.CloneOf(r)
	c.Statement, c.Reason, c.Message, c.Parameters, c.Details, c.Salt = "", "", "", nil, nil, nil
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

func TestLeafCoversEveryFieldButTheCommittedTexts(t *testing.T) {
	full := &eventv1.Record{
		Time: timestamppb.Now(), Principal: &eventv1.Principal{Subject: "s", Claims: map[string]string{"a": "1", "b": "2"}}, Objects: []*eventv1.Object{{Name: "t"}},
		Parameters: []string{"p"}, Approvers: []string{"dana"}, Details: map[string]string{"k": "v"}, Commitments: map[string][]byte{"x": {1}, "y": {2}}, Salt: []byte("salt"),
		Kind: eventv1.Kind_KIND_INTENT,
	}
	m := full.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		switch f := m.Descriptor().Fields().Get(i); {
		case f.IsList() || f.IsMap():
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(string(f.Name())))
		case f.Kind() == protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(int64(i+1)))
		case f.Kind() == protoreflect.Uint64Kind:
			m.Set(f, protoreflect.ValueOfUint64(uint64(i+1)))
		}
	}
	m.SetUnknown([]byte{0xfa, 0x3f, 0x01, 'x'}) // of a newer producer: field 1023
	before := proto.CloneOf(full)
	whole, err := event.Leaf(full)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(whole, leafByCloning(t, full)) {
		t.Fatal("the leaf is another than that of a copy")
	}
	if !proto.Equal(before, full) {
		t.Fatal("making the leaf changed the record")
	}
	left := map[protoreflect.Name]bool{"statement": true, "reason": true, "message": true, "parameters": true, "details": true, "salt": true}
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		c := proto.CloneOf(full)
		c.ProtoReflect().Clear(f)
		leaf, err := event.Leaf(c)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(leaf, whole) != left[f.Name()] {
			t.Errorf("field %s: covered %t", f.Name(), !bytes.Equal(leaf, whole))
		}
		return true
	})
	c := proto.CloneOf(full)
	c.ProtoReflect().SetUnknown(nil)
	if leaf, err := event.Leaf(c); err != nil || bytes.Equal(leaf, whole) {
		t.Error("a field of a newer producer is not covered")
	}
}

func BenchmarkLeaf(b *testing.B) {
	r := &eventv1.Record{
		Id: "01J", Statement: "SELECT 1", Principal: &eventv1.Principal{Repository: "acme/shop", Claims: map[string]string{"a": "b"}}, Target: "prod-db",
		Commitments: map[string][]byte{"statement": make([]byte, 32)}, Objects: []*eventv1.Object{{Schema: "public", Name: "customers"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Leaf(r); err != nil {
			b.Fatal(err)
		}
	}
}
