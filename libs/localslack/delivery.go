package localslack

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ErrUnacknowledged is returned when the app did not acknowledge in time: the
// user sees a warning sign beside the button.
var ErrUnacknowledged = errors.New("localslack: the app did not acknowledge in time")

// Delivery says how an interaction reached the app.
type Delivery struct {
	Via          string          `json:"via"` // socket, http
	Attempts     int             `json:"attempts"`
	Acknowledged bool            `json:"acknowledged"`
	Duration     time.Duration   `json:"duration_ns"`
	Response     json.RawMessage `json:"response,omitempty"` // what the app answered with
}

// Posted is one signed interaction post, as it was sent. Tests replay and
// alter it.
type Posted struct {
	URL    string
	Header http.Header
	Body   []byte
}

// Posts returns the last signed posts, oldest first.
func (w *Workspace) Posts() []Posted {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Posted{}, w.posted...)
}

// deliver sends one interaction payload to the app.
func (w *Workspace) deliver(ctx context.Context, payload any) (Delivery, error) {
	w.mu.Lock()
	address := w.o.InteractionURL
	w.mu.Unlock()
	return w.deliverTo(ctx, "interactive", address, payload)
}

// deliverTo sends a payload over Socket Mode, or, where there is an address, as a
// signed post.
func (w *Workspace) deliverTo(ctx context.Context, kind, address string, payload any) (Delivery, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return Delivery{}, fmt.Errorf("localslack: marshal interaction: %w", err)
	}
	w.mu.Lock()
	twice, down := w.faults.Duplicate, w.faults.Down
	w.mu.Unlock()
	if down {
		return Delivery{}, errors.New("localslack: the workspace is down (a fault)")
	}
	start := time.Now()
	send := func(ctx context.Context, raw []byte) (Delivery, error) { return w.bySocket(ctx, kind, raw) }
	if address != "" {
		send = func(ctx context.Context, raw []byte) (Delivery, error) { return w.byPost(ctx, kind, address, raw) }
	}
	d, err := send(ctx, raw)
	if twice && err == nil {
		_, err = send(ctx, raw)
	}
	d.Duration = time.Since(start)
	return d, err
}

// bySocket sends an envelope to any connection. Unacknowledged, or when its
// connection ends, it is sent again, perhaps to another.
func (w *Workspace) bySocket(ctx context.Context, kind string, payload []byte) (Delivery, error) {
	d := Delivery{Via: "socket"}
	id := random(16)
	for attempt := 0; attempt <= max(w.o.Retries, 0); attempt++ {
		attemptCtx, cancel := context.WithTimeout(ctx, w.o.AckTimeout)
		ack, err := w.envelope(attemptCtx, id, kind, attempt, payload)
		cancel()
		d.Attempts++
		if err == nil {
			d.Acknowledged, d.Response = true, ack
			return d, nil
		}
		if ctx.Err() != nil {
			return d, fmt.Errorf("localslack: deliver: %w", ctx.Err())
		}
	}
	return d, ErrUnacknowledged
}

func (w *Workspace) envelope(ctx context.Context, id, kind string, attempt int, payload []byte) (json.RawMessage, error) {
	s, arrived := w.link.pick()
	for s == nil {
		select {
		case <-arrived:
			s, arrived = w.link.pick()
		case <-ctx.Done():
			return nil, fmt.Errorf("localslack: no connection: %w", ctx.Err())
		}
	}
	envelope := map[string]any{"type": kind, "envelope_id": id, "payload": json.RawMessage(payload), "accepts_response_payload": kind == "interactive"}
	if attempt > 0 {
		envelope["retry_attempt"], envelope["retry_reason"] = attempt, "timeout"
	}
	raw, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("localslack: marshal envelope: %w", err)
	}
	ack := make(chan json.RawMessage, 1)
	w.link.mu.Lock()
	w.link.waiting[id] = ack
	w.link.mu.Unlock()
	defer func() {
		w.link.mu.Lock()
		delete(w.link.waiting, id)
		w.link.mu.Unlock()
	}()
	if !s.send(raw) {
		return nil, ErrUnacknowledged
	}
	select {
	case r := <-ack:
		return r, nil
	case <-s.gone:
		return nil, ErrUnacknowledged
	case <-ctx.Done():
		return nil, ErrUnacknowledged
	}
}

// Sign returns the v0 signature of a post's body at a Unix time in seconds.
func Sign(secret, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("v0:" + timestamp + ":"))
	h.Write(body)
	return "v0=" + hex.EncodeToString(h.Sum(nil))
}

const keepPosts = 64

// byPost posts a form with the payload, signed. Slack does not send an
// interaction post again.
func (w *Workspace) byPost(ctx context.Context, kind, address string, payload []byte) (Delivery, error) {
	d := Delivery{Via: "http", Attempts: 1}
	body, form := payload, "application/json"
	if kind == "interactive" {
		body, form = []byte(url.Values{"payload": {string(payload)}}.Encode()), "application/x-www-form-urlencoded"
	}
	ctx, cancel := context.WithTimeout(ctx, w.o.AckTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return d, fmt.Errorf("localslack: interaction post: %w", err)
	}
	stamp := strconv.FormatInt(w.now().Unix(), 10)
	r.Header.Set("Content-Type", form)
	r.Header.Set("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", Sign(w.o.SigningSecret, stamp, body))
	w.mu.Lock()
	w.posted = append(w.posted, Posted{URL: address, Header: r.Header.Clone(), Body: body})
	if n := len(w.posted) - keepPosts; n > 0 {
		w.posted = w.posted[n:]
	}
	w.mu.Unlock()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrUnacknowledged, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxRequest))
	if err != nil || response.StatusCode != http.StatusOK {
		return d, fmt.Errorf("%w: the app answered %s", ErrUnacknowledged, response.Status)
	}
	d.Acknowledged = true
	if json.Valid(answer) {
		d.Response = answer
	}
	return d, nil
}
