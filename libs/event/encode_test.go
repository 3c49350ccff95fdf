package event

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// TestEncoderIsProtobufs holds the encoder to the library, whatever is in a
// record: a leaf that two versions hash differently would look like tampering.
func TestEncoderIsProtobufs(t *testing.T) {
	e := encoder{principals: map[*eventv1.Principal][]byte{}}
	rapid.Check(t, func(t *rapid.T) {
		r := &eventv1.Record{}
		fill(t, r.ProtoReflect(), 0)
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time with a principal that is known
			got, err := e.record([]byte("before"), r)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Fatalf("\n got %x\nwant %x\nof %v", got[6:], want, r)
			}
		}
	})
}

// fill sets some of a message's fields to anything.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("x", 200)))
	value := func(f protoreflect.FieldDescriptor, fresh func() protoreflect.Value) protoreflect.Value {
		switch f.Kind() {
		case protoreflect.StringKind:
			return protoreflect.ValueOfString(text.Draw(t, "text"))
		case protoreflect.BytesKind:
			return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		case protoreflect.Int64Kind:
			return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
		case protoreflect.Int32Kind:
			return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
		case protoreflect.Uint64Kind:
			return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
		case protoreflect.Uint32Kind:
			return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
		case protoreflect.BoolKind:
			return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
		case protoreflect.EnumKind:
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32().Draw(t, "enum")))
		case protoreflect.MessageKind:
			v := fresh()
			fill(t, v.Message(), depth+1)
			return v
		default:
			t.Fatalf("a field of a kind that this test does not know: %s", f.FullName())
			return protoreflect.Value{}
		}
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if !rapid.Bool().Draw(t, "set") {
			continue
		}
		switch {
		case f.IsMap():
			of := m.Mutable(f).Map()
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				of.Set(protoreflect.ValueOfString(text.Draw(t, "key")).MapKey(), value(f.MapValue(), of.NewValue))
			}
		case f.IsList():
			of := m.Mutable(f).List()
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				of.Append(value(f, of.NewElement))
			}
		default:
			m.Set(f, value(f, func() protoreflect.Value { return m.NewField(f) }))
		}
	}
	if rapid.Bool().Draw(t, "newer") {
		m.SetUnknown([]byte{0xfa, 0x3f, 0x01, 'x'}) // field 1023
	}
}

func TestEncoderRefusesWhatIsNotUTF8(t *testing.T) {
	for _, r := range []*eventv1.Record{
		{Statement: "\xff"},
		{Parameters: []string{"\xff"}},
		{Details: map[string]string{"k": "\xff"}},
		{Details: map[string]string{"\xff": "v"}},
		{Objects: []*eventv1.Object{{Name: "\xff"}}},
		{Principal: &eventv1.Principal{Subject: "\xff"}},
	} {
		if _, err := (&encoder{}).record(nil, r); err == nil {
			t.Errorf("taken: %v", r)
		}
	}
}

func TestMACIsHMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 2*sha256.BlockSize).Draw(t, "key")
		text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("long ", 1000))).Draw(t, "text")
		want := hmac.New(sha256.New, key)
		want.Write([]byte(text))
		if got := mac(key, text); !bytes.Equal(got[:], want.Sum(nil)) {
			t.Fatalf("%x for key %x and %q", got, key, text)
		}
	})
}

func TestWeightIsNotLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &eventv1.Record{}
		fill(t, r.ProtoReflect(), 0)
		r.Salt, r.Commitments = nil, nil
		r.ProtoReflect().SetUnknown(nil)
		Commit(r)
		raw, err := (&encoder{}).record(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if got := weight(r); got < len(raw) {
			t.Fatalf("%d for %d bytes", got, len(raw))
		}
	})
}
