package event

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// uncovered are the fields that a leaf leaves out: the committed texts, and the
// salt that their commitments are made with.
var uncovered = fieldNumbers("statement", "reason", "message", "parameters", "details", "salt")

// recordsField is the number of Batch.records.
var recordsField = (&eventv1.Batch{}).ProtoReflect().Descriptor().Fields().ByName("records").Number()

func fieldNumbers(names ...string) (set [64]bool) {
	fields := (&eventv1.Record{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		for _, name := range names {
			if string(fields.Get(i).Name()) == name {
				set[fields.Get(i).Number()] = true
			}
		}
	}
	return set
}

// Leaf returns the record's hash: SHA-256 over its deterministic bytes without
// the committed texts and the salt.
//
// A field that a newer producer knows and an older reader does not is hashed by
// the reader where unknown bytes go: behind all known fields. So a new field
// takes a number above all others of its message, or every batch that has it
// would look changed to an older archival.
func Leaf(r *eventv1.Record) ([]byte, error) {
	raw, err := (&encoder{}).record(nil, r)
	if err != nil {
		return nil, err
	}
	return leafOf(raw)
}

// leafOf is Leaf of deterministic bytes.
func leafOf(raw []byte) ([]byte, error) {
	h := sha256.New()
	from := 0 // of the covered bytes that are not hashed yet
	for at := 0; at < len(raw); {
		number, typ, n := protowire.ConsumeField(raw[at:])
		if n < 0 {
			return nil, fmt.Errorf("event: leaf: %w", protowire.ParseError(n))
		}
		if typ == protowire.BytesType && int(number) < len(uncovered) && uncovered[number] {
			h.Write(raw[from:at])
			from = at + n
		}
		at += n
	}
	h.Write(raw[from:])
	return h.Sum(nil), nil
}

// Leaves returns the leaves of a batch's records, in their order.
func Leaves(b *eventv1.Batch) ([][]byte, error) {
	leaves := make([][]byte, len(b.Records))
	var raw []byte
	var e encoder
	for i, r := range b.Records {
		var err error
		if raw, err = e.record(raw[:0], r); err != nil {
			return nil, err
		}
		if leaves[i], err = leafOf(raw); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// WireLeaves is Leaves for a reader that has the batch's bytes, too: where their
// hash is the batch's, they are the deterministic ones and nothing has to be
// marshalled again. Otherwise it is the records that count.
func WireLeaves(b *eventv1.Batch, raw []byte) ([][]byte, error) {
	leaves := make([][]byte, 0, len(b.Records))
	for at := 0; at < len(raw); {
		number, typ, n := protowire.ConsumeField(raw[at:])
		if n < 0 {
			return nil, fmt.Errorf("event: leaves: %w", protowire.ParseError(n))
		}
		if number == recordsField && typ == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(raw[at:])
			record, _ := protowire.ConsumeBytes(raw[at+tag:])
			leaf, err := leafOf(record)
			if err != nil {
				return nil, err
			}
			leaves = append(leaves, leaf)
		}
		at += n
	}
	if len(leaves) == len(b.Records) && bytes.Equal(hash(b, leaves), b.Hash) {
		return leaves, nil
	}
	return Leaves(b)
}
