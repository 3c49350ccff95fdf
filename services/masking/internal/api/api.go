// Package api serves the masking service's HTTP API.
package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/loopback"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/services/masking/internal/keeper"
)

// Stream says how far the second look is with one stream, since this process
// started.
type Stream struct {
	Name         string    `json:"stream"`
	Running      bool      `json:"running"`
	Batches      uint64    `json:"batches"`
	Records      uint64    `json:"records"`
	Redactions   uint64    `json:"redactions"` // fields, by all detectors
	Placeholders uint64    `json:"placeholders"`
	Dropped      uint64    `json:"dropped"`
	Pending      uint64    `json:"pending"` // messages that waited behind the last one
	LagMS        int64     `json:"lag_ms"`  // of the last one
	LastAt       time.Time `json:"last_at,omitzero"`
}

// API answers from a keeper and the relays.
type API struct {
	Status  func() *keeper.Status
	Streams func() []Stream
	Persons *identity.PersonVerifier
	// SignIn reports that a provider is configured at which people sign in.
	// Without one, only callers on the same machine may read what is private.
	SignIn bool
}

// Mount adds the endpoints to a mux.
//
//	GET /v1/status   everybody: state, version, counts, streams; who has signed
//	                 in: the problems and findings too
func (a *API) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/status", a.status)
}

// summary is the part of a status that names no rule.
type summary struct {
	State       string    `json:"state"`
	Version     uint64    `json:"version"`
	Hash        string    `json:"hash"`
	PublishedAt time.Time `json:"published_at,omitzero"`
	Problems    int       `json:"problem_count"`
	Findings    int       `json:"finding_count"`
	Streams     []Stream  `json:"streams"`
}

type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
}

type full struct {
	summary
	Publisher string           `json:"publisher"`
	Rules     int              `json:"rules"`
	Problems  []problem        `json:"problems"`
	Findings  []keeper.Finding `json:"findings"`
}

func (a *API) status(w http.ResponseWriter, r *http.Request) {
	s := a.Status()
	public := summary{
		State: s.State, Version: s.Version, Hash: s.Hash, PublishedAt: s.PublishedAt.UTC(), Problems: len(s.Problems), Findings: len(s.Findings), Streams: a.Streams(),
	}
	private := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		write(w, full{summary: public, Publisher: s.Publisher, Rules: s.Rules, Problems: problems(s.Problems), Findings: append([]keeper.Finding{}, s.Findings...)})
	})
	switch {
	case !a.SignIn && loopback.Caller(r):
		private(w, r)
	case a.SignIn && r.Header.Get("Authorization") != "":
		a.Persons.RequirePerson(private).ServeHTTP(w, r)
	default:
		write(w, public)
	}
}

func problems(in []masking.Problem) []problem {
	out := make([]problem, len(in))
	for i, p := range in {
		out[i] = problem(p)
	}
	return out
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(v)
}
