package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

const (
	maxVote    = 16 << 10
	maxAccount = 200 // characters
)

// Voter takes ballots (desk.Desk).
type Voter interface {
	Vote(ctx context.Context, b desk.Ballot) (*machine.State, error)
}

// Receiver takes votes from hooks: POST /v1/webhooks/{name}/vote.
type Receiver struct {
	Hooks   map[string]*Hook
	Voter   Voter
	Log     zerolog.Logger
	Metrics *Metrics
}

// callback is what a hook sends.
type callback struct {
	Type     string `json:"type"` // vote
	Approval string `json:"approval"`
	Token    string `json:"token"`   // vote_token of what the voter was shown
	Account  string `json:"account"` // the voter's, as the hook names it
	Vote     string `json:"vote"`    // approve, deny
	Reason   string `json:"reason"`
}

// ServeHTTP verifies the signature over the raw body, and that it is at most five
// minutes old, before it reads anything of it.
func (v *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxVote))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	h := v.Hooks[r.PathValue("name")]
	if h == nil || len(r.Header.Values("webhook-id")) != 1 || h.signer.Verify(raw, r.Header) != nil {
		v.Log.Warn().Msg("an unsigned, forged or stale vote of a webhook was refused")
		http.Error(w, "the signature does not verify", http.StatusUnauthorized)
		return
	}
	st, err := v.vote(r.Context(), h, raw)
	v.Metrics.count(h.Name, "in", err)
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		v.refuse(w, err)
		return
	}
	answer := map[string]string{"approval": st.ID, "state": string(st.Status)}
	if !st.Done() {
		answer["vote_token"] = h.Token(st.ID, st.Look())
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (v *Receiver) vote(ctx context.Context, h *Hook, raw []byte) (*machine.State, error) {
	var c callback
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil || decoder.More() || c.Type != "vote" || !account(c.Account) {
		return nil, &refusal.Refusal{
			Code: refusal.ApprovalInvalid, Message: "the vote cannot be read",
			Hint: `send {"type":"vote","approval":"apr_…","token":"…","account":"who votes","vote":"approve|deny","reason":"…"}`,
		}
	}
	look, ok := h.look(c.Approval, c.Token)
	if !ok {
		return nil, &refusal.Refusal{
			Code: refusal.VoteNotHere, ID: c.Approval, Message: "this token is not of this approval, or was not given to this webhook",
			Hint: "send the vote_token that came with what the voter was shown",
		}
	}
	return v.Voter.Vote(ctx, desk.Ballot{ //nolint:wrapcheck // a refusal, for the hook
		Approval: c.Approval, Account: h.Account(c.Account), Vote: c.Vote, Reason: c.Reason, Via: desk.ViaWebhook, Look: look,
	})
}

// account reports that a hook's name of an account can be one.
func account(id string) bool {
	if id == "" || utf8.RuneCountInString(id) > maxAccount || !utf8.ValidString(id) {
		return false
	}
	for _, r := range id {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return false
		}
	}
	return true
}

func (v *Receiver) refuse(w http.ResponseWriter, err error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		v.Log.Warn().Err(err).Msg("a vote of a webhook was not taken: it could not be made durable")
		r = &refusal.Refusal{Code: refusal.BusUnavailable, Message: "the vote could not be made durable", Hint: "try again in a moment"}
	}
	w.WriteHeader(api.Status(r.Code))
	_ = json.NewEncoder(w).Encode(map[string]string{"code": string(r.Code), "message": r.Message, "detail": r.Detail, "hint": r.Hint, "id": r.ID})
}
