package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Look identifies what there is to be seen of the approval: of two states with the
// same look nobody need be told.
func (s *State) Look() string {
	c := struct {
		Status    Status
		Why, Void string
		Votes     []Vote
		Grant     *Grant
		Latest    *Run
		Glass     *Glass
		Escalated *Escalation
		Questions []Question
	}{s.Status, s.Why, s.Void, s.Votes, s.Grant, s.Latest, s.Glass, s.Escalated, s.Questions}
	if c.Grant != nil {
		g := *c.Grant
		g.Told, c.Grant = false, &g
	}
	if c.Glass != nil {
		g := *c.Glass
		g.Told, c.Glass = false, &g
	}
	raw, err := json.Marshal(c)
	if err != nil { // texts, numbers and times only
		panic("machine: look: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:12])
}

// Hook is how far a webhook was told of the approval.
type Hook struct {
	// Look is what it was last told of; empty before the first time.
	Look string `json:"look,omitempty"`
	// Since is when it was first tried to tell what it does not know yet.
	Since time.Time `json:"since,omitzero"`
	// Claim and Until say which process is telling it, and until when others keep off.
	Claim string    `json:"claim,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Trouble is why it was not told, empty when all is well.
	Trouble string `json:"trouble,omitempty"`
}

// untold reports that a webhook does not know the present state.
func (s *State) untold() bool {
	if len(s.Hooks) == 0 {
		return false
	}
	look := s.Look()
	for _, h := range s.Hooks {
		if h.Look != look {
			return true
		}
	}
	return false
}
