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
// Callers send "Authorization: Bearer" with the ID token of gatestay login.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
)

const maxBody = 64 << 10

// SignIn lets persons through (identity.PersonVerifier).
type SignIn interface {
	RequirePerson(next http.Handler) http.Handler
}

// API serves people.
type API struct {
	SignIn SignIn
	// Backend returns what the API works on; nil before the bus is connected.
	Backend func() *Backend
	Log     zerolog.Logger
}

// Mount adds the endpoints to a mux.
func (a *API) Mount(mux *http.ServeMux) {
	mux.Handle("GET /v1/approvals", a.SignIn.RequirePerson(a.handle(a.list)))
	mux.Handle("GET /v1/approvals/{id}", a.SignIn.RequirePerson(a.handle(a.show)))
	mux.Handle("POST /v1/approvals/{id}/vote", a.SignIn.RequirePerson(a.handle(a.vote)))
	mux.Handle("GET /v1/approvals/{id}/proof", a.SignIn.RequirePerson(a.handle(a.proof)))
	mux.Handle("GET /v1/grants", a.SignIn.RequirePerson(a.handle(a.grants)))
	mux.Handle("POST /v1/approvals/{id}/revoke", a.SignIn.RequirePerson(a.handle(a.revoke)))
	mux.Handle("GET /v1/reviews", a.SignIn.RequirePerson(a.handle(a.reviews)))
	mux.Handle("POST /v1/approvals/{id}/close", a.SignIn.RequirePerson(a.handle(a.closeReview)))
	mux.Handle("POST /v1/approvals/{id}/ask", a.SignIn.RequirePerson(a.handle(a.words((*Caller).Ask))))
	mux.Handle("POST /v1/approvals/{id}/answer", a.SignIn.RequirePerson(a.handle(a.words((*Caller).Answer))))
	mux.Handle("GET /v1/copies", a.SignIn.RequirePerson(a.handle(a.copies)))
	mux.Handle("POST /v1/copies/lift", a.SignIn.RequirePerson(a.handle(a.lift)))
}

func (a *API) handle(f func(*http.Request, *Caller) (any, error)) http.Handler {
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

func (a *API) caller(ctx context.Context) (*Caller, error) {
	p, ok := identity.PersonFrom(ctx)
	if !ok {
		return nil, &refusal.Refusal{Code: refusal.TokenInvalid, Message: "not signed in", Hint: "run 'gatestay login'"}
	}
	b := a.Backend()
	if b == nil {
		return nil, &refusal.Refusal{Code: refusal.BusUnavailable, Message: "the bus is not connected yet", Hint: "try again in a moment"}
	}
	return b.As(p.Account, p.Groups...), nil
}

func (a *API) list(r *http.Request, c *Caller) (any, error) {
	want := r.URL.Query().Get("state")
	if want == "" {
		want = Waiting
	}
	if !slices.Contains([]string{Waiting, Decided, All}, want) {
		return nil, &refusal.Refusal{Code: refusal.ApprovalUnknown, Message: "state is waiting, decided or all"}
	}
	list, err := c.List(r.Context(), want)
	if err != nil {
		return nil, err
	}
	return map[string]any{"approvals": list}, nil
}

func (a *API) show(r *http.Request, c *Caller) (any, error) {
	return c.Find(r.Context(), r.PathValue("id"))
}

func (a *API) vote(r *http.Request, c *Caller) (any, error) {
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
	return c.Vote(r.Context(), desk.Ballot{
		Approval: r.PathValue("id"), Vote: body.Vote, Reason: body.Reason, Via: "cli",
		Scope: body.Scope, Uses: body.Uses, Life: time.Duration(body.Seconds) * time.Second,
	})
}

// proof is what a stranger needs to check the decision.
func (a *API) proof(r *http.Request, c *Caller) (any, error) {
	id := r.PathValue("id")
	if _, err := c.Find(r.Context(), id); err != nil {
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

func (a *API) grants(_ *http.Request, c *Caller) (any, error) {
	return map[string]any{"grants": c.Grants()}, nil
}

func (a *API) revoke(r *http.Request, c *Caller) (any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := read(r, &body); err != nil {
		return nil, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "the request cannot be read", Hint: `send {"reason":"why"}`}
	}
	return c.Revoke(r.Context(), desk.Revocation{Approval: r.PathValue("id"), Reason: body.Reason, Via: "cli"})
}

func read(r *http.Request, body any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	return decoder.Decode(body) //nolint:wrapcheck // told in words of its own
}

func (a *API) fail(w http.ResponseWriter, err error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		a.Log.Error().Err(err).Msg("request of a person failed")
		r = &refusal.Refusal{Code: refusal.BusUnavailable, Message: "the approval service cannot reach its state", Hint: "try again in a moment"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(Status(r.Code))
	_ = json.NewEncoder(w).Encode(map[string]string{
		"code": string(r.Code), "message": r.Message, "detail": r.Detail, "hint": r.Hint, "id": r.ID,
	})
}

// Status is the HTTP status that goes with a refusal.
func Status(code refusal.Code) int {
	switch code {
	case refusal.TokenInvalid:
		return http.StatusUnauthorized
	case refusal.VoteForbidden, refusal.VoteSelf, refusal.VoteUntimely:
		return http.StatusForbidden
	case refusal.ApprovalUnknown:
		return http.StatusNotFound
	case refusal.ApprovalOver, refusal.RuleChanged, refusal.VoteNotHere, refusal.StepUpRequired:
		return http.StatusConflict
	case refusal.ApprovalInvalid, refusal.ReasonRequired:
		return http.StatusBadRequest
	default:
		return http.StatusServiceUnavailable
	}
}
