package localslack

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/gatestay/gatestay/libs/loopback"
)

// Handler serves the workspace: the Web API under /api/, Socket Mode under
// /link/, response URLs under /actions/, the page and its endpoints at /. All
// of it answers on loopback names only, and what acts for a user only to the
// page itself or to a program.
func (w *Workspace) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/{method}", w.api(methods()))
	mux.HandleFunc("GET /api/{method}", w.api(methods()))
	mux.HandleFunc("GET /link/", w.serveSocket)
	mux.HandleFunc("POST /actions/{team}/{id}", w.respond)
	mux.HandleFunc("GET /messages", w.listMessages)
	mux.Handle("POST /click", guard(post(w.click)))
	mux.Handle("POST /submit", guard(post(w.submit)))
	mux.Handle("POST /dismiss", guard(post(w.dismiss)))
	mux.Handle("POST /faults", guard(post(w.postFaults)))
	w.mountPage(mux)
	return w.local(mux)
}

// local refuses hosts that are not loopback names (DNS rebinding), and learns
// the workspace's own address.
func (w *Workspace) local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !loopback.Host(r.Host) {
			http.Error(rw, "this is a local workspace: use its loopback address", http.StatusForbidden)
			return
		}
		w.setBase(r.Host)
		next.ServeHTTP(rw, r)
	})
}

// guard refuses what another site's page could send: a foreign Origin, a
// cross-site fetch, anything but JSON (which a form cannot send).
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			u, err := url.Parse(origin)
			if err != nil || u.Host != r.Host {
				problem(rw, http.StatusForbidden, "a page of another origin may not do this")
				return
			}
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			problem(rw, http.StatusForbidden, "a page of another site may not do this")
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			problem(rw, http.StatusUnsupportedMediaType, "send JSON (Content-Type: application/json)")
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func problem(rw http.ResponseWriter, status int, words string) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(map[string]any{"ok": false, "error": words})
}

// post decodes a JSON body for f and answers with its result.
func post[T any](f func(r *http.Request, body T) (any, error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body T
		decoder := json.NewDecoder(http.MaxBytesReader(rw, r.Body, maxRequest))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&body); err != nil {
			problem(rw, http.StatusBadRequest, "the body cannot be read: "+err.Error())
			return
		}
		result, err := f(r, body)
		switch {
		case errors.Is(err, ErrNoButton):
			problem(rw, http.StatusNotFound, err.Error())
		case errors.Is(err, ErrUnacknowledged):
			problem(rw, http.StatusGatewayTimeout, err.Error())
		case err != nil:
			problem(rw, http.StatusConflict, err.Error())
		default:
			reply(rw, result)
		}
	})
}

func delivered(d Delivery, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]any{"ok": true, "via": d.Via, "attempts": d.Attempts, "duration_ms": float64(d.Duration.Microseconds()) / 1000}, nil
}

func (w *Workspace) click(r *http.Request, c Click) (any, error) {
	return delivered(w.Click(r.Context(), c))
}

func (w *Workspace) submit(r *http.Request, s Submission) (any, error) {
	return delivered(w.Submit(r.Context(), s))
}

func (w *Workspace) dismiss(_ *http.Request, body struct {
	User string `json:"user"`
},
) (any, error) {
	w.Dismiss(body.User)
	return map[string]any{"ok": true}, nil
}

// postFaults sets the faults; rate_limited is in seconds here.
func (w *Workspace) postFaults(_ *http.Request, body struct {
	Down          bool               `json:"down"`
	Revoked       bool               `json:"revoked"`
	Errors        map[string]string  `json:"errors"`
	RateLimited   map[string]float64 `json:"rate_limited"`
	LoseResponses map[string]int     `json:"lose_responses"`
	Duplicate     bool               `json:"duplicate"`
	RejectOver    int                `json:"reject_over"`
},
) (any, error) {
	f := Faults{
		Down: body.Down, Revoked: body.Revoked, Errors: body.Errors, LoseResponses: body.LoseResponses, Duplicate: body.Duplicate, RejectOver: body.RejectOver,
		RateLimited: map[string]time.Duration{},
	}
	for m, seconds := range body.RateLimited {
		if seconds < 0 {
			return nil, fmt.Errorf("localslack: rate_limited.%s is negative", m)
		}
		f.RateLimited[m] = time.Duration(seconds * float64(time.Second))
	}
	w.SetFaults(f)
	return map[string]any{"ok": true}, nil
}

// listMessages answers /messages?channel=C…[&user=U…]: the channel's messages,
// and the ephemeral ones of the user (of all, without one).
func (w *Workspace) listMessages(rw http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("channel")
	w.mu.Lock()
	known := w.channels[id] != nil
	w.mu.Unlock()
	if !known {
		problem(rw, http.StatusNotFound, "there is no such channel")
		return
	}
	reply(rw, map[string]any{
		"ok": true, "messages": append([]Message{}, w.Messages(id)...),
		"ephemeral": append([]Message{}, w.Ephemerals(id, r.URL.Query().Get("user"))...),
	})
}
