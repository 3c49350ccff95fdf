package command

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"slices"
)

// Digest returns the keyed digest (HMAC-SHA256, 32 bytes) of the exact
// command: text, parameters with types and formats, and session state. The key
// is random per approval, so that nothing can be guessed back from a digest.
// Every field is length-prefixed: no two commands share an encoding.
func Digest(key []byte, text string, params []Parameter, state State) []byte {
	h := hmac.New(sha256.New, key)
	field(h, []byte("gatestay/command/v1"))
	field(h, []byte(text))
	count(h, len(params))
	for _, p := range params {
		kind(h, p)
		if p.Value == nil {
			h.Write([]byte{0})
			continue
		}
		h.Write([]byte{1})
		field(h, p.Value)
	}
	state.hash(h)
	h.Write([]byte{state.InTransaction})
	return h.Sum(nil)
}

// Shape returns the keyed digest (HMAC-SHA256, 32 bytes) of a command's shape:
// what stays of it when the values in it are others. It covers the text without
// its constants, the parameters' types, what it touches and calls, and the
// session state, but not whether a transaction is open. It is nil where values
// may hold more than values: for what is no plain read or write, or not wholly
// known.
func Shape(key []byte, f *Facts, params []Parameter, state State) []byte {
	if f.Class != Read && f.Class != Write || f.Fingerprint == "" || len(f.Unknown) > 0 {
		return nil
	}
	h := hmac.New(sha256.New, key)
	field(h, []byte("gatestay/shape/v1"))
	field(h, []byte(f.Fingerprint))
	field(h, []byte(f.Verb))
	count(h, len(params))
	for _, p := range params {
		kind(h, p)
	}
	count(h, len(f.Objects))
	for _, o := range f.Objects {
		field(h, []byte(o.Schema))
		field(h, []byte(o.Name))
		field(h, []byte(o.Access))
		field(h, []byte(o.Kind))
	}
	count(h, len(f.Functions))
	for _, name := range f.Functions {
		field(h, []byte(name))
	}
	state.hash(h)
	return h.Sum(nil)
}

// Step returns the keyed digest (HMAC-SHA256, 32 bytes) of a statement without
// parameters, wherever and whenever it runs: its canonical form, its target and
// its database.
func Step(key, canonical []byte, target, database string) []byte {
	h := hmac.New(sha256.New, key)
	field(h, []byte("gatestay/step/v1"))
	field(h, canonical)
	field(h, []byte(target))
	field(h, []byte(database))
	return h.Sum(nil)
}

// Digest returns the keyed digest (HMAC-SHA256, 32 bytes) of a session state, but
// for the transaction. Of extra_float_digits all positive values are one: they
// do the same, and drivers set one or another.
func (state State) Digest(key []byte) []byte {
	h := hmac.New(sha256.New, key)
	field(h, []byte("gatestay/state/v1"))
	if digits := state.Settings["extra_float_digits"]; digits == "2" || digits == "3" {
		state.Settings = maps.Clone(state.Settings)
		state.Settings["extra_float_digits"] = "1"
	}
	state.hash(h)
	return h.Sum(nil)
}

func kind(h hash.Hash, p Parameter) {
	var b [6]byte
	binary.BigEndian.PutUint32(b[:4], p.Type)
	binary.BigEndian.PutUint16(b[4:], uint16(p.Format)) //nolint:gosec // bit pattern only
	h.Write(b[:])
}

// hash covers the state but for the transaction.
func (state State) hash(h hash.Hash) {
	field(h, []byte(state.User))
	field(h, []byte(state.LoginUser))
	field(h, []byte(state.Database))
	count(h, len(state.SearchPath))
	for _, s := range state.SearchPath {
		field(h, []byte(s))
	}
	names := make([]string, 0, len(state.Settings))
	for n := range state.Settings {
		names = append(names, n)
	}
	slices.Sort(names)
	count(h, len(names))
	for _, n := range names {
		field(h, []byte(n))
		field(h, []byte(state.Settings[n]))
	}
}

func field(h hash.Hash, b []byte) {
	count(h, len(b))
	h.Write(b)
}

func count(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // lengths are not negative
	h.Write(b[:])
}
