// Package credential holds what opens a session: single-use tokens, and the
// run-bound credentials they are exchanged for.
package credential

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/plan"
)

// How a run treats holds, whatever the rules say.
const (
	Wait   = "wait"
	NoWait = "no-wait"
)

// Prefix marks a run-bound credential.
const Prefix = "gsr_"

// Run is one step of a job that exchanged its token. It lives in the gateway's
// memory only: a restart ends it.
type Run struct {
	ID          string // run_ + ULID
	Principal   *eventv1.Principal
	Target      string
	Reason      string
	TraceID     string
	Connections int // open at the same time, at most
	Expires     time.Time
	// Wait overrides what the rules say of holds: Wait, NoWait, or empty.
	Wait string
	// BreakGlass: what would be held passes at once where its rule lets it.
	BreakGlass bool
	// Plan is the approved plan that the run uses; nil for none.
	Plan     *plan.Plan
	Sequence uint64 // of the run's last record

	life context.Context //nolint:containedctx // the step's, which its sessions watch
	end  context.CancelFunc
	open int // guarded by Runs.mu
}

// Ended is closed when the step has ended: its sessions end too.
func (r *Run) Ended() <-chan struct{} { return r.life.Done() }

// OnEnd calls f, once, when the step has ended, in a goroutine of its own. stop
// takes that back.
func (r *Run) OnEnd(f func()) (stop func() bool) { return context.AfterFunc(r.life, f) }

// Runs issues and looks up run-bound credentials. Safe for concurrent use.
type Runs struct {
	now func() time.Time

	mu    sync.Mutex
	byKey map[[32]byte]*Run // by SHA-256 of the credential: the credential itself is not kept
}

// NewRuns returns an empty set.
func NewRuns(now func() time.Time) *Runs {
	return &Runs{now: now, byKey: map[[32]byte]*Run{}}
}

// NewRunID returns a fresh run id.
func NewRunID() string { return "run_" + ulid.Make().String() }

// Issue completes r and returns its credential.
func (s *Runs) Issue(r *Run) (string, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", fmt.Errorf("credential: %w", err)
	}
	raw := Prefix + base64.RawURLEncoding.EncodeToString(secret[:])
	r.life, r.end = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	s.byKey[sha256.Sum256([]byte(raw))] = r
	return raw, nil
}

// Lookup returns the live run of a credential, or *refusal.Refusal GS1109.
func (s *Runs) Lookup(raw string) (*Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.byKey[sha256.Sum256([]byte(raw))]
	if !ok || !s.now().Before(r.Expires) {
		return nil, &refusal.Refusal{
			Code:    refusal.CredentialInvalid,
			Message: "this run-bound credential is not known: its step has ended, its time is over, or the gateway was restarted",
			Hint:    "Start the step again with 'gatestay run TARGET -- COMMAND'.",
		}
	}
	return r, nil
}

// Open counts one connection of the run for a target. The returned func gives
// it back.
func (s *Runs) Open(raw, target string) (*Run, func(), error) {
	r, err := s.Lookup(raw)
	if err != nil {
		return nil, nil, err
	}
	if r.Target != target {
		return nil, nil, &refusal.Refusal{
			Code:    refusal.CredentialInvalid,
			Message: fmt.Sprintf("this run-bound credential is for target %s, not %s", r.Target, target),
			Hint:    fmt.Sprintf("Use 'gatestay run %s -- COMMAND' for the other target.", target),
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-r.life.Done():
		return nil, nil, &refusal.Refusal{Code: refusal.CredentialInvalid, Message: "this run has ended"}
	default:
	}
	if r.open >= r.Connections {
		return nil, nil, &refusal.Refusal{
			Code:    refusal.LimitReached,
			Message: fmt.Sprintf("this run has %d connections open, as many as it may", r.open),
			Hint:    "Let the client open fewer at a time, or raise gateway.run_connections.",
		}
	}
	r.open++
	var once sync.Once
	return r, func() {
		once.Do(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			r.open--
		})
	}, nil
}

// End ends the run of a credential and with it its sessions.
func (s *Runs) End(raw string) (*Run, error) {
	r, err := s.Lookup(raw)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	delete(s.byKey, sha256.Sum256([]byte(raw)))
	s.mu.Unlock()
	r.end()
	return r, nil
}

// sweep drops runs whose time is over. The caller holds mu.
func (s *Runs) sweep() {
	for key, r := range s.byKey {
		if !s.now().Before(r.Expires) {
			r.end()
			delete(s.byKey, key)
		}
	}
}

// IsRun reports whether a secret has the form of a run-bound credential.
func IsRun(secret string) bool { return strings.HasPrefix(secret, Prefix) }
