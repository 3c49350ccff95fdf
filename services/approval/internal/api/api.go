// Package api is the HTTP interface for people and scripts:
//
//	GET  /v1/approvals?state=waiting|decided|all   those that the caller may see, newest first
//	GET  /v1/approvals/{id}
//	POST /v1/approvals/{id}/vote                   {"vote":"approve|deny","reason":"","scope":"run|job","uses":0,"seconds":0}
//	GET  /v1/approvals/{id}/proof                  what 'gatestay approvals verify' checks: the exact bytes of request and decision
//	GET  /v1/grants                                those in force
//	POST /v1/approvals/{id}/revoke                 {"reason":""}
//	GET  /v1/copies?target=                        what masked columns were copied to, for administrators and auditors
//	POST /v1/copies/lift                           {"target":"","database":"","schema":"","table":"","column":"","reason":""}, for administrators
//
// Callers send "Authorization: Bearer" with the ID token of gatestay login. An
// approval is shown to its approvers, its requesters, administrators and
// auditors; to others it is not there.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/copies"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/electorate"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const (
	maxBody = 64 << 10
	maxList = 200
)

// SignIn lets persons through (identity.PersonVerifier).
type SignIn interface {
	RequirePerson(next http.Handler) http.Handler
}

// API serves people. Store and Desk are nil until the bus is there.
type API struct {
	SignIn SignIn
	// Backend returns what the API works on; nil before the bus is connected.
	Backend func() *Backend
	// Admins may revoke every grant, and lift the masks of copies.
	Admins []string
	// Wide are the persons who may see every approval: administrators, auditors.
	Wide []string
	Log  zerolog.Logger
}

// Backend is what needs the bus.
type Backend struct {
	Store  *store.Store
	Desk   *desk.Desk
	People func() electorate.People
	Copies *copies.Registry
}

// Mount adds the endpoints to a mux.
func (a *API) Mount(mux *http.ServeMux) {
	mux.Handle("GET /v1/approvals", a.SignIn.RequirePerson(a.handle(a.list)))
	mux.Handle("GET /v1/approvals/{id}", a.SignIn.RequirePerson(a.handle(a.show)))
	mux.Handle("POST /v1/approvals/{id}/vote", a.SignIn.RequirePerson(a.handle(a.vote)))
	mux.Handle("GET /v1/approvals/{id}/proof", a.SignIn.RequirePerson(a.handle(a.proof)))
	mux.Handle("GET /v1/grants", a.SignIn.RequirePerson(a.handle(a.grants)))
	mux.Handle("POST /v1/approvals/{id}/revoke", a.SignIn.RequirePerson(a.handle(a.revoke)))
	mux.Handle("GET /v1/copies", a.SignIn.RequirePerson(a.handle(a.copies)))
	mux.Handle("POST /v1/copies/lift", a.SignIn.RequirePerson(a.handle(a.lift)))
}

// caller is who asks, and what they work on.
type caller struct {
	*Backend
	account string
	wide    bool
}

func (a *API) handle(f func(*http.Request, *caller) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		c, err := a.caller(r.Context())
		var result any
		if err == nil {
			result, err = f(r, c)
		}
		if err != nil {
			a.fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result)
	})
}

func (a *API) caller(ctx context.Context) (*caller, error) {
	p, ok := identity.PersonFrom(ctx)
	if !ok {
		return nil, &refusal.Refusal{Code: refusal.TokenInvalid, Message: "not signed in", Hint: "run 'gatestay login'"}
	}
	b := a.Backend()
	if b == nil {
		return nil, &refusal.Refusal{Code: refusal.BusUnavailable, Message: "the bus is not connected yet", Hint: "try again in a moment"}
	}
	c := &caller{Backend: b, account: p.Account}
	name, mapped := b.People().Person(p.Account)
	c.wide = mapped && slices.Contains(a.Wide, name)
	return c, nil
}

// one returns an approval as the caller sees it; unknown where they may not.
func (c *caller) one(st *machine.State) (Approval, error) {
	r, err := st.Parse()
	if err != nil {
		return Approval{}, err
	}
	if r == nil {
		return Approval{}, missing(st.ID)
	}
	e, err := c.Desk.Electorate(r)
	whyNot := ""
	if err != nil {
		whyNot = "its rule is not in force here"
		e = nil
	}
	if !c.wide && !c.concerned(r) {
		return Approval{}, missing(st.ID)
	}
	return view(st, r, e, c.People(), c.account, whyNot), nil
}

// concerned reports that the caller is named as an approver or a requester.
func (c *caller) concerned(r *eventv1.ApprovalRequest) bool {
	e := electorate.Electorate{Approvers: r.Approvers, Requesters: r.Requesters, People: c.People()}
	_, refused := e.Admit(c.account)
	return refused == nil || refused.Code == refusal.VoteSelf
}

func (a *API) list(r *http.Request, c *caller) (any, error) {
	want := r.URL.Query().Get("state")
	if want == "" {
		want = "waiting"
	}
	if !slices.Contains([]string{"waiting", "decided", "all"}, want) {
		return nil, &refusal.Refusal{Code: refusal.ApprovalUnknown, Message: "state is waiting, decided or all"}
	}
	summaries := c.Store.Summaries()
	slices.SortFunc(summaries, func(x, y store.Summary) int { return cmp.Compare(y.ID, x.ID) }) // ids tell time
	out := []Approval{}
	for _, s := range summaries {
		if done := s.Status != machine.Waiting; want == "waiting" && done || want == "decided" && !done || len(out) == maxList {
			continue
		}
		st, _, err := c.Store.Get(r.Context(), s.ID)
		if errors.Is(err, store.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if v, err := c.one(st); err == nil {
			out = append(out, v)
		}
	}
	return map[string]any{"approvals": out}, nil
}

func (a *API) show(r *http.Request, c *caller) (any, error) {
	return c.find(r.Context(), r.PathValue("id"))
}

func (c *caller) find(ctx context.Context, id string) (Approval, error) {
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
	return c.one(st)
}

func (a *API) vote(r *http.Request, c *caller) (any, error) {
	var body struct {
		Vote    string `json:"vote"`
		Reason  string `json:"reason"`
		Scope   string `json:"scope"`
		Uses    uint32 `json:"uses"`
		Seconds uint32 `json:"seconds"`
	}
	if err := read(r, &body); err != nil {
		return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "the vote cannot be read", Hint: `send {"vote":"approve"} or {"vote":"deny","reason":"why"}`}
	}
	id := r.PathValue("id")
	if _, err := c.find(r.Context(), id); err != nil {
		return nil, err
	}
	st, err := c.Desk.Vote(r.Context(), desk.Ballot{
		Approval: id, Account: c.account, Vote: body.Vote, Reason: body.Reason, Via: "cli",
		Scope: body.Scope, Uses: body.Uses, Life: time.Duration(body.Seconds) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return c.one(st)
}

// proof is what a stranger needs to check the decision.
func (a *API) proof(r *http.Request, c *caller) (any, error) {
	id := r.PathValue("id")
	if _, err := c.find(r.Context(), id); err != nil {
		return nil, err
	}
	st, _, err := c.Store.Get(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if len(st.Decision) == 0 {
		return nil, &refusal.Refusal{Code: refusal.ApprovalOver, ID: id, Message: "nothing was decided here", Hint: "an approval that waits, or that its gateway withdrew, has no signed decision"}
	}
	return approval.Proof{ID: id, Request: st.Request, Decision: st.Decision}, nil
}

// grants lists those in force, newest first.
func (a *API) grants(_ *http.Request, c *caller) (any, error) {
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
	return map[string]any{"grants": out}, nil
}

func (a *API) revoke(r *http.Request, c *caller) (any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := read(r, &body); err != nil {
		return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "the request cannot be read", Hint: `send {"reason":"why"}`}
	}
	id := r.PathValue("id")
	if _, err := c.find(r.Context(), id); err != nil {
		return nil, err
	}
	name, mapped := c.People().Person(c.account)
	st, err := c.Desk.Revoke(r.Context(), desk.Revocation{
		Approval: id, Account: c.account, Reason: body.Reason, Via: "cli", Wide: mapped && slices.Contains(a.Admins, name),
	})
	if err != nil {
		return nil, err
	}
	return c.one(st)
}

func read(r *http.Request, body any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	return decoder.Decode(body) //nolint:wrapcheck // told in words of its own
}

func missing(id string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ApprovalUnknown, ID: id, Message: "there is no such approval, or it does not concern you",
		Hint: "'gatestay approvals list' shows those that wait for you",
	}
}

func (a *API) fail(w http.ResponseWriter, err error) {
	var r *refusal.Refusal
	status := http.StatusServiceUnavailable
	if !errors.As(err, &r) {
		a.Log.Error().Err(err).Msg("request of a person failed")
		r = &refusal.Refusal{Code: refusal.BusUnavailable, Message: "the approval service cannot reach its state", Hint: "try again in a moment"}
	}
	switch r.Code {
	case refusal.TokenInvalid:
		status = http.StatusUnauthorized
	case refusal.VoteForbidden, refusal.VoteSelf:
		status = http.StatusForbidden
	case refusal.ApprovalUnknown:
		status = http.StatusNotFound
	case refusal.ApprovalOver, refusal.RuleChanged, refusal.VoteNotHere:
		status = http.StatusConflict
	case refusal.ApprovalInvalid, refusal.ReasonRequired:
		status = http.StatusBadRequest
	default:
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"code": string(r.Code), "message": r.Message, "detail": r.Detail, "hint": r.Hint, "id": r.ID,
	})
}
