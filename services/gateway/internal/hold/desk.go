// Package hold pauses a command until its approval is decided: it raises the
// request on the bus, waits, and verifies the signed decision against what the
// gateway itself remembers of the command, never against the bus.
package hold

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Desk raises requests and hands decisions to those who wait. Safe for
// concurrent use.
type Desk struct {
	gateway string
	trust   seal.Trust
	grants  *grant.Book
	log     zerolog.Logger
	now     func() time.Time

	mu      sync.Mutex
	bus     *bus.Bus
	waiting map[string]chan *eventv1.Signed
	stop    chan struct{}
	once    sync.Once
	ran     chan *eventv1.ApprovalOutcome
}

// NewDesk returns a desk for one gateway.
func NewDesk(gateway string, trust seal.Trust, grants *grant.Book, log zerolog.Logger, now func() time.Time) *Desk {
	return &Desk{
		gateway: gateway, trust: trust, grants: grants, log: log, now: now, waiting: map[string]chan *eventv1.Signed{}, stop: make(chan struct{}),
		ran: make(chan *eventv1.ApprovalOutcome, maxRan),
	}
}

// Stop cancels every hold: the gateway is going down.
func (d *Desk) Stop() { d.once.Do(func() { close(d.stop) }) }

// Waiting returns how many commands are held now.
func (d *Desk) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting)
}

// Run receives decisions, and tells how approved commands ended, until ctx ends.
func (d *Desk) Run(ctx context.Context, b *bus.Bus) error {
	d.mu.Lock()
	d.bus = b
	d.mu.Unlock()
	var telling sync.WaitGroup
	telling.Go(func() { d.tell(ctx, b) })
	defer telling.Wait()
	b.Follow(ctx, d.log, bus.StreamApprovals, []string{bus.ApprovalSubject(d.gateway, "*", bus.Decided)},
		func() time.Time { return d.now().Add(-lookBack) }, d.receive)
	return nil
}

// lookBack is longer than any hold lives, so that a decision that came while the
// bus was away is not missed.
const lookBack = 25 * time.Hour

func (d *Desk) receive(subject string, data []byte) {
	_, id, _, ok := bus.ParseApprovalSubject(subject)
	if !ok {
		return
	}
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(data, signed); err != nil {
		d.log.Error().Str("approval_id", id).Msg("a decision that cannot be read was ignored")
		return
	}
	d.deliver(id, signed)
}

func (d *Desk) deliver(id string, s *eventv1.Signed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ch, ok := d.waiting[id]; ok {
		select {
		case ch <- s:
		default: // full of unread decisions: forgeries cannot pile up in memory
		}
	}
}

// Result is how a hold ended in favour of the command.
type Result struct {
	ApprovalID string
	Approvers  []string // persons whose votes counted
	Said       []string // what they gave as reasons, "dana: …"
	Wait       time.Duration
	Expires    time.Time    // until when it may be used
	Grant      *grant.Taken // the use of a grant that it was; nil for one command's approval
	Glass      bool         // nobody approved: the glass is broken, and it is reviewed
}

// Hold publishes the request and blocks until it is decided, its deadline
// passes, ctx ends (the client is gone or cancelled) or the gateway stops. It
// returns a *refusal.Refusal unless the command may go on. want holds all that
// the decision must be bound to but the request's hash. take uses a grant that
// covers the command, which may come while it waits.
func (d *Desk) Hold(
	ctx context.Context, r *eventv1.ApprovalRequest, want approval.Expectation, take func(context.Context) (*grant.Taken, error),
) (*Result, error) {
	raw, err := proto.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("hold: marshal request: %w", err)
	}
	want.RequestHash = approval.RequestHash(raw)
	decisions := make(chan *eventv1.Signed, 16)
	d.mu.Lock()
	b := d.bus
	d.waiting[r.Id] = decisions
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.waiting, r.Id)
		d.mu.Unlock()
	}()
	if err := d.request(ctx, b, r.Id, raw); err != nil {
		return nil, err
	}
	started := d.now()
	deadline := time.NewTimer(r.Deadline.AsTime().Sub(started))
	defer deadline.Stop()
	changed := closed() // look once: a grant may have come since the caller looked
	for {
		select {
		case <-changed:
			changed = d.grants.Changed()
			if result := d.passes(ctx, b, r.Id, take); result != nil {
				result.Wait = d.now().Sub(started)
				return result, nil
			}
		case s := <-decisions:
			want.Now = d.now()
			decision, err := approval.Verify(d.trust, s, want)
			if decision == nil {
				d.log.Error().Err(err).Str("approval_id", r.Id).Msg("a decision that does not fit was ignored; the hold goes on")
				continue
			}
			if err != nil {
				return nil, err
			}
			return d.approved(ctx, decision, want, d.now().Sub(started))
		case <-deadline.C:
			d.cancel(ctx, b, r.Id, approval.DeadlinePassed)
			return nil, &refusal.Refusal{
				Code: refusal.ApprovalExpired, ID: r.Id, Rule: r.Rule,
				Message: "nobody approved the command before its deadline",
				Hint:    "Run it again when an approver is there.",
			}
		case <-ctx.Done():
			reason, message := approval.ClientGone, "the client went away while its command was held"
			var ended *refusal.Refusal
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, ErrClientCancelled):
				reason, message = approval.ClientCancelled, "the client cancelled the command while it was held"
			case errors.As(cause, &ended):
				message = "the session ended while its command was held: " + ended.Message
			}
			d.cancel(ctx, b, r.Id, reason)
			return nil, &refusal.Refusal{Code: refusal.ApprovalCancelled, ID: r.Id, Rule: r.Rule, Message: message}
		case <-d.stop:
			d.cancel(ctx, b, r.Id, approval.GatewayStopping)
			return nil, &refusal.Refusal{
				Code: refusal.ShuttingDown, ID: r.Id, Rule: r.Rule,
				Message: "the gateway is stopping; the held command did not run", Hint: "Run it again; it asks anew.",
			}
		}
	}
}

// Ask publishes a request whose client does not wait. It returns a
// *refusal.Refusal where the bus does not answer.
func (d *Desk) Ask(ctx context.Context, r *eventv1.ApprovalRequest) error {
	raw, err := proto.Marshal(r)
	if err != nil {
		return fmt.Errorf("hold: marshal request: %w", err)
	}
	d.mu.Lock()
	b := d.bus
	d.mu.Unlock()
	return d.request(ctx, b, r.Id, raw)
}

func (d *Desk) request(ctx context.Context, b *bus.Bus, id string, raw []byte) error {
	if err := d.publish(ctx, b, bus.Requested, id, raw, d.grants.Tag(approval.RequestHash(raw))); err != nil {
		return fmt.Errorf("%w: %w", &refusal.Refusal{
			Code:    refusal.BusUnavailable,
			Message: "the command needs an approval, and the request could not be sent: the bus does not answer",
			Hint:    "Try again in a moment.",
		}, err)
	}
	return nil
}

// Void withdraws an approval that was given but no longer fits.
func (d *Desk) Void(ctx context.Context, id string) {
	d.mu.Lock()
	b := d.bus
	d.mu.Unlock()
	d.cancel(ctx, b, id, approval.RuleChanged)
}

// ErrClientCancelled is the cancel cause of a context that the client's own
// cancel request ended.
var ErrClientCancelled = seam.ErrClientCancelled

func (d *Desk) cancel(ctx context.Context, b *bus.Bus, id, reason string) {
	raw, err := proto.Marshal(&eventv1.ApprovalCancelled{ApprovalId: id, Reason: reason, At: timestamppb.New(d.now())})
	if err == nil {
		err = d.publish(ctx, b, bus.Cancelled, id, raw, nil)
	}
	if err != nil {
		d.log.Warn().Err(err).Str("approval_id", id).Msg("cancellation not sent; the approval will expire by itself")
	}
}

// publish is not bound to the client's context: a cancellation goes out after
// the client has gone.
func (d *Desk) publish(ctx context.Context, b *bus.Bus, event, id string, raw, tag []byte) error {
	if b == nil {
		return errors.New("hold: not connected yet")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	m := nats.NewMsg(bus.ApprovalSubject(d.gateway, id, event))
	m.Data = raw
	if tag != nil {
		m.Header.Set(bus.TagHeader, hex.EncodeToString(tag))
	}
	once := m.Subject
	if event == bus.Ran || event == bus.Used { // of one approval there are many
		sum := sha256.Sum256(raw)
		once += "." + hex.EncodeToString(sum[:16])
	}
	if _, err := b.JS.PublishMsg(ctx, m, jetstream.WithMsgID(once)); err != nil {
		return fmt.Errorf("hold: publish %s: %w", event, err)
	}
	return nil
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// passes lets a waiting command pass by a grant, nil where none covers it. Its
// own request is withdrawn, unless it is what was granted.
func (d *Desk) passes(ctx context.Context, b *bus.Bus, id string, take func(context.Context) (*grant.Taken, error)) *Result {
	taken, err := take(ctx)
	if err != nil {
		if !errors.Is(err, grant.ErrNone) {
			d.log.Warn().Err(err).Str("approval_id", id).Msg("uses of a grant could not be counted; the hold goes on")
		}
		return nil
	}
	if taken.Decision.ApprovalId != id {
		d.cancel(ctx, b, id, approval.Granted)
	}
	return Granted(taken)
}

// approved uses an approval that fits the command, the first use of a grant
// where it is one.
func (d *Desk) approved(ctx context.Context, decision *eventv1.ApprovalDecision, want approval.Expectation, wait time.Duration) (*Result, error) {
	var taken *grant.Taken
	if decision.Grant != nil {
		var err error
		taken, err = d.grants.Spend(ctx, decision, grant.Use{Command: want.Command, Session: want.Session, Gateway: want.Gateway, At: want.Now.UTC()})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", approval.UsedUp(decision.ApprovalId), err)
		}
	}
	r := passed(decision, taken)
	r.Wait = wait
	return r, nil
}

// Granted is the result of a use that was taken of a grant.
func Granted(taken *grant.Taken) *Result { return passed(taken.Decision, taken) }

func passed(d *eventv1.ApprovalDecision, taken *grant.Taken) *Result {
	r := &Result{ApprovalID: d.ApprovalId, Grant: taken, Expires: d.ExpiresAt.AsTime()}
	r.Approvers, r.Said = approval.Approving(d)
	return r
}
