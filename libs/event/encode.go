package event

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// encoder makes the deterministic bytes of records: those of
// proto.MarshalOptions{Deterministic: true}, which a test holds it to for every
// field. Every command leaves two records and reflection took a fifth of the
// gateway's time. An encoder that keeps principals takes a session's from the
// record before; whoever owns it must not change them.
type encoder struct {
	principals map[*eventv1.Principal][]byte // nil: none is kept
	keys       []string                      // of a map, as scratch
	batch, one []byte                        // of seal, as scratch
}

const (
	maxPrincipals = 1024
	maxKept       = 256 << 10 // bytes of scratch
)

var errInvalidText = errors.New("event: a text is not valid UTF-8")

// record appends the record, its fields in the order of their numbers.
func (e *encoder) record(dst []byte, r *eventv1.Record) ([]byte, error) {
	f := fields{dst: dst}
	f.text(1, r.Id)
	f.time(2, r.Time)
	f.number(3, uint64(r.Kind)) //nolint:gosec // an enum as protobuf writes it
	f.text(4, r.Producer)
	f.text(5, r.SessionId)
	f.number(6, r.SessionSequence)
	f.text(7, r.CommandId)
	f.text(8, r.TraceId)
	if err := e.principal(&f, r.Principal); err != nil {
		return nil, err
	}
	f.text(10, r.Target)
	f.text(11, r.Database)
	f.text(12, r.Environment)
	f.text(13, r.Protocol)
	f.text(20, r.Verb)
	f.text(21, r.Class)
	for _, o := range r.Objects {
		f.object(22, o)
	}
	f.text(23, r.Fingerprint)
	f.text(24, r.Statement)
	f.texts(25, r.Parameters)
	f.text(26, r.Reason)
	f.text(30, r.Effect)
	f.text(31, r.Rule)
	f.text(32, r.RuleHash)
	f.number(33, r.PolicyVersion)
	f.number(34, r.MaskingVersion)
	f.text(35, r.ApprovalId)
	f.texts(36, r.Approvers)
	f.number(37, uint64(r.WaitNs)) //nolint:gosec // an int64 as protobuf writes it
	f.text(40, r.Status)
	f.text(41, r.Code)
	f.text(42, r.Message)
	f.number(43, uint64(r.Rows))        //nolint:gosec // as above
	f.number(44, uint64(r.Bytes))       //nolint:gosec // as above
	f.number(45, uint64(r.MaskedCells)) //nolint:gosec // as above
	f.number(46, uint64(r.DurationNs))  //nolint:gosec // as above
	f.text(50, r.Action)
	f.text(51, r.Actor)
	f.text(52, r.Outcome)
	for _, key := range sortedKeys(e, r.Details) {
		value := r.Details[key]
		f.entry(53, key, len(value))
		f.utf8(value)
		f.dst = append(f.dst, value...)
	}
	for _, key := range sortedKeys(e, r.Commitments) {
		f.entry(60, key, len(r.Commitments[key]))
		f.dst = append(f.dst, r.Commitments[key]...)
	}
	if len(r.Salt) > 0 {
		f.dst = protowire.AppendBytes(protowire.AppendTag(f.dst, 61, protowire.BytesType), r.Salt)
	}
	f.dst = append(f.dst, r.ProtoReflect().GetUnknown()...)
	if f.invalid {
		return nil, errInvalidText
	}
	return f.dst, nil
}

func (e *encoder) principal(f *fields, p *eventv1.Principal) error {
	if p == nil {
		return nil
	}
	raw, ok := e.principals[p]
	if !ok {
		var err error
		if raw, err = (proto.MarshalOptions{Deterministic: true}).Marshal(p); err != nil {
			return fmt.Errorf("event: marshal principal: %w", err)
		}
		if e.principals != nil {
			if len(e.principals) >= maxPrincipals {
				clear(e.principals)
			}
			e.principals[p] = raw
		}
	}
	f.dst = protowire.AppendBytes(protowire.AppendTag(f.dst, 9, protowire.BytesType), raw)
	return nil
}

func sortedKeys[V any](e *encoder, m map[string]V) []string {
	e.keys = e.keys[:0]
	for key := range m {
		e.keys = append(e.keys, key)
	}
	slices.Sort(e.keys)
	return e.keys
}

// fields appends fields of a message; a scalar that is zero, or empty, is left out.
type fields struct {
	dst     []byte
	invalid bool // a text was not UTF-8
}

func (f *fields) utf8(s string) { f.invalid = f.invalid || !utf8.ValidString(s) }

func (f *fields) number(n protowire.Number, v uint64) {
	if v != 0 {
		f.dst = protowire.AppendVarint(protowire.AppendTag(f.dst, n, protowire.VarintType), v)
	}
}

func (f *fields) text(n protowire.Number, s string) {
	if s != "" {
		f.utf8(s)
		f.dst = protowire.AppendString(protowire.AppendTag(f.dst, n, protowire.BytesType), s)
	}
}

func (f *fields) texts(n protowire.Number, list []string) {
	for _, s := range list {
		f.utf8(s)
		f.dst = protowire.AppendString(protowire.AppendTag(f.dst, n, protowire.BytesType), s)
	}
}

// message appends a message that is shorter than 128 bytes in most cases.
func (f *fields) message(n protowire.Number, body func(*fields)) {
	f.dst = append(protowire.AppendTag(f.dst, n, protowire.BytesType), 0)
	at := len(f.dst)
	body(f)
	size := len(f.dst) - at
	if size < 1<<7 {
		f.dst[at-1] = byte(size) //nolint:gosec // below 128
		return
	}
	more := protowire.SizeVarint(uint64(size)) - 1
	f.dst = append(f.dst, make([]byte, more)...)
	copy(f.dst[at+more:], f.dst[at:at+size])
	protowire.AppendVarint(f.dst[:at-1], uint64(size))
}

func (f *fields) time(n protowire.Number, t *timestamppb.Timestamp) {
	if t == nil {
		return
	}
	f.message(n, func(f *fields) {
		f.number(1, uint64(t.Seconds)) //nolint:gosec // an int64 as protobuf writes it
		f.number(2, uint64(t.Nanos))   //nolint:gosec // as above
		f.dst = append(f.dst, t.ProtoReflect().GetUnknown()...)
	})
}

func (f *fields) object(n protowire.Number, o *eventv1.Object) {
	f.message(n, func(f *fields) {
		f.text(1, o.GetSchema())
		f.text(2, o.GetName())
		f.text(3, o.GetAccess())
		f.dst = append(f.dst, o.ProtoReflect().GetUnknown()...)
	})
}

// entry appends an entry of a map up to its value, which has size bytes.
func (f *fields) entry(n protowire.Number, key string, size int) {
	f.utf8(key)
	f.dst = protowire.AppendTag(f.dst, n, protowire.BytesType)
	f.dst = protowire.AppendVarint(f.dst, uint64(2+protowire.SizeBytes(len(key))+protowire.SizeBytes(size))) //nolint:gosec // positive
	f.dst = protowire.AppendString(protowire.AppendTag(f.dst, 1, protowire.BytesType), key)
	f.dst = protowire.AppendVarint(protowire.AppendTag(f.dst, 2, protowire.BytesType), uint64(size)) //nolint:gosec // positive
}
