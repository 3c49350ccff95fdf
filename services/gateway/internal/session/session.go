package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/copied"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Session implements seam.Session.
type Session struct {
	gate      *Gate
	id        string
	protocol  string
	principal *eventv1.Principal
	reason    string
	traceID   string
	target    string
	database  string
	conf      config.Target
	run       *credential.Run
	giveBack  func()
	unwatch   func() bool // of the run
	started   time.Time
	timer     *time.Timer

	temporary atomic.Pointer[copied.List] // copies in tables of this session only
	masks     atomic.Pointer[masks]

	sequence atomic.Uint64
	text     atomic.Pointer[string] // of the latest command
	closed   sync.Once
	released sync.Once

	copies copies

	life context.Context //nolint:containedctx // the session's own, which ends with a cause
	stop context.CancelCauseFunc
}

var _ seam.Session = (*Session)(nil)

// begun returns a session as it is before anything is known of who opens it.
func (g *Gate) begun(id, protocol, target string) *Session {
	s := &Session{gate: g, id: id, protocol: protocol, target: target, started: g.Now()}
	s.life, s.stop = context.WithCancelCause(context.Background())
	return s
}

// resolveTarget finds the target and the database in the present configuration.
func (s *Session) resolveTarget(c seam.Credentials) error {
	conf, ok := s.gate.Config().Targets[c.Target]
	if !ok || conf.Protocol != c.Protocol {
		return &refusal.Refusal{
			Code: refusal.TargetUnknown, Message: fmt.Sprintf("there is no %s target %q", c.Protocol, c.Target),
			Hint: "Name a target of gatestay.yaml as the database: prod-db, or prod-db/otherdb.",
		}
	}
	s.conf, s.database = conf, conf.Database
	if c.Database != "" && c.Database != conf.Database {
		if !slices.Contains(conf.Databases, "*") && !slices.Contains(conf.Databases, c.Database) {
			return &refusal.Refusal{
				Code: refusal.TargetUnknown, Message: fmt.Sprintf("target %s does not open database %q", c.Target, c.Database),
				Hint: "List it under the target's databases in gatestay.yaml.",
			}
		}
		s.database = c.Database
	}
	return nil
}

// limit is how long the session may last.
func (s *Session) limit() time.Duration {
	limit := s.conf.SessionLimit.Or(defaultSessionLimit)
	if s.run != nil {
		limit = min(limit, s.run.Expires.Sub(s.gate.Now()))
	}
	return max(limit, 0)
}

// endWithRun ends the session when its run ends.
func (s *Session) endWithRun() {
	s.end(&refusal.Refusal{Code: refusal.SessionEnded, ID: s.id, Message: "the step that opened this session has ended"})
}

// end ends the session; the first cause counts.
func (s *Session) end(cause error) { s.stop(cause) }

// ID implements seam.Session.
func (s *Session) ID() string { return s.id }

// Context implements seam.Session.
func (s *Session) Context() context.Context { return s.life }

// ScrubError implements seam.Session: what the client itself has just sent is
// no secret to it, and an error that names a mistyped column stays readable.
func (s *Session) ScrubError(text string) string {
	if own := s.text.Load(); own != nil {
		return s.scrubError(text, *own)
	}
	return s.scrubError(text)
}

// scrubError lets pass what known already says. Without a masking bundle
// nothing of the text passes.
func (s *Session) scrubError(text string, known ...string) string {
	current := s.gate.Masking.Current()
	if current == nil {
		return "(withheld: no masking rules are loaded)"
	}
	return current.Engine.ScrubError(s.target, text, known...)
}

// Close implements seam.Session.
func (s *Session) Close(reason string) {
	s.closed.Do(func() {
		if s.timer != nil {
			s.timer.Stop()
		}
		if s.unwatch != nil {
			s.unwatch()
		}
		s.end(&refusal.Refusal{Code: refusal.SessionEnded, ID: s.id, Message: "the session is closed"})
		s.gate.remove(s)
		s.release()
		s.copies.end()
		s.gate.Records.Later(s.record(eventv1.Kind_KIND_SESSION_CLOSED, func(r *eventv1.Record) {
			r.Action = reason
			r.DurationNs = s.gate.Now().Sub(s.started).Nanoseconds()
		}))
	})
}

// release gives the run its connection back.
func (s *Session) release() {
	s.released.Do(func() {
		if s.giveBack != nil {
			s.giveBack()
		}
	})
}

func (s *Session) policyTarget() policy.Target {
	return policy.Target{Name: s.target, Environment: s.conf.Environment, Protocol: s.protocol, Database: s.database}
}

// record starts a record of this session, numbered within it.
func (s *Session) record(kind eventv1.Kind, fill func(*eventv1.Record)) *eventv1.Record {
	r := &eventv1.Record{
		Kind: kind, SessionId: s.id, SessionSequence: s.sequence.Add(1), TraceId: s.traceID, Principal: s.principal,
		Target: s.target, Database: s.database, Environment: s.conf.Environment, Protocol: s.protocol, Reason: s.reason,
	}
	if fill != nil {
		fill(r)
	}
	return r
}

// TraceID ties all sessions of one job together: the same job (run, attempt,
// job id) always gets the same id. 32 hex digits.
func TraceID(p *eventv1.Principal) string {
	h := sha256.New()
	for _, part := range []string{p.GetIssuer(), p.GetSubject(), p.GetRepositoryId(), p.GetRunId(), p.GetRunAttempt(), p.GetJobId()} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func describe(p *eventv1.Principal) string { return approval.Describe(p) }
