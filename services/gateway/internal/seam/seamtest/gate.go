package seamtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Secret is the credential that a Gate takes.
const Secret = "open-sesame"

// Decision is what a script says of a command. The zero value allows it.
type Decision struct {
	Refuse  *refusal.Refusal // deny, with this
	Hold    bool             // until the Held is approved or denied
	MaxRows int64
	// MaxBytes is what Permit.MaxBytes returns.
	MaxBytes int64
	// Translated is what Permit.Translated returns.
	Translated map[int][]byte
	// Written, where set, is Permit.Written.
	Written func(columns []string) (seam.Inspector, error)
	// Durable, where set, is closed by the test when the intent is durable.
	Durable <-chan struct{}
	// Stands, where set, is Permit.Stands.
	Stands func(begun bool) error
	// Check, where set, is Permit.Check, and Limit its limit.
	Check func(*seam.Rehearsal) error
	Limit time.Duration
	// Rehearse, where set, is how long the command is rehearsed before: what Check
	// does not let pass then is refused with its error. Between is called behind.
	Rehearse time.Duration
	Between  func()
	// Wait lets Admit wait for Durable, as for a write.
	Wait bool
}

// Gate is a seam.Gate that follows a script. Set its fields before it is used;
// the methods are safe for concurrent use.
type Gate struct {
	Upstream seam.Upstream
	// Decide is the script; nil allows all.
	Decide func(*seam.Command) Decision
	// Masked are columns whose values are replaced by Mask.
	Masked []seam.MaskedColumn
	// Detects is whether every text is to be looked into, as by a detector: what
	// cannot be is refused.
	Detects bool
	// Mask replaces a value; nil stands for "***".
	Mask func(value []byte) []byte
	// Scrub stands for the masking of error texts; nil leaves them.
	Scrub func(string) string
	// Forget keeps no account of commands: for measuring.
	Forget bool

	mu       sync.Mutex
	sessions []*Session
	admitted []*Admitted
	refused  []*Admitted
	waiting  []*Admitted
	notFound []seam.MaskedColumn
	held     chan *Held
	once     sync.Once
}

var _ seam.Gate = (*Gate)(nil)

// Admitted is a command that Admit was called for, and what became of it.
type Admitted struct {
	seam.Command
	Err error // of Admit

	mu      sync.Mutex
	outcome *seam.Outcome
	times   int
}

// Outcome returns how the command ended, nil while it has not, and how often
// that was said.
func (a *Admitted) Outcome() (*seam.Outcome, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.outcome, a.times
}

// Held is a command that waits for the test.
type Held struct {
	Command seam.Command
	answer  chan error
}

// Approve lets the command run.
func (h *Held) Approve() { h.answer <- nil }

// Deny refuses it.
func (h *Held) Deny() {
	h.answer <- &refusal.Refusal{Code: refusal.ApprovalDenied, Message: "denied by the test"}
}

func (g *Gate) holds() chan *Held {
	g.once.Do(func() { g.held = make(chan *Held, 64) })
	return g.held
}

// Held returns the commands that are held, as they come.
func (g *Gate) Held() <-chan *Held { return g.holds() }

// Admitted returns the commands asked for so far whose text contains needle.
func (g *Gate) Admitted(needle string) []*Admitted {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []*Admitted
	for _, a := range g.admitted {
		if strings.Contains(a.Text, needle) {
			found = append(found, a)
		}
	}
	return found
}

// Refused returns the commands that the protocol refused by itself.
func (g *Gate) Refused() []*Admitted {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*Admitted(nil), g.refused...)
}

// Waiting returns the commands whose Admit has waited for its record.
func (g *Gate) Waiting() []*Admitted {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*Admitted(nil), g.waiting...)
}

// Sessions returns the sessions opened so far.
func (g *Gate) Sessions() []*Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*Session(nil), g.sessions...)
}

// Authenticate implements seam.Gate.
func (g *Gate) Authenticate(_ context.Context, c seam.Credentials) (seam.Session, error) {
	if c.Secret != Secret {
		return nil, &refusal.Refusal{Code: refusal.TokenInvalid, Message: "the token is not the test's", Hint: "Use seamtest.Secret."}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &Session{gate: g, Credentials: c, id: fmt.Sprintf("ses_test%d", len(g.sessions))}
	s.life, s.stop = context.WithCancelCause(context.Background())
	g.sessions = append(g.sessions, s)
	return s, nil
}

// Session is a scripted session.
type Session struct {
	Credentials seam.Credentials

	gate *Gate
	id   string

	mu     sync.Mutex
	life   context.Context //nolint:containedctx // the session's own
	stop   context.CancelCauseFunc
	closed string
}

var _ seam.Session = (*Session)(nil)

// ID implements seam.Session.
func (s *Session) ID() string { return s.id }

// Upstream implements seam.Session.
func (s *Session) Upstream(context.Context) (seam.Upstream, error) {
	up := s.gate.Upstream
	if s.Credentials.Database != "" {
		up.Database = s.Credentials.Database
	}
	return up, nil
}

// Masks implements seam.Session.
func (s *Session) Masks() []seam.MaskedColumn { return s.gate.Masked }

func (s *Session) decide(c *seam.Command) Decision {
	if s.gate.Decide == nil {
		return Decision{}
	}
	return s.gate.Decide(c)
}

// Precheck implements seam.Session.
func (s *Session) Precheck(c *seam.Command) error {
	if d := s.decide(c); d.Refuse != nil && !d.Hold {
		return d.Refuse
	}
	return nil
}

// NotFound implements seam.Session.
func (s *Session) NotFound(columns []seam.MaskedColumn) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.gate.notFound = append(s.gate.notFound, columns...)
}

// NotFound are the masked columns that sessions did not find.
func (g *Gate) NotFound() []seam.MaskedColumn {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.notFound)
}

// WouldHold implements seam.Session.
func (s *Session) WouldHold(c *seam.Command) bool { return s.decide(c).Hold }

// Admit implements seam.Session.
func (s *Session) Admit(ctx context.Context, c *seam.Command) (seam.Permit, error) {
	a := &Admitted{Command: *c}
	d := s.decide(c)
	switch {
	case d.Hold && c.Dirty:
		a.Err = &refusal.Refusal{Code: refusal.HoldInTx, Message: "the transaction has written"}
	case d.Hold:
		a.Err = s.hold(ctx, c)
	case d.Refuse != nil:
		a.Err = d.Refuse
	case d.Rehearse > 0:
		a.Err = d.Check(c.Rehearse(ctx, d.Rehearse, func() error { return nil }))
		if d.Between != nil {
			d.Between()
		}
	}
	s.gate.mu.Lock()
	if !s.gate.Forget {
		s.gate.admitted = append(s.gate.admitted, a)
	}
	s.gate.mu.Unlock()
	if a.Err != nil {
		return nil, a.Err
	}
	if d.Wait {
		if err := s.waitDurable(ctx, a, d); err != nil {
			return nil, err
		}
	}
	return &permit{gate: s.gate, command: a, decision: d}, nil
}

func (s *Session) waitDurable(ctx context.Context, a *Admitted, d Decision) error {
	s.gate.mu.Lock()
	s.gate.waiting = append(s.gate.waiting, a)
	s.gate.mu.Unlock()
	p := &permit{gate: s.gate, command: a, decision: d}
	if err := p.Durable(ctx); err != nil {
		a.Err = &refusal.Refusal{Code: refusal.JournalUnavailable, Message: err.Error()}
		return a.Err
	}
	return nil
}

func (s *Session) hold(ctx context.Context, c *seam.Command) error {
	h := &Held{Command: *c, answer: make(chan error, 1)}
	c.Notify(seam.Notice{Code: "GS1300", Message: "held by the test", Detail: "until it says so"})
	s.gate.holds() <- h
	select {
	case err := <-h.answer:
		if err != nil || c.Refresh == nil {
			return err
		}
		facts, err := c.Refresh(ctx)
		if err == nil && !facts.Same(&c.Facts) {
			err = &refusal.Refusal{Code: refusal.StateChanged, Message: "what the command touches changed while it was held"}
		}
		return err //nolint:wrapcheck // what the adapter says, as the core passes it on
	case <-ctx.Done():
		return &refusal.Refusal{Code: refusal.ApprovalCancelled, Message: "cancelled: " + context.Cause(ctx).Error()}
	case <-s.life.Done():
		return context.Cause(s.life) //nolint:wrapcheck,contextcheck // a refusal, of the session's own life
	}
}

// Refused implements seam.Session.
func (s *Session) Refused(c *seam.Command, cause error) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.gate.refused = append(s.gate.refused, &Admitted{Command: *c, Err: cause})
}

// Context implements seam.Session.
func (s *Session) Context() context.Context { return s.life }

// End ends the session, as a kill or a hard limit would.
func (s *Session) End(cause *refusal.Refusal) { s.stop(cause) }

// ScrubError implements seam.Session.
func (s *Session) ScrubError(text string) string {
	if s.gate.Scrub == nil {
		return text
	}
	return s.gate.Scrub(text)
}

// Close implements seam.Session.
func (s *Session) Close(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == "" {
		s.closed = reason
	}
}

// Closed returns the reason the session was closed with, empty while it is open.
func (s *Session) Closed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

type permit struct {
	gate     *Gate
	command  *Admitted
	decision Decision
}

var errNotDurable = errors.New("seamtest: not durable")

// Durable implements seam.Permit.
func (p *permit) Durable(ctx context.Context) error {
	if p.decision.Durable == nil {
		return nil
	}
	select {
	case <-p.decision.Durable:
		return nil
	case <-ctx.Done():
		return errors.Join(errNotDurable, context.Cause(ctx))
	}
}

// DurableNow implements seam.Permit.
func (p *permit) DurableNow() bool {
	if p.decision.Durable == nil {
		return true
	}
	select {
	case <-p.decision.Durable:
		return true
	default:
		return false
	}
}

// Stands implements seam.Permit.
func (p *permit) Stands(begun bool) error {
	if p.decision.Stands == nil {
		return nil
	}
	return p.decision.Stands(begun)
}

// Translated implements seam.Permit.
func (p *permit) Translated() map[int][]byte { return p.decision.Translated }

// Check implements seam.Permit.
func (p *permit) Check() (func(*seam.Rehearsal) error, time.Duration) {
	return p.decision.Check, p.decision.Limit
}

// MaxRows implements seam.Permit.
func (p *permit) MaxRows() int64 { return p.decision.MaxRows }

// MaxBytes implements seam.Permit.
func (p *permit) MaxBytes() int64 { return p.decision.MaxBytes }

// Done implements seam.Permit.
func (p *permit) Done(o seam.Outcome) {
	p.command.mu.Lock()
	defer p.command.mu.Unlock()
	p.command.outcome = &o
	p.command.times++
}

// Written implements seam.Permit.
func (p *permit) Written(columns []string) (seam.Inspector, error) {
	if p.decision.Written == nil {
		return nil, nil
	}
	return p.decision.Written(columns)
}

// Result implements seam.Permit.
func (p *permit) Result(columns []seam.Column) (seam.Masker, error) {
	m := &masker{touched: make([]bool, len(columns)), mask: p.gate.Mask}
	found := false
	for i, c := range columns {
		if !c.Tainted && !p.gate.masks(c.Origin) {
			if p.gate.Detects && c.Binary && c.Kind == seam.KindOther {
				return nil, &refusal.Refusal{Code: refusal.BinaryMasked, Message: "column " + c.Name + " cannot be searched in binary"}
			}
			continue
		}
		if c.Binary && (c.Element != 0 || c.Kind != seam.KindText && c.Kind != seam.KindJSON) {
			return nil, &refusal.Refusal{Code: refusal.BinaryMasked, Message: "column " + c.Name + " is masked and binary"}
		}
		m.touched[i], found = true, true
	}
	if !found {
		return nil, nil
	}
	return m, nil
}

func (g *Gate) masks(c seam.MaskedColumn) bool {
	for _, m := range g.Masked {
		if m.Schema == c.Schema && m.Table == c.Table && m.Column == c.Column {
			return true
		}
	}
	return false
}

type masker struct {
	touched []bool
	mask    func([]byte) []byte
}

// Untouched implements seam.Masker.
func (m *masker) Untouched(i int) bool { return !m.touched[i] }

// Mask implements seam.Masker.
func (m *masker) Mask(_ int, value []byte) ([]byte, bool) {
	if m.mask == nil {
		return []byte("***"), true
	}
	return m.mask(value), true
}
