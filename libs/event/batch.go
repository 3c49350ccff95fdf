package event

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// ErrChain is returned by Verify for a batch whose hash, signature or
// commitments do not hold.
var ErrChain = errors.New("event: batch does not verify")

// Seal completes a batch: commitments of its records, hash and signature.
// Producer, incarnation, number, previous hash and records must be set.
func Seal(b *eventv1.Batch, key *seal.Key) error {
	_, err := SealWire(b, key)
	return err
}

// SealWire is Seal that also returns the batch's bytes on the wire: each record
// is marshalled once, for its leaf and for the bus.
func SealWire(b *eventv1.Batch, key *seal.Key) ([]byte, error) {
	return (&encoder{}).seal(b, key)
}

// seal is SealWire; the bytes are valid until the next call.
func (e *encoder) seal(b *eventv1.Batch, key *seal.Key) ([]byte, error) {
	raw, record := e.batch[:0], e.one
	leaves := make([][]byte, len(b.Records))
	salts := make([]byte, saltSize*len(b.Records))
	_, _ = rand.Read(salts) // never fails
	for i, r := range b.Records {
		r.Producer = b.Producer
		if len(r.Salt) == 0 {
			commit(r, salts[i*saltSize:(i+1)*saltSize:(i+1)*saltSize])
		}
		var err error
		if record, err = e.record(record[:0], r); err != nil {
			return nil, err
		}
		if leaves[i], err = leafOf(record); err != nil {
			return nil, err
		}
		raw = protowire.AppendTag(raw, recordsField, protowire.BytesType)
		raw = protowire.AppendBytes(raw, record)
	}
	if b.SealedAt == nil {
		b.SealedAt = timestamppb.Now()
	}
	h := hash(b, leaves)
	signed := key.Sign(seal.ContextBatch, h)
	b.Hash, b.KeyId, b.Signature = h, signed.KeyId, signed.Signature
	raw, err := proto.MarshalOptions{}.MarshalAppend(raw, &eventv1.Batch{
		Producer: b.Producer, Incarnation: b.Incarnation, Number: b.Number, PreviousHash: b.PreviousHash, SealedAt: b.SealedAt,
		Hash: b.Hash, KeyId: b.KeyId, Signature: b.Signature, PlaceholderReason: b.PlaceholderReason,
	})
	if err != nil {
		return nil, fmt.Errorf("event: marshal batch: %w", err)
	}
	if e.batch, e.one = raw, record; cap(raw) > maxKept {
		e.batch, e.one = nil, nil
	}
	return raw, nil
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

// VerifyLeaves is Verify for a caller that has the batch's leaves at hand.
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
