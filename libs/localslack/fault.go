package localslack

import (
	"net/http"
	"time"
)

// Faults make the workspace misbehave. The zero value is a good day.
type Faults struct {
	// Down: every request fails with HTTP 503, and Socket Mode connections end.
	Down bool `json:"down"`
	// Revoked: the tokens were revoked; Socket Mode connections end.
	Revoked bool `json:"revoked"`
	// Errors answers a method with an error of Slack's ("chat.update": "is_archived").
	Errors map[string]string `json:"errors"`
	// RateLimited answers a method with HTTP 429 and this Retry-After.
	RateLimited map[string]time.Duration `json:"rate_limited"`
	// LoseResponses does what the method says and then cuts the connection, as
	// many times: the caller cannot know that it was done.
	LoseResponses map[string]int `json:"lose_responses"`
	// RejectOver answers invalid_blocks to messages of more blocks, if above 0.
	RejectOver int `json:"reject_over"`
	// Duplicate delivers every interaction twice, as Slack may.
	Duplicate bool `json:"duplicate"`
}

// SetFaults replaces the faults.
func (w *Workspace) SetFaults(f Faults) {
	w.mu.Lock()
	w.faults = f
	w.mu.Unlock()
	if f.Down || f.Revoked {
		w.link.drop()
	}
}

// fault answers a method as a fault says, and reports whether one did.
func (w *Workspace) fault(rw http.ResponseWriter, method string) bool {
	w.mu.Lock()
	f := w.faults
	wait, limited := f.RateLimited[method]
	code := f.Errors[method]
	w.mu.Unlock()
	switch {
	case f.Down:
		http.Error(rw, "<html><body>Service Unavailable</body></html>", http.StatusServiceUnavailable)
	case limited:
		tooMany(rw, wait)
	case f.Revoked:
		reply(rw, failure("token_revoked"))
	case code != "":
		reply(rw, failure(code))
	default:
		return false
	}
	return true
}

// loses reports that the response to this method is to be lost, and counts it.
func (w *Workspace) loses(method string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.faults.LoseResponses[method] <= 0 {
		return false
	}
	w.faults.LoseResponses[method]--
	return true
}
