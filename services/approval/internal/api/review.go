package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// Review is of a break-glass: what passed, and what people say of it.
type Review struct {
	Commands []Passed  `json:"commands"` // the first 100
	Count    uint32    `json:"count"`    // of all
	Uses     uint32    `json:"uses"`     // at most
	Until    time.Time `json:"until"`
	Forged   bool      `json:"forged,omitempty"`  // its rule does not allow it
	Verdict  string    `json:"verdict,omitempty"` // justified, unjustified: once it is closed
	Verdicts []Verdict `json:"verdicts"`
	Needed   int       `json:"needed"` // verdicts of distinct persons
	MayClose bool      `json:"may_close"`
}

// Passed is one command that passed by a break-glass.
type Passed struct {
	CommandID string    `json:"command_id"`
	SessionID string    `json:"session_id"`
	Headline  string    `json:"headline"`
	Statement string    `json:"statement"`
	Reason    string    `json:"reason,omitempty"` // where it is another than the first
	At        time.Time `json:"at"`
	Status    string    `json:"status,omitempty"` // empty while it runs
	Rows      int64     `json:"rows"`
	Message   string    `json:"message,omitempty"`
}

// Verdict is what one person says.
type Verdict struct {
	Person  string    `json:"person"`
	Verdict string    `json:"verdict"`
	Note    string    `json:"note"`
	Via     string    `json:"via"`
	At      time.Time `json:"at"`
}

// review adds what is of a break-glass.
func (c *Caller) review(st *machine.State, r *eventv1.ApprovalRequest, a *Approval) {
	g := st.Glass
	v := &Review{Commands: []Passed{}, Count: g.Count, Uses: r.GetBreakGlass().GetUses(), Until: r.GetBreakGlass().GetUntil().AsTime(), Forged: g.Forged, Verdict: g.Verdict, Verdicts: []Verdict{}, Needed: 1}
	for _, p := range g.Commands {
		v.Commands = append(v.Commands, Passed{
			CommandID: p.ID, SessionID: p.Session, Headline: p.Headline, Statement: p.Statement, Reason: p.Reason, At: p.At, Status: p.Status, Rows: p.Rows, Message: p.Message,
		})
	}
	for _, said := range g.Verdicts {
		v.Verdicts = append(v.Verdicts, Verdict{Person: said.Person, Verdict: said.Verdict, Note: said.Note, Via: said.Via, At: said.At})
	}
	a.Review, a.MayVote, a.WhyNot = v, false, ""
	e := c.Desk.Reviewers(st, r)
	if e == nil {
		v.MayClose = c.admin && st.Status == machine.InReview
		return
	}
	v.Needed = e.Tally(st.Reviewing()).Needed
	a.Approvers = e.InWords(c.Desk.Now())
	if st.Status != machine.InReview {
		return
	}
	if refused := c.admitted(e); refused != nil {
		a.WhyNot = refused.Message
	} else {
		v.MayClose = true
	}
}

// Reviews returns the break-glasses that are open, oldest first.
func (c *Caller) Reviews() []Approval {
	out := []Approval{}
	for _, st := range c.Store.Active() {
		if st.Status != machine.InReview {
			continue
		}
		if v, err := c.one(st); err == nil {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(x, y Approval) int { return cmp.Compare(x.ID, y.ID) })
	return out
}

// Close gives the caller's verdict of a break-glass.
func (c *Caller) Close(ctx context.Context, v desk.Review) (Approval, error) {
	if _, err := c.Find(ctx, v.Approval); err != nil {
		return Approval{}, err
	}
	v.Account, v.Groups, v.Wide = c.Account, c.Groups, c.admin
	st, err := c.Desk.Close(ctx, v)
	if err != nil {
		return Approval{}, err
	}
	return c.one(st)
}

func (a *API) reviews(_ *http.Request, c *Caller) (any, error) {
	return map[string]any{"reviews": c.Reviews()}, nil
}

func (a *API) closeReview(r *http.Request, c *Caller) (any, error) {
	var body struct {
		Verdict string `json:"verdict"`
		Note    string `json:"note"`
	}
	if err := read(r, &body); err != nil {
		return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "the verdict cannot be read", Hint: `send {"verdict":"justified","note":"what you found"}`}
	}
	return c.Close(r.Context(), desk.Review{Approval: r.PathValue("id"), Verdict: body.Verdict, Note: body.Note, Via: "cli"})
}
