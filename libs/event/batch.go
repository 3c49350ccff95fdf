// Package event makes and checks the records that travel over the bus: the
// commitments of their fields, the hash chain of their batches, and the
// producer that packs whatever waits into one batch.
package event

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// ErrChain is returned by Verify for a batch whose hash, signature or
// commitments do not hold.
var ErrChain = errors.New("event: batch does not verify")

// redactable names the text fields that a later redaction may blank. The
// batch's hash covers their salted commitments instead of their text.
var redactable = map[string]func(*eventv1.Record) *string{
	"statement": func(r *eventv1.Record) *string { return &r.Statement },
	"reason":    func(r *eventv1.Record) *string { return &r.Reason },
	"message":   func(r *eventv1.Record) *string { return &r.Message },
}

// Redactable returns the names of the fields under a commitment each. The
// parameters are committed one by one as "parameters.N", the details as
// "details.KEY".
func Redactable() []string {
	return []string{"details", "message", "parameters", "reason", "statement"}
}

// Commit sets the record's salt and commitments from its present text.
func Commit(r *eventv1.Record) error {
	r.Salt = make([]byte, 32)
	if _, err := rand.Read(r.Salt); err != nil {
		return fmt.Errorf("event: salt: %w", err)
	}
	r.Commitments = map[string][]byte{}
	for name, text := range texts(r) {
		if text != "" {
			r.Commitments[name] = commitment(r.Salt, name, text)
		}
	}
	return nil
}

func texts(r *eventv1.Record) map[string]string {
	m := make(map[string]string, len(redactable)+len(r.Parameters)+len(r.Details))
	for name, get := range redactable {
		m[name] = *get(r)
	}
	for i, p := range r.Parameters {
		m[fmt.Sprintf("parameters.%d", i)] = p
	}
	for key, detail := range r.Details {
		m["details."+key] = detail
	}
	return m
}

func commitment(salt []byte, name, text string) []byte {
	fieldSalt := hmac.New(sha256.New, salt)
	fieldSalt.Write([]byte(name))
	h := hmac.New(sha256.New, fieldSalt.Sum(nil))
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Redact replaces a committed field's text. The commitment stays, so that the
// batch still verifies. It reports whether the field exists.
func Redact(r *eventv1.Record, name, text string) bool {
	if get, ok := redactable[name]; ok {
		*get(r) = text
		return true
	}
	if key, ok := strings.CutPrefix(name, "details."); ok {
		if _, exists := r.Details[key]; !exists {
			return false
		}
		r.Details[key] = text
		return true
	}
	var i int
	if _, err := fmt.Sscanf(name, "parameters.%d", &i); err == nil && i >= 0 && i < len(r.Parameters) {
		r.Parameters[i] = text
		return true
	}
	return false
}

// Redacted returns the names of the committed fields whose text no longer
// matches its commitment, or is gone.
func Redacted(r *eventv1.Record) []string {
	var names []string
	present := texts(r)
	for name := range r.Commitments {
		if _, ok := present[name]; !ok {
			names = append(names, name)
		}
	}
	for name, text := range present {
		want, ok := r.Commitments[name]
		if !ok && text == "" {
			continue
		}
		if !ok || !hmac.Equal(want, commitment(r.Salt, name, text)) {
			names = append(names, name)
		}
	}
	return names
}

// uncovered are the fields that a leaf leaves out: the committed texts, and the
// salt that their commitments are made with.
var uncovered = map[protoreflect.Name]bool{
	"statement": true, "reason": true, "message": true, "parameters": true, "details": true, "salt": true,
}

// Leaf returns the record's hash: SHA-256 over its deterministic bytes without
// the committed texts and the salt.
//
// A field that a newer producer knows and an older reader does not is hashed by
// the reader where unknown bytes go: behind all known fields. So a new field
// takes a number above all others of its message, or every batch that has it
// would look changed to an older archival.
func Leaf(r *eventv1.Record) ([]byte, error) {
	from, covered := r.ProtoReflect(), (&eventv1.Record{}).ProtoReflect()
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !uncovered[f.Name()] {
			covered.Set(f, v) // shares what v refers to: nothing is copied
		}
		return true
	})
	covered.SetUnknown(from.GetUnknown())
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(covered.Interface())
	if err != nil {
		return nil, fmt.Errorf("event: leaf: %w", err)
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// Leaves returns the leaves of a batch's records, in their order.
func Leaves(b *eventv1.Batch) ([][]byte, error) {
	leaves := make([][]byte, len(b.Records))
	for i, r := range b.Records {
		var err error
		if leaves[i], err = Leaf(r); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// Seal completes a batch: commitments of its records, hash and signature.
// Producer, incarnation, number, previous hash and records must be set.
func Seal(b *eventv1.Batch, key *seal.Key) error {
	for _, r := range b.Records {
		r.Producer = b.Producer
		if len(r.Salt) == 0 {
			if err := Commit(r); err != nil {
				return err
			}
		}
	}
	if b.SealedAt == nil {
		b.SealedAt = timestamppb.Now()
	}
	h, err := Hash(b)
	if err != nil {
		return err
	}
	signed := key.Sign(seal.ContextBatch, h)
	b.Hash, b.KeyId, b.Signature = h, signed.KeyId, signed.Signature
	return nil
}

// Hash returns the SHA-256 over the batch's head and the leaves of its records.
func Hash(b *eventv1.Batch) ([]byte, error) {
	leaves, err := Leaves(b)
	if err != nil {
		return nil, err
	}
	return hash(b, leaves), nil
}

func hash(b *eventv1.Batch, leaves [][]byte) []byte {
	h := sha256.New()
	write := func(p []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	write([]byte(b.Producer))
	write([]byte(b.Incarnation))
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], b.Number)
	write(n[:])
	write(b.PreviousHash)
	binary.BigEndian.PutUint64(n[:], uint64(b.SealedAt.AsTime().UnixNano()))
	write(n[:])
	for _, leaf := range leaves {
		write(leaf)
	}
	return h.Sum(nil)
}

// Verify checks hash and signature against the trusted producer keys.
func Verify(b *eventv1.Batch, trust seal.Trust) error {
	leaves, err := Leaves(b)
	if err != nil {
		return err
	}
	return VerifyLeaves(b, leaves, trust)
}

// VerifyLeaves is Verify for a caller that has the batch's Leaves at hand.
func VerifyLeaves(b *eventv1.Batch, leaves [][]byte, trust seal.Trust) error {
	if !hmac.Equal(hash(b, leaves), b.Hash) {
		return fmt.Errorf("%w: hash of %s", ErrChain, ID(b))
	}
	if _, err := trust.Open(seal.ContextBatch, &eventv1.Signed{Payload: b.Hash, KeyId: b.KeyId, Signature: b.Signature}); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrChain, ID(b), err)
	}
	return nil
}

// ID returns producer/incarnation/number: the batch's identity everywhere.
func ID(b *eventv1.Batch) string {
	return fmt.Sprintf("%s/%s/%d", b.Producer, b.Incarnation, b.Number)
}
