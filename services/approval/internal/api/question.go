package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// Question was asked of who is behind an approval.
type Question struct {
	By         string     `json:"by"`
	To         string     `json:"to"` // person, or the account where the map does not know it
	Question   string     `json:"question"`
	At         time.Time  `json:"at"`
	Answer     string     `json:"answer,omitempty"`
	AnsweredAt *time.Time `json:"answered_at,omitempty"`
}

func questions(st *machine.State) []Question {
	var out []Question
	for _, q := range st.Questions {
		shown := Question{By: q.By, To: q.Of, Question: q.Text, At: q.At, Answer: q.Answer}
		if q.Answer != "" {
			shown.AnsweredAt = &q.AnsweredAt
		}
		out = append(out, shown)
	}
	return out
}

// Ask asks who is behind an approval, as the caller.
func (c *Caller) Ask(ctx context.Context, w desk.Words) (Approval, error) {
	return c.say(ctx, w, c.Desk.Ask)
}

// Answer answers what the caller was asked.
func (c *Caller) Answer(ctx context.Context, w desk.Words) (Approval, error) {
	return c.say(ctx, w, c.Desk.Answer)
}

func (c *Caller) say(ctx context.Context, w desk.Words, f func(context.Context, desk.Words) (*machine.State, error)) (Approval, error) {
	if _, err := c.Find(ctx, w.Approval); err != nil {
		return Approval{}, err
	}
	w.Account, w.Groups = c.Account, c.Groups
	st, err := f(ctx, w)
	if err != nil {
		return Approval{}, err
	}
	return c.one(st)
}

// words reads a question or an answer.
func (a *API) words(f func(*Caller, context.Context, desk.Words) (Approval, error)) func(*http.Request, *Caller) (any, error) {
	return func(r *http.Request, c *Caller) (any, error) {
		var body struct {
			Text string `json:"text"`
		}
		if err := read(r, &body); err != nil {
			return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "the request cannot be read", Hint: `send {"text":"…"}`}
		}
		return f(c, r.Context(), desk.Words{Approval: r.PathValue("id"), Text: body.Text, Via: "cli"})
	}
}
