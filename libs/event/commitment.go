// Package event makes and checks the records that travel over the bus: the
// commitments of their fields, the hash chain of their batches, and the
// producer that packs whatever waits into one batch.
package event

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

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

const saltSize = 32

// Commit sets the record's salt and commitments from its present text.
func Commit(r *eventv1.Record) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	commit(r, salt)
}

func commit(r *eventv1.Record, salt []byte) {
	r.Salt = salt
	count := 0
	texts(r, func(_, text string) {
		if text != "" {
			count++
		}
	})
	if count == 0 {
		return
	}
	r.Commitments = make(map[string][]byte, count)
	room := make([]byte, 0, count*sha256.Size)
	texts(r, func(name, text string) {
		if text != "" {
			sum := commitment(salt, name, text)
			room = append(room, sum[:]...)
			r.Commitments[name] = room[len(room)-sha256.Size : len(room) : len(room)]
		}
	})
}

// texts calls yield for each text that is under a commitment, also for those
// of the redactable fields that are empty.
func texts(r *eventv1.Record, yield func(name, text string)) {
	yield("statement", r.Statement)
	yield("reason", r.Reason)
	yield("message", r.Message)
	for i, p := range r.Parameters {
		yield("parameters."+strconv.Itoa(i), p)
	}
	for key, detail := range r.Details {
		yield("details."+key, detail)
	}
}

func commitment(salt []byte, name, text string) [sha256.Size]byte {
	field := mac(salt, name)
	return mac(field[:], text)
}

// mac is HMAC-SHA256 (RFC 2104). crypto/hmac would allocate four hashes for each
// field of each record.
func mac(key []byte, text string) [sha256.Size]byte {
	if len(key) > sha256.BlockSize {
		short := sha256.Sum256(key)
		key = short[:]
	}
	var inner [256]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	copy(inner[:sha256.BlockSize], key)
	copy(outer[:], inner[:sha256.BlockSize])
	subtle.XORBytes(inner[:sha256.BlockSize], inner[:sha256.BlockSize], innerPad)
	subtle.XORBytes(outer[:sha256.BlockSize], outer[:sha256.BlockSize], outerPad)
	sum := sha256.Sum256(append(inner[:sha256.BlockSize], text...))
	copy(outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(outer[:])
}

var innerPad, outerPad = bytes.Repeat([]byte{0x36}, sha256.BlockSize), bytes.Repeat([]byte{0x5c}, sha256.BlockSize)

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
	found := 0
	texts(r, func(name, text string) {
		want, ok := r.Commitments[name]
		if ok {
			found++
		}
		if !ok && text == "" {
			return
		}
		if sum := commitment(r.Salt, name, text); !ok || !hmac.Equal(want, sum[:]) {
			names = append(names, name)
		}
	})
	if found == len(r.Commitments) {
		return names
	}
	present := map[string]bool{}
	texts(r, func(name, _ string) { present[name] = true })
	for name := range r.Commitments {
		if !present[name] {
			names = append(names, name)
		}
	}
	return names
}
