package api

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/copies"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const (
	maxList    = 200
	maxEarlier = 3
)

// The lists of approvals.
const (
	Waiting = "waiting"
	Decided = "decided"
	All     = "all"
)

// Backend is what people's requests work on: there once the bus is.
type Backend struct {
	Store  *store.Store
	Desk   *desk.Desk
	People func() electorate.People
	Copies *copies.Registry
	// Admins may revoke every grant, and lift the masks of copies.
	Admins []string
	// Wide are the persons who may see every approval: administrators, auditors.
	Wide []string
}

// Caller is somebody who has proved who they are, with what they may see and
// do: the same from the terminal and on the pages. An approval is shown to its
// approvers, its requesters, administrators and auditors; to others it is not
// there. A caller is of one request: what it may follows the people map.
type Caller struct {
	*Backend
	Account string   // oidc:dana@acme.example
	Person  string   // name in the people map; empty where it does not know the account
	Groups  []string // that the ID token names
	wide    bool
	admin   bool
}

// As returns the caller that an account is, in the groups that its ID token names.
func (b *Backend) As(account string, groups ...string) *Caller {
	c := &Caller{Backend: b, Account: account, Groups: groups}
	if name, mapped := b.People().Person(account); mapped {
		c.Person, c.wide, c.admin = name, slices.Contains(b.Wide, name), slices.Contains(b.Admins, name)
	}
	return c
}

// Sees reports that an approval is there for the caller.
func (c *Caller) Sees(st *machine.State) bool {
	r, err := st.Parse()
	return err == nil && r != nil && (c.wide || c.concerned(r))
}

// concerned reports that the caller is named as an approver or a requester.
func (c *Caller) concerned(r *eventv1.ApprovalRequest) bool {
	e := electorate.Electorate{Approvers: r.Approvers, Requesters: r.Requesters, People: c.People()}
	for _, rule := range r.GetPlan().GetRules() {
		e.And = append(e.And, rule.GetApprovers())
	}
	groups, _ := c.Desk.Groups(&e, c.Account, c.Groups)
	_, refused := e.Admit(electorate.Ballot{Account: c.Account, Groups: groups, At: c.Desk.Now(), AnyTime: true})
	return refused == nil || refused.Code == refusal.VoteSelf
}

// admitted says whether the caller may vote. Who is in a group that nobody can
// tell of now counts as not in it.
func (c *Caller) admitted(e *electorate.Electorate) *refusal.Refusal {
	groups, _ := c.Desk.Groups(e, c.Account, c.Groups)
	_, refused := e.Admit(electorate.Ballot{Account: c.Account, Groups: groups, At: c.Desk.Now()})
	return refused
}

// stepUp reports that the caller's passkey is asked for to approve.
func (c *Caller) stepUp(e *electorate.Electorate) bool {
	groups, _ := c.Desk.Groups(e, c.Account, c.Groups)
	return e.StepUpOf(c.Account, groups...)
}

// one returns an approval as the caller sees it; unknown where they may not.
func (c *Caller) one(st *machine.State) (Approval, error) {
	r, err := st.Parse()
	if err != nil {
		return Approval{}, err
	}
	if !c.Sees(st) {
		return Approval{}, missing(st.ID)
	}
	e, err := c.Desk.Electorate(r)
	whyNot := ""
	if err != nil && st.Glass == nil {
		whyNot = "its rule is not in force here"
		e = nil
	}
	a := c.view(st, r, e, whyNot)
	if st.Grant.Live(c.Desk.Now()) {
		a.MayRevoke = c.admin
		if e != nil && !c.admin {
			refused := c.admitted(e)
			a.MayRevoke = refused == nil || refused.Code == refusal.VoteSelf
		}
	}
	return a, nil
}

// Find returns one approval, or a *refusal.Refusal where there is none for the
// caller.
func (c *Caller) Find(ctx context.Context, id string) (Approval, error) {
	if !strings.HasPrefix(id, "apr_") {
		return Approval{}, missing(id)
	}
	st, _, err := c.Store.Get(ctx, id)
	if errors.Is(err, store.ErrUnknown) {
		return Approval{}, missing(id)
	}
	if err != nil {
		return Approval{}, err
	}
	a, err := c.one(st)
	if err == nil {
		a.Earlier = c.earlier(ctx, st)
	}
	return a, err
}

// earlier names what was decided before about the same statement, and leads to
// it where the caller may go.
func (c *Caller) earlier(ctx context.Context, st *machine.State) []Earlier {
	var out []Earlier
	for _, s := range c.Store.Earlier(st, maxEarlier) {
		e := Earlier{State: string(s.Status), By: some(s.By), At: s.Ended}
		if old, _, err := c.Store.Get(ctx, s.ID); err == nil && c.Sees(old) {
			e.ID = s.ID
		}
		out = append(out, e)
	}
	return out
}

// List returns the approvals of a list (Waiting, Decided, All), newest first, at
// most 200.
func (c *Caller) List(ctx context.Context, which string) ([]Approval, error) {
	entries := c.Store.Entries()
	slices.SortFunc(entries, func(x, y store.Entry) int { return cmp.Compare(y.ID, x.ID) }) // ids tell time
	out := []Approval{}
	for _, s := range entries {
		open := s.Status == machine.InReview // of which Reviews is the list
		if done := s.Status != machine.Waiting; which == Waiting && done || which == Decided && (!done || open) || len(out) == maxList {
			continue
		}
		st := s.State
		if st == nil { // settled: memory has a summary only
			var err error
			if st, _, err = c.Store.Get(ctx, s.ID); errors.Is(err, store.ErrUnknown) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		if v, err := c.one(st); err == nil {
			out = append(out, v)
		}
	}
	return out, nil
}

// Grants returns those in force, newest first.
func (c *Caller) Grants() []Approval {
	out := []Approval{}
	for _, st := range c.Store.Active() {
		if !st.Grant.Live(c.Desk.Now()) {
			continue
		}
		if v, err := c.one(st); err == nil {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(x, y Approval) int { return cmp.Compare(y.ID, x.ID) })
	return out
}

// Vote gives the caller's vote; b's account is the caller's.
func (c *Caller) Vote(ctx context.Context, b desk.Ballot) (Approval, error) {
	if _, err := c.Find(ctx, b.Approval); err != nil {
		return Approval{}, err
	}
	b.Account, b.Groups = c.Account, c.Groups
	st, err := c.Desk.Vote(ctx, b)
	if err != nil {
		return Approval{}, err
	}
	return c.one(st)
}

// Revoke ends a grant as the caller.
func (c *Caller) Revoke(ctx context.Context, r desk.Revocation) (Approval, error) {
	if _, err := c.Find(ctx, r.Approval); err != nil {
		return Approval{}, err
	}
	r.Account, r.Groups, r.Wide = c.Account, c.Groups, c.admin
	st, err := c.Desk.Revoke(ctx, r)
	if err != nil {
		return Approval{}, err
	}
	return c.one(st)
}

func missing(id string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ApprovalUnknown, ID: id, Message: "there is no such approval, or it does not concern you",
		Hint: "'gatestay approvals list' shows those that wait for you",
	}
}
