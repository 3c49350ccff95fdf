package machine

import "time"

// The kinds of notes: one reminds people of an open review, one asks a question.
const (
	NoteReminder = "reminder"
	NoteQuestion = "question"
)

// Note is a message of its own in the thread of the approval's message, posted
// once that is there.
type Note struct {
	ID   string    `json:"id"` // unique within the approval
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	// Attempted is set before the post, TS after it.
	Attempted bool   `json:"attempted,omitempty"`
	TS        string `json:"ts,omitempty"`
}

// Due is the index of the first note that is to be posted, -1 for none.
func (s *Slack) Due() int {
	for i, n := range s.Notes {
		if n.TS == "" {
			return i
		}
	}
	return -1
}

// Mark notes that a note is being posted, or, with its timestamp, that it was.
func (s *Slack) Mark(id, ts string) bool {
	for i, n := range s.Notes {
		if n.ID == id && n.TS == "" {
			s.Notes[i].Attempted, s.Notes[i].TS = true, ts
			return true
		}
	}
	return false
}
