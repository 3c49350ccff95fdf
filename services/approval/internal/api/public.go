package api

import (
	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

// Notice is an approval as other systems are told of it: what its Slack message
// shows, with what hides in a text made visible.
type Notice struct {
	Approval
	// Whole: all of the statement and its parameters is there. What is not whole is
	// not voted on from there.
	Whole bool `json:"whole"`
	// Page is where it can be read and decided; empty where there is none.
	Page string `json:"page,omitempty"`
	// VoteToken comes back with a vote; empty where none is taken.
	VoteToken string `json:"vote_token,omitempty"`
}

const maxPart = 1000 // characters of a statement that is not shown whole

// Public returns an approval for a channel, not for a person: nothing of it
// depends on who reads it, and ids of sessions and commands are not in it.
func (b *Backend) Public(st *machine.State, inbox string) (Notice, error) {
	r, err := st.Parse()
	if err != nil {
		return Notice{}, err //nolint:wrapcheck // machine says so
	}
	c := &Caller{Backend: b}
	e, _ := b.Desk.Electorate(r)
	n := Notice{Approval: c.view(st, r, e, ""), Whole: message.Approvable(r)}
	a := &n.Approval
	a.MayVote, a.MayRevoke, a.WhyNot, a.SlackTrouble, a.MayAsk, a.MayAnswer = false, false, "", "", false, false
	for i := range a.Questions {
		a.Questions[i].Question, a.Questions[i].Answer = approval.Visible(a.Questions[i].Question), approval.Visible(a.Questions[i].Answer)
	}
	a.SessionID, a.CommandID, a.TraceID, a.Gateway, a.Requesters = "", "", "", "", []string{}
	if a.Latest != nil {
		a.Latest.CommandID = ""
	}
	a.Statement = message.Reveal(a.Statement)
	if !n.Whole {
		a.Parameters = []string{}
		if runes := []rune(a.Statement); len(runes) > maxPart {
			a.Statement = string(runes[:maxPart]) + "…"
		}
	}
	for i := range a.Parameters {
		a.Parameters[i] = approval.Visible(a.Parameters[i])
	}
	for _, text := range []*string{&a.Headline, &a.Who, &a.Target, &a.Environment, &a.Database, &a.Reason, &a.Rule, &a.Description} {
		*text = approval.Visible(*text)
	}
	if v := a.Review; v != nil {
		v.MayClose = false
		for i := range v.Commands {
			p := &v.Commands[i]
			p.CommandID, p.SessionID = "", ""
			p.Headline, p.Statement, p.Reason, p.Message = approval.Visible(p.Headline), approval.Visible(p.Statement), approval.Visible(p.Reason), approval.Visible(p.Message)
		}
	}
	if inbox != "" {
		n.Page = inbox + "/approvals/" + st.ID
	}
	return n, nil
}
