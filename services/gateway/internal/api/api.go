// Package api is the gateway's small HTTPS API for jobs: token exchange (RFC
// 8693), the end of a run, what a job may do, and plans.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/session"
)

const (
	maxForm = 64 << 10
	maxPlan = 2 << 20
)

// The names of RFC 8693.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeIDToken   = "urn:ietf:params:oauth:token-type:id_token"     //nolint:gosec // a type, not a credential
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a type, not a credential
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
)

// Handler answers the API.
type Handler struct {
	Gate    *session.Gate
	Planner session.Planner
	Log     zerolog.Logger
}

// Routes returns the API's mux.
func (h *Handler) Routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/exchange", h.exchange)
	mux.HandleFunc("POST /v1/runs/end", h.end)
	mux.HandleFunc("GET /v1/can", h.can)
	mux.HandleFunc("POST /v1/plans", h.plan)
	mux.HandleFunc("GET /v1/plans/{id}", h.planState)
	return mux
}

type exchanged struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"` // seconds
	Connections     int    `json:"connections"`
	Run             string `json:"run"`
	TraceID         string `json:"trace_id"`
}

func (h *Handler) exchange(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		h.fail(w, http.StatusBadRequest, "invalid_request", &refusal.Refusal{Code: refusal.ProtocolViolation, Message: "the request is no form, or too large"})
		return
	}
	kind := r.PostForm.Get("subject_token_type")
	if r.PostForm.Get("grant_type") != grantExchange || kind != typeIDToken && kind != typeJWT {
		h.fail(w, http.StatusBadRequest, "unsupported_grant_type", &refusal.Refusal{
			Code: refusal.ProtocolViolation, Message: "only a token exchange of an ID token is offered here (RFC 8693)",
			Hint: "grant_type=" + grantExchange + ", subject_token_type=" + typeIDToken,
		})
		return
	}
	e, err := h.Gate.Exchange(r.Context(), session.ExchangeRequest{
		Token: r.PostForm.Get("subject_token"), Target: r.PostForm.Get("resource"), Protocol: "postgres",
		Reason: r.PostForm.Get("reason"), Agent: r.PostForm.Get("agent"), OnBehalfOf: r.PostForm.Get("on_behalf_of"), Hold: r.PostForm.Get("hold"),
		Plan: r.PostForm.Get("plan"), BreakGlass: r.PostForm.Get("break_glass") == "true",
		TraceParent: r.Header.Get("traceparent"), Remote: r.RemoteAddr,
	})
	if err != nil {
		h.refuse(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	h.write(w, http.StatusOK, exchanged{
		AccessToken: e.Credential, IssuedTokenType: typeAccess, TokenType: "N_A", ExpiresIn: int64(e.Life.Seconds()),
		Connections: e.Run.Connections, Run: e.Run.ID, TraceID: e.Run.TraceID,
	})
}

func (h *Handler) end(w http.ResponseWriter, r *http.Request) {
	if err := h.Gate.EndRun(r.Context(), bearer(r)); err != nil {
		h.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) can(w http.ResponseWriter, r *http.Request) {
	var at time.Time
	if text := r.URL.Query().Get("at"); text != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, text); err != nil || at.Unix() <= 0 {
			h.refuse(w, &refusal.Refusal{Code: refusal.ProtocolViolation, Message: "at is no moment", Hint: "Write it as 2026-12-24T18:00:00+01:00."})
			return
		}
	}
	c, err := h.Gate.Can(bearer(r), r.URL.Query().Get("target"), at)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.write(w, http.StatusOK, c)
}

func (h *Handler) plan(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxPlan)
	var in session.PlanRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		h.refuse(w, &refusal.Refusal{Code: refusal.ProtocolViolation, Message: "the plan is no JSON, or larger than 2 MiB", Hint: "Plan and run the migrations in several parts."})
		return
	}
	p, err := h.Gate.Plan(r.Context(), bearer(r), in, h.Planner, r.RemoteAddr)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.write(w, http.StatusOK, p)
}

func (h *Handler) planState(w http.ResponseWriter, r *http.Request) {
	p, err := h.Gate.PlanState(r.Context(), bearer(r), r.PathValue("id"))
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.write(w, http.StatusOK, p)
}

func bearer(r *http.Request) string {
	kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(kind, "bearer") {
		return ""
	}
	return token
}

func (h *Handler) refuse(w http.ResponseWriter, err error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		h.Log.Error().Err(err).Msg("api request failed")
		h.fail(w, http.StatusInternalServerError, "server_error", &refusal.Refusal{Code: refusal.BusUnavailable, Message: "the gateway could not answer"})
		return
	}
	status, name := http.StatusUnauthorized, "invalid_grant"
	switch r.Code {
	case refusal.TargetUnknown, refusal.TargetForbidden, refusal.GlassForbidden:
		status, name = http.StatusForbidden, "invalid_target"
	case refusal.JournalUnavailable, refusal.LeaseExpired, refusal.BundleMissing, refusal.ShuttingDown, refusal.BusUnavailable:
		status, name = http.StatusServiceUnavailable, "temporarily_unavailable"
	case refusal.LimitReached, refusal.ProtocolViolation, refusal.CommandUnknown, refusal.ReasonRequired:
		status, name = http.StatusBadRequest, "invalid_request"
	case refusal.ApprovalUnknown:
		status, name = http.StatusNotFound, "invalid_request"
	case refusal.ApprovalPending, refusal.ApprovalDenied, refusal.ApprovalExpired, refusal.ApprovalCancelled, refusal.ApprovalOver, refusal.ApprovalInvalid:
		status, name = http.StatusConflict, "invalid_request"
	case refusal.UpstreamLogin:
		status, name = http.StatusBadGateway, "temporarily_unavailable"
	default: // the credential itself is refused
	}
	h.fail(w, status, name, r)
}

func (h *Handler) fail(w http.ResponseWriter, status int, name string, r *refusal.Refusal) {
	h.write(w, status, map[string]string{
		"error": name, "error_description": r.Message, "code": string(r.Code), "message": r.Message, "detail": r.Detail, "hint": r.Hint, "id": r.ID,
	})
}

func (h *Handler) write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.Log.Debug().Err(fmt.Errorf("api: write: %w", err)).Msg("client went away")
	}
}
