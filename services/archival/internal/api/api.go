// Package api answers auditors over HTTP. Every look is on record before
// anything is shown.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// Store answers questions.
type Store interface {
	Search(ctx context.Context, f store.Filter) ([]store.Command, *store.Cursor, error)
	Session(ctx context.Context, id string) (*store.Session, error)
}

// API is the HTTP interface.
type API struct {
	Store Store
	// Auditor returns the name of the auditor to whom an account belongs.
	Auditor func(account string) (name string, ok bool)
	// Record puts a look on record, durably: actor did action.
	Record func(ctx context.Context, actor, action string, details map[string]string) error
	// RequirePerson lets signed-in people through.
	RequirePerson func(http.Handler) http.Handler
	Log           zerolog.Logger
}

// recordLimit bounds the wait until a look is on record; queryLimit the question.
const (
	recordLimit = 3 * time.Second
	queryLimit  = 25 * time.Second
)

// Mount adds the endpoints to a mux.
//
//	GET /v1/audit/search          commands, newest first: principal, repository, target,
//	                              object, verdict, text, since, until, limit, cursor
//	GET /v1/audit/sessions/{id}   the story of one session
func (a *API) Mount(mux *http.ServeMux) {
	mux.Handle("GET /v1/audit/search", a.RequirePerson(http.HandlerFunc(a.search)))
	mux.Handle("GET /v1/audit/sessions/{id}", a.RequirePerson(http.HandlerFunc(a.session)))
}

func (a *API) search(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, "bad_request", err.Error(), "see 'gatestay audit search --help'")
		return
	}
	details := map[string]string{}
	for name, values := range r.URL.Query() {
		details[name] = values[0]
	}
	if !a.admitted(w, r, "audit.searched", details) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryLimit)
	defer cancel()
	commands, more, err := a.Store.Search(ctx, f)
	if err != nil {
		a.unanswered(w, err)
		return
	}
	answer := struct {
		Commands []store.Command `json:"commands"`
		Next     string          `json:"next,omitempty"`
	}{Commands: commands}
	if commands == nil {
		answer.Commands = []store.Command{}
	}
	if more != nil {
		answer.Next = formatCursor(*more)
	}
	write(w, http.StatusOK, answer)
}

func (a *API) session(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !a.admitted(w, r, "audit.viewed", map[string]string{"session": id}) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryLimit)
	defer cancel()
	story, err := a.Store.Session(ctx, id)
	switch {
	case errors.Is(err, store.ErrNoSession):
		fail(w, http.StatusNotFound, "no_session", "no session "+quoted(id)+" is recorded", "'gatestay audit search' lists commands with their sessions")
	case err != nil:
		a.unanswered(w, err)
	default:
		write(w, http.StatusOK, story)
	}
}

// admitted checks that the caller is an auditor and puts the look on record. It
// has answered when it returns false.
func (a *API) admitted(w http.ResponseWriter, r *http.Request, action string, details map[string]string) bool {
	person, ok := identity.PersonFrom(r.Context())
	if !ok {
		fail(w, http.StatusUnauthorized, "not_signed_in", "not signed in", "run 'gatestay login'")
		return false
	}
	details = maps.Clone(details)
	details["account"] = person.Account
	ctx, cancel := context.WithTimeout(r.Context(), recordLimit)
	defer cancel()
	name, ok := a.Auditor(person.Account)
	if !ok {
		if err := a.Record(ctx, person.Account, "audit.refused", details); err != nil {
			a.Log.Warn().Err(err).Msg("a refused look at the audit is not on record")
		}
		fail(w, http.StatusForbidden, "not_an_auditor", person.Account+" may not read audits", "an operator lists auditors under sign_in.auditors in gatestay.yaml")
		return false
	}
	if err := a.Record(ctx, name, action, details); err != nil {
		a.Log.Warn().Err(err).Msg("a look at the audit could not be put on record, so nothing is shown")
		fail(w, http.StatusServiceUnavailable, "not_recorded", "this look at the audit cannot be put on record now, so nothing is shown", "try again in a moment; operators: is the bus up?")
		return false
	}
	return true
}

// unanswered tells the caller that the store did not answer, without its words.
func (a *API) unanswered(w http.ResponseWriter, err error) {
	a.Log.Error().Err(err).Msg("audit query failed")
	if errors.Is(err, store.ErrUnavailable) {
		fail(w, http.StatusServiceUnavailable, "store_unavailable", "the audit store does not answer", "records wait on the bus meanwhile; try again in a moment")
		return
	}
	fail(w, http.StatusInternalServerError, "query_failed", "the audit store could not answer this", "narrow the search with --since; the service's log says more")
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, code, message, hint string) {
	write(w, status, map[string]string{"code": code, "message": message, "hint": hint})
}
