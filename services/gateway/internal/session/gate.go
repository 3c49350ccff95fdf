// Package session is the gateway's core behind the seam: it authenticates,
// decides, holds, masks and records. It knows no protocol.
package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/allowance"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
	"github.com/gatestay/gatestay/services/gateway/internal/copied"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/lease"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const (
	defaultSessionLimit = time.Hour
	defaultRunLimit     = time.Hour
	defaultConnections  = 32
	durableLimit        = 10 * time.Second
)

// Gate implements seam.Gate. Safe for concurrent use.
type Gate struct {
	Config   func() *config.Config // the present configuration
	Verifier *identity.Verifier
	Used     *credential.UsedTokens
	Runs     *credential.Runs
	Policy   *bundle.Follower[*policy.Engine]
	Masking  *bundle.Follower[*masking.Engine]
	Lease    *lease.Lease
	Copied   *copied.Masks
	Desk     *hold.Desk
	Grants   *grant.Book
	GrantKey []byte          // 32 bytes, the same on every gateway: what grants cover is told by it
	Compared *allowance.Book // values of masked columns that were asked for
	Records  *event.Producer
	Log      zerolog.Logger
	Now      func() time.Time

	refused  *rate.Limiter
	mu       sync.Mutex
	notFound map[lost]bool // what NotFound has told
	sessions map[string]*Session
	draining atomic.Bool
	glasses  glasses
	passed   passed
	init     sync.Once
}

var _ seam.Gate = (*Gate)(nil)

func (g *Gate) setup() {
	g.init.Do(func() {
		g.sessions = map[string]*Session{}
		g.refused = rate.NewLimiter(50, 200)
	})
}

// Ready is nil while the gateway may admit: it hears the control plane and has
// both bundles.
func (g *Gate) Ready() error {
	return errors.Join(g.Lease.Fresh(), g.Policy.Ready(), g.Masking.Ready(), g.Copied.Ready())
}

// admissible is Ready in the words of a refusal.
func (g *Gate) admissible() error {
	if g.draining.Load() {
		return &refusal.Refusal{Code: refusal.ShuttingDown, Message: "the gateway is restarting", Hint: "Connect again in a moment."}
	}
	if err := g.Lease.Fresh(); err != nil {
		return &refusal.Refusal{
			Code: refusal.LeaseExpired, Message: "the gateway cannot hear its control plane, so it admits nothing",
			Detail: err.Error(), Hint: "Try again in a moment; operators: check the policy service and the bus.",
		}
	}
	if err := errors.Join(g.Policy.Ready(), g.Masking.Ready(), g.Copied.Ready()); err != nil {
		return &refusal.Refusal{
			Code: refusal.BundleMissing, Message: "the gateway has no valid rules yet, so it admits nothing",
			Detail: err.Error(), Hint: "Operators: check the policy and masking services.",
		}
	}
	return nil
}

// Authenticate implements seam.Gate.
func (g *Gate) Authenticate(ctx context.Context, c seam.Credentials) (seam.Session, error) {
	g.setup()
	s, err := g.authenticate(ctx, c)
	if err != nil {
		g.recordRefused(c, s, err)
		return nil, err
	}
	return s, nil
}

// authenticate returns the session as far as it got, for the record of a refusal.
func (g *Gate) authenticate(ctx context.Context, c seam.Credentials) (*Session, error) {
	s := g.begun("ses_"+ulid.Make().String(), c.Protocol, c.Target)
	if err := g.admissible(); err != nil {
		return s, err
	}
	claim, err := g.identify(ctx, s, c)
	if err != nil {
		return s, err
	}
	if err := s.resolveTarget(c); err != nil {
		return s, err
	}
	if !g.Policy.Current().Engine.Reaches(s.principal, s.policyTarget(), g.Now()) {
		return s, unreachable(s)
	}
	if claim != nil { // last, so that a refusal for another reason does not use the token up
		if err := claim(); err != nil {
			return s, err
		}
	}
	if err := g.recordDurably(ctx, s.record(eventv1.Kind_KIND_SESSION_OPENED, func(r *eventv1.Record) {
		r.Details = asserted(c)
	})); err != nil {
		return s, err
	}
	g.add(s)
	return s, nil
}

// identify sets the session's principal from the secret, and returns what uses
// the secret up.
func (g *Gate) identify(ctx context.Context, s *Session, c seam.Credentials) (claim func() error, err error) {
	if credential.IsRun(c.Secret) {
		run, giveBack, err := g.Runs.Open(c.Secret, c.Target)
		if err != nil {
			return nil, err
		}
		s.principal, s.reason, s.traceID, s.run, s.giveBack = run.Principal, run.Reason, run.TraceID, run, giveBack
		return nil, nil
	}
	verified, err := g.Verifier.Verify(ctx, c.Secret)
	if err != nil {
		return nil, err
	}
	s.principal, s.traceID = verified.Principal, TraceID(verified.Principal)
	if !verified.SingleUse {
		return nil, nil
	}
	return func() error {
		return g.Used.Claim(ctx, verified.ReplayKey, credential.Use{By: "session " + s.id, Gateway: g.Config().Gateway.ID, At: g.Now()})
	}, nil
}

func (g *Gate) add(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[s.id] = s
	limit := s.limit()
	s.timer = time.AfterFunc(limit, func() {
		s.end(&refusal.Refusal{
			Code: refusal.SessionEnded, ID: s.id, Message: fmt.Sprintf("the session reached its limit of %s", limit.Round(time.Second)),
			Hint: "Connect again, or raise the target's session_limit.",
		})
	})
	if s.run != nil {
		s.unwatch = s.run.OnEnd(s.endWithRun)
	}
}

func (g *Gate) remove(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, s.id)
}

// Sessions returns how many sessions are open.
func (g *Gate) Sessions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// Drain stops admitting and cancels what is held. Running commands go on.
func (g *Gate) Drain() {
	g.draining.Store(true)
	g.Desk.Stop()
}

// EndAll ends every session that is still open.
func (g *Gate) EndAll() {
	g.mu.Lock()
	open := make([]*Session, 0, len(g.sessions))
	for _, s := range g.sessions {
		open = append(open, s)
	}
	g.mu.Unlock()
	for _, s := range open {
		s.end(&refusal.Refusal{Code: refusal.ShuttingDown, ID: s.id, Message: "the gateway is restarting", Hint: "Connect again in a moment."})
	}
}

// recordRefused keeps sign-in failures, at a bounded rate: whoever has no
// token must not be able to fill the journal.
func (g *Gate) recordRefused(c seam.Credentials, s *Session, err error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) || !g.refused.Allow() {
		return
	}
	s.release()
	g.Records.Later(s.record(eventv1.Kind_KIND_SESSION_REFUSED, func(rec *eventv1.Record) {
		rec.Status, rec.Code, rec.Message, rec.Details = "refused", string(r.Code), r.Message, asserted(c)
	}))
}

// asserted is what a client merely said, for the record: bounded and printable.
func asserted(c seam.Credentials) map[string]string {
	m := map[string]string{"remote": c.Remote}
	for k, v := range c.Asserted {
		if len(v) > 256 {
			v = v[:256]
		}
		m["asserted."+k] = strings.ToValidUTF8(v, "\uFFFD")
	}
	return m
}

func unrecorded(err error) error {
	return fmt.Errorf("%w: %w", &refusal.Refusal{
		Code: refusal.JournalUnavailable, Message: "the gateway cannot record, so it does nothing",
		Hint: "Operators: check the journal's disk and its size (gateway.journal_bytes).",
	}, err)
}

// recordDurably waits for the record, but no longer than durableLimit, and not
// bound to a client that may hang up half-way.
func (g *Gate) recordDurably(ctx context.Context, r *eventv1.Record) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), durableLimit)
	defer cancel()
	if err := g.Records.Record(bounded, r); err != nil {
		return unrecorded(err)
	}
	return nil
}
