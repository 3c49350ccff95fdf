package machine

import (
	"slices"
	"strconv"
	"time"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// MaxQuestions is how many may be asked about one approval.
const MaxQuestions = 10

const (
	stepAsked    = "asked"
	stepAnswered = "answered"
)

// Question is one that somebody who may vote has asked of who is behind the request.
// It and its answer are no votes.
type Question struct {
	ID      string    `json:"id"` // q1, q2, …: within the approval
	Text    string    `json:"text"`
	By      string    `json:"by"` // person
	Account string    `json:"account"`
	Via     string    `json:"via"`
	At      time.Time `json:"at"`
	// To is the account that is asked; Of the person to whom the map gave it, or the
	// account.
	To string `json:"to"`
	Of string `json:"of"`

	Answer     string    `json:"answer,omitempty"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	From       string    `json:"from,omitempty"` // account of the answer
	FromVia    string    `json:"from_via,omitempty"`
}

// Ask adds a question, which goes into the thread of the message. It reports false
// where the very same is waiting for its answer.
func (s *State) Ask(q Question) bool {
	if slices.ContainsFunc(s.Questions, func(old Question) bool { return old.By == q.By && old.Text == q.Text && old.Answer == "" }) {
		return false
	}
	q.ID = "q" + strconv.Itoa(len(s.Questions)+1)
	s.Questions = append(s.Questions, q)
	s.Slack.Notes, s.Slack.Final = append(s.Slack.Notes, Note{ID: q.ID, Kind: NoteQuestion, At: q.At}), false
	s.step(stepAsked, q.At, func(r *eventv1.Record) {
		r.Actor, r.Reason = q.By, q.Text
		r.Details["question"], r.Details["account"], r.Details["via"], r.Details["to"] = q.ID, q.Account, q.Via, q.To
	})
	return true
}

// Open is the index of the oldest question that has no answer, -1 for none.
func (s *State) Open() int {
	return slices.IndexFunc(s.Questions, func(q Question) bool { return q.Answer == "" })
}

// Answered gives a question its answer.
func (s *State) Answered(i int, text, account, via string, at time.Time) {
	q := &s.Questions[i]
	q.Answer, q.From, q.FromVia, q.AnsweredAt = text, account, via, at
	s.Slack.Final = false
	s.step(stepAnswered, at, func(r *eventv1.Record) {
		r.Actor, r.Reason = q.Of, text
		r.Details["question"], r.Details["account"], r.Details["via"] = q.ID, account, via
	})
}
