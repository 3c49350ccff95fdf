package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/due"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const (
	sendLimit  = 10 * time.Second
	claimLife  = 15 * time.Second // above one attempt
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	maxRetry   = 15 * time.Minute // of what a hook asks for itself
	giveUp     = 24 * time.Hour
	otherDelay = 300 * time.Millisecond // before looking at what another replica changed
	attempts   = 50                     // of a compare-and-set
	maxAnswer  = 64 << 10
)

// Sender tells one hook. Safe for concurrent use.
type Sender struct {
	Hook  *Hook
	Store *store.Store
	// View is what is shown of an approval.
	View    func(*machine.State) (api.Notice, error)
	Owner   string // unique to this process
	Now     func() time.Time
	Log     zerolog.Logger
	Metrics *Metrics

	due    *due.List
	client *http.Client
	once   sync.Once
}

func (s *Sender) init() {
	s.once.Do(func() {
		s.due = due.New(s.Now)
		s.client = &http.Client{
			Timeout: sendLimit,
			// A redirect would carry what is held to an address that nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
}

// Changed tells the hook soon, if there is something to tell.
func (s *Sender) Changed(st *machine.State, own bool) {
	at := s.Now()
	if !own {
		at = at.Add(otherDelay)
	}
	s.init()
	s.due.AddNew(st.ID, at)
}

// All looks at every approval that is not settled.
func (s *Sender) All() {
	for _, st := range s.Store.Active() {
		s.Changed(st, false)
	}
}

// Run works until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	s.init()
	defer s.client.CloseIdleConnections()
	s.due.Run(ctx, s.work)
	return nil
}

func (s *Sender) work(ctx context.Context, id string) {
	again, err := s.tell(ctx, id)
	if err == nil {
		s.due.Done(id, again)
		return
	}
	d := min(firstRetry<<min(s.due.Failed(id)-1, 12), lastRetry)
	d += rand.N(d / 5) //nolint:gosec // spreads retries, no secret
	var asked *later
	if errors.As(err, &asked) && asked.wait > 0 {
		d = min(asked.wait, maxRetry)
	}
	s.due.Retry(id, d)
	if ctx.Err() == nil {
		s.Log.Warn().Err(err).Str("approval_id", id).Str("webhook", s.Hook.Name).Dur("again_in", d).Msg("a webhook was not told yet; trying again")
	}
}

// later is an answer that is no success.
type later struct {
	status int
	wait   time.Duration // Retry-After; 0 for none
}

func (l *later) Error() string { return "the hook answered " + strconv.Itoa(l.status) }

// tell tells the hook of one approval's present state, if it does not know it.
// again is when to look once more though nothing failed.
func (s *Sender) tell(ctx context.Context, id string) (again time.Duration, err error) {
	st, _, err := s.Store.Get(ctx, id)
	if errors.Is(err, store.ErrUnknown) {
		return 0, nil
	}
	if err != nil {
		return 0, err //nolint:wrapcheck // store says so
	}
	look := st.Look()
	h, ours := st.Hooks[s.Hook.Name]
	if !ours || h.Look == look || len(st.Request) == 0 { // not asked for when it came, or told
		return 0, nil
	}
	if !s.Hook.wants(eventOf(st)) {
		return 0, s.mark(ctx, id, look, "")
	}
	st, wait, err := s.claim(ctx, id)
	if err != nil || wait > 0 {
		return wait, err
	}
	look = st.Look()
	err = s.send(ctx, st, look)
	s.Metrics.sent(s.Hook.Name, err)
	switch {
	case err == nil:
		return time.Millisecond, s.mark(context.WithoutCancel(ctx), id, look, "") // and look whether more has changed
	case s.Now().Sub(st.Hooks[s.Hook.Name].Since) > giveUp:
		s.Log.Error().Err(err).Str("approval_id", id).Str("webhook", s.Hook.Name).Msg("a webhook was not told within a day; it is not tried any more")
		return 0, s.mark(ctx, id, look, "given up: "+err.Error())
	}
	_, noted := s.mutate(context.WithoutCancel(ctx), id, func(h *machine.Hook) bool {
		h.Claim, h.Until, h.Trouble = "", time.Time{}, err.Error()
		return true
	})
	return 0, errors.Join(err, noted)
}

// send makes one post.
func (s *Sender) send(ctx context.Context, st *machine.State, look string) error {
	view, err := s.View(st)
	if err != nil {
		return err
	}
	event := eventOf(st)
	if !st.Done() && view.Whole {
		view.VoteToken = s.Hook.Token(st.ID, look)
	}
	now := s.Now()
	body, err := json.Marshal(map[string]any{"type": "approval." + event, "timestamp": now.UTC().Format(time.RFC3339), "data": view})
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	id := "msg_" + st.ID + "_" + look // the same however often it is sent
	signature, err := s.Hook.signer.Sign(id, now, body)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Hook.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Gatestay")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("webhook-signature", signature)
	answer, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // so that the connection can be used again
	if answer.StatusCode/100 != 2 {
		return &later{status: answer.StatusCode, wait: retryAfter(answer.Header.Get("Retry-After"), now)}
	}
	return nil
}

// retryAfter reads seconds, or a date (RFC 9110, section 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
