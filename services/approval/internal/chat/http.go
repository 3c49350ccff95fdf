package chat

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"
	"github.com/slack-go/slack"
)

const (
	maxPost   = 1 << 20
	postLimit = 2500 * time.Millisecond // Slack waits three seconds
)

// Posts receives interactions as signed HTTP posts: POST /slack/interactions.
type Posts struct {
	Clicks *Clicks
	Secret string
	Log    zerolog.Logger
}

// verified returns the raw body of a post whose signature over it verifies, and is at
// most five minutes old; else it has answered.
func (p *Posts) verified(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPost))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	verifier, err := slack.NewSecretsVerifier(r.Header, p.Secret)
	if err == nil {
		_, err = verifier.Write(raw)
	}
	if err == nil {
		err = verifier.Ensure()
	}
	if err != nil {
		p.Clicks.Client.o.Metrics.Clicks.WithLabelValues("http", "unsigned").Inc()
		p.Log.Warn().Str("problem", err.Error()).Msg("unsigned, forged or stale interaction refused")
		http.Error(w, "the signature does not verify", http.StatusUnauthorized)
		return nil, false
	}
	return raw, true
}

// ServeHTTP verifies a post before it reads anything of it.
func (p *Posts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, ok := p.verified(w, r)
	if !ok {
		return
	}
	form, err := url.ParseQuery(string(raw))
	i := &slack.InteractionCallback{}
	if err != nil || len(form["payload"]) != 1 || json.Unmarshal([]byte(form.Get("payload")), i) != nil {
		http.Error(w, "the payload cannot be read", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), postLimit)
	defer cancel()
	switch answer, err := p.Clicks.Take(ctx, "http", i); {
	case err == nil && answer != nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, ErrForeign):
		http.Error(w, "another workspace or app", http.StatusForbidden)
	default:
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
}
