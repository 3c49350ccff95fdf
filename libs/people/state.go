// Package people says which people map is in force, and how it came to be. Who is
// who decides who may approve, so a change of the map takes a second person: the
// policy service keeps the map in force, signed by itself, and publishes another
// one only with a decision on exactly that change, made by the map that it
// replaces. The approval service checks by this package what it is asked, and
// 'gatestay policy people confirm' makes a state where nobody is left to ask.
package people

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// How a map came to be in force.
const (
	First    = "first"    // the first of an empty installation
	Approved = "approval" // a second person approved it
	Same     = "same"     // it says the same as the one before it
	File     = "file"     // policy.people_changes is file: whoever may write it
	Machine  = "machine"  // confirmed with the service's own key, by one person
)

// State is a people map in force. It is signed by a policy service.
type State struct {
	Sequence uint64    `json:"sequence"` // grows; the highest counts
	Map      []byte    `json:"map"`      // people.yaml; empty where there is none
	How      string    `json:"how"`
	By       []string  `json:"by,omitempty"` // persons who approved, or who confirmed
	Approval string    `json:"approval,omitempty"`
	At       time.Time `json:"at"`
	// Request and Decision are the exact bytes of what was asked and signed.
	Request  []byte `json:"request,omitempty"`
	Decision []byte `json:"decision,omitempty"`
}

// Next returns the state after s, which may be nil. Sequences follow the clock, so
// that one made on another machine is higher, too.
func (s *State) Next(to []byte, how string, now time.Time) *State {
	n := &State{Sequence: uint64(max(now.UnixMilli(), 1)), Map: to, How: how, At: now.UTC()}
	if s != nil {
		n.Sequence = max(n.Sequence, s.Sequence+1)
	}
	return n
}

// Sign returns the state as it is kept.
func (s *State) Sign(key *seal.Key) ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	raw, err := proto.Marshal(key.Sign(seal.ContextPeople, payload))
	if err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	return raw, nil
}

// Open reads a state that a trusted key has signed.
func Open(trust seal.Trust, raw []byte) (*State, error) {
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(raw, signed); err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	payload, err := trust.Open(seal.ContextPeople, signed)
	if err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	s := &State{}
	if err := json.Unmarshal(payload, s); err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	return s, nil
}

// Path is where a policy service with a key keeps its state, beside it.
func Path(key string) string { return key + ".people" }

// Read reads a state's file; nil where there is none.
func Read(path string, trust seal.Trust) (*State, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // beside the service's own key
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // none is no error
	}
	if err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	return Open(trust, raw)
}

// Write replaces a state's file: a reader sees the old one or the new one.
func Write(path string, raw []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("people: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone after the rename
	_, err = tmp.Write(raw)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("people: %w", err)
	}
	return nil
}
