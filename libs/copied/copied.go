// Package copied knows where masked columns were copied to, from what gateways
// say when they let one be copied, and what administrators say when they lift
// the mask of a copy.
//
// Each copy, and each lifting, is a message that is written once. A copy that was
// lifted and is made again is the next of its generation; a lifting is of one
// generation, so that it never lifts what was copied after it.
package copied

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Mask is a column that has what derives from a masked one.
type Mask struct {
	Target   string `json:"target"`
	Database string `json:"database"`
	// To is the column; a Name of * is all of its relation.
	To command.Column `json:"to"`
	// From is the column that a masking rule names; Plain says that To has its
	// values unchanged.
	From  command.Column `json:"from"`
	Plain bool           `json:"plain"`
	// By is the command that made the copy.
	By string `json:"by"`
}

// Key is the same for the same copy, whoever makes it: 64 hex digits.
func (m Mask) Key() (string, error) {
	m.By = ""
	raw, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("copied: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// Lift is an administrator's decision that one copy is masked no more.
type Lift struct {
	Mask       Mask      `json:"mask"`
	Generation uint64    `json:"generation"`
	Person     string    `json:"person"`
	Account    string    `json:"account"`
	Reason     string    `json:"reason"`
	At         time.Time `json:"at"`
}

// Sign returns a lifting as a message, signed.
func (l Lift) Sign(key *seal.Key) ([]byte, error) {
	payload, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("copied: %w", err)
	}
	raw, err := proto.Marshal(key.Sign(seal.ContextLift, payload))
	if err != nil {
		return nil, fmt.Errorf("copied: %w", err)
	}
	return raw, nil
}

// ErrForged is a lifting that nobody trusted has signed, or that is not of the
// copy under whose name it came.
var ErrForged = errors.New("copied: a lifting that nobody trusted has signed for this copy")

// OpenLift returns a lifting that trust has signed.
func OpenLift(raw []byte, trust seal.Trust) (Lift, error) {
	signed, l := &eventv1.Signed{}, Lift{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return l, ErrForged
	}
	payload, err := trust.Open(seal.ContextLift, signed)
	if err != nil {
		return l, ErrForged
	}
	if err := json.Unmarshal(payload, &l); err != nil {
		return l, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return l, nil
}

// Ledger is what the messages so far say. The zero value has none. Not safe for
// concurrent use.
type Ledger struct {
	trust  seal.Trust
	copies map[string]*state // by key
	order  []string          // keys, as they first came
}

// state is what is known of one copy: the latest generation, and the latest that
// was lifted; both count from 1, 0 is none.
type state struct {
	mask         Mask
	made, lifted uint64
}

// NewLedger returns a ledger that takes liftings which trust has signed.
func NewLedger(trust seal.Trust) *Ledger { return &Ledger{trust: trust} }

// Copy takes a copy of a generation, from 0, under the key of its subject.
// changed reports that it is masked now and was not before.
func (l *Ledger) Copy(key string, generation uint64, raw []byte) (m Mask, changed bool, err error) {
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, false, fmt.Errorf("copied: %w", err)
	}
	own, err := m.Key()
	if err != nil || own != key {
		return m, false, fmt.Errorf("copied: a copy under another's name: %w", err)
	}
	return m, l.Made(m, generation), nil
}

// Made notes a copy.
func (l *Ledger) Made(m Mask, generation uint64) (changed bool) {
	key, err := m.Key()
	if err != nil {
		return false
	}
	if l.copies == nil {
		l.copies = map[string]*state{}
	}
	s := l.copies[key]
	if s == nil {
		s = &state{mask: m}
		l.copies[key], l.order = s, append(l.order, key)
	}
	before := s.made > s.lifted
	s.made = max(s.made, generation+1)
	return !before && s.made > s.lifted
}

// Lifted takes a lifting under the key and the generation of its subject. changed
// reports that the copy is masked no more.
func (l *Ledger) Lifted(key string, generation uint64, raw []byte) (m Mask, changed bool, err error) {
	lift, err := OpenLift(raw, l.trust)
	if err != nil {
		return m, false, err
	}
	own, err := lift.Mask.Key()
	if err != nil || own != key || lift.Generation != generation {
		return m, false, ErrForged
	}
	s := l.copies[key]
	if s == nil || generation >= s.made { // it lifts what is not there yet
		return m, false, ErrForged
	}
	before := s.made > s.lifted
	s.lifted = max(s.lifted, generation+1)
	return s.mask, before && s.made <= s.lifted, nil
}

// Of says whether a copy is masked, and of which generation it is; next is the
// one that it would be if it were made anew.
func (l *Ledger) Of(m Mask) (masked bool, generation, next uint64) {
	key, err := m.Key()
	if err != nil {
		return false, 0, 0
	}
	s := l.copies[key]
	if s == nil {
		return false, 0, 0
	}
	return s.made > s.lifted, s.made - 1, s.made
}

// Active returns the copies that are masked, in the order in which they were made.
func (l *Ledger) Active() []Mask {
	var out []Mask
	for _, key := range l.order {
		if s := l.copies[key]; s.made > s.lifted {
			out = append(out, s.mask)
		}
	}
	return out
}
