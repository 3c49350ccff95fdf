// Package api serves the policy service's HTTP API.
package api

import (
	"encoding/json"
	"net/http"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/loopback"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/policy/internal/keeper"
)

// API answers from a keeper.
type API struct {
	Status  func() *keeper.Status
	Persons *identity.PersonVerifier
	// SignIn reports that a provider is configured at which people sign in.
	// Without one, only callers on the same machine may read what is private.
	SignIn bool
}

// Mount adds the endpoints to a mux.
//
//	GET /v1/status   everybody: state, version, hash, counts; who may read the
//	                 policy: the problems and findings too
//	GET /v1/bundle   the current bundle's files
func (a *API) Mount(mux *http.ServeMux) {
	mux.Handle("GET /v1/status", http.HandlerFunc(a.status))
	mux.Handle("GET /v1/bundle", a.private(http.HandlerFunc(a.bundle)))
}

// summary is the part of a status that says nothing about rules.
type summary struct {
	State       string `json:"state"`
	Version     uint64 `json:"version"`
	Hash        string `json:"hash"`
	PublishedAt string `json:"published_at,omitempty"`
	Problems    int    `json:"problem_count"`
	Findings    int    `json:"finding_count"`
}

type full struct {
	summary
	Publisher string           `json:"publisher"`
	Rules     int              `json:"rules"`
	Tests     int              `json:"tests"`
	Problems  []policy.Problem `json:"problems"`
	Findings  []policy.Finding `json:"findings"`
}

func (a *API) status(w http.ResponseWriter, r *http.Request) {
	s := a.Status()
	public := summary{State: s.State, Version: s.Version, Hash: s.Hash, Problems: len(s.Problems), Findings: len(s.Findings)}
	if !s.PublishedAt.IsZero() {
		public.PublishedAt = s.PublishedAt.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if r.Header.Get("Authorization") == "" && (a.SignIn || !loopback.Caller(r)) {
		write(w, http.StatusOK, public)
		return
	}
	a.private(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f := full{summary: public, Publisher: s.Publisher, Rules: s.Rules, Tests: s.Tests, Problems: s.Problems, Findings: s.Findings}
		if f.Problems == nil {
			f.Problems = []policy.Problem{}
		}
		if f.Findings == nil {
			f.Findings = []policy.Finding{}
		}
		write(w, http.StatusOK, f)
	})).ServeHTTP(w, r)
}

func (a *API) bundle(w http.ResponseWriter, _ *http.Request) {
	s := a.Status()
	if s.Bundle == nil {
		fail(w, http.StatusNotFound, "no_bundle", "no policy bundle is published yet", "see GET /v1/status for the folder's problems")
		return
	}
	files := make(map[string]string, len(s.Bundle.Files))
	for name, raw := range s.Bundle.Files {
		files[name] = string(raw)
	}
	write(w, http.StatusOK, map[string]any{"version": s.Version, "hash": s.Hash, "published_at": s.PublishedAt, "publisher": s.Publisher, "files": files})
}

// private lets in who is signed in; where nobody can sign in, who calls from
// this machine.
func (a *API) private(next http.Handler) http.Handler {
	if a.SignIn {
		return a.Persons.RequirePerson(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback.Caller(r) {
			fail(w, http.StatusForbidden, "local_only", "without a sign-in provider this is for callers on the same machine", "name a provider under sign_in in gatestay.yaml")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func fail(w http.ResponseWriter, status int, code, message, hint string) {
	write(w, status, map[string]string{"code": code, "message": message, "hint": hint})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
