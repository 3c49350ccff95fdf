package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/chat"
	"github.com/gatestay/gatestay/services/approval/internal/copies"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/outbox"
	"github.com/gatestay/gatestay/services/approval/internal/rulebook"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const (
	closeLimit  = 3 * time.Second
	maxWhispers = 256
	maxSettling = 4096
	maxFindings = 256
)

// running is what exists while the bus is there.
type running struct {
	s        *Service
	bus      *bus.Bus
	store    *store.Store
	rules    *rulebook.Follower
	desk     *desk.Desk
	outbox   *outbox.Outbox // nil without Slack
	notify   []notifier     // that, and the webhooks
	producer *event.Producer
	copies   *copies.Registry
	settling chan string
	reviewed chan struct{}
	findings chan *eventv1.Record
}

func (s *Service) newRunning(ctx context.Context, b *bus.Bus) (*running, error) {
	kv, err := b.JS.KeyValue(ctx, bus.BucketApprovals)
	if err != nil {
		return nil, fmt.Errorf("approval: bucket: %w", err)
	}
	r := &running{
		s: s, bus: b, store: store.New(kv, s.deps.Log), settling: make(chan string, maxSettling), reviewed: make(chan struct{}, 1),
		findings: make(chan *eventv1.Record, maxFindings),
	}
	r.rules = &rulebook.Follower{Trust: s.policy, Log: s.deps.Log, Floor: r.store, Changed: r.rulesChanged}
	r.desk = &desk.Desk{
		Store: r.store, Rules: r.rules.Current, Key: s.key, Bus: desk.JetStream{JS: b.JS}, Now: s.deps.Now, Log: s.deps.Log,
		Inbox: s.InboxURL(), Policy: s.policy, Hooks: s.hookNames(), Changed: func(st *machine.State) { r.changed(st, true) }, Finding: r.finding, Metrics: s.metrics.desk,
	}
	if s.slack != nil {
		r.desk.Slack = s.slack.client
		r.outbox = &outbox.Outbox{
			Store: r.store, Poster: s.slack.client, Electorate: r.desk.Electorate, Reviewers: r.desk.Reviewers, People: r.people, Channel: s.cfg.Approval.Slack.Channel, Inbox: s.InboxURL(),
			Owner: s.instance + "/" + ulid.Make().String(), Now: s.deps.Now, Log: s.deps.Log, Metrics: s.metrics.outbox,
		}
	}
	r.notify = r.tellers()
	if r.outbox != nil {
		r.notify = append(r.notify, r.outbox)
	}
	trust, err := seal.LoadTrust(s.cfg.Paths(s.cfg.Trust.Approval)...)
	if err != nil {
		return nil, fmt.Errorf("approval: trust.approval: %w", err)
	}
	r.producer = event.NewProducer("approval/"+s.instance, s.key, bus.NewSink(r.bus, bus.AdminSubject("approval", s.instance))) //nolint:contextcheck // it outlives ctx: Close waits for the last records
	r.copies = &copies.Registry{JS: b.JS, Key: s.key, Trust: trust, Record: r.producer.Record, Now: s.deps.Now}
	return r, nil
}

func (r *running) backend() *api.Backend {
	persons := r.s.cfg.People
	return &api.Backend{
		Store: r.store, Desk: r.desk, People: r.people, Copies: r.copies,
		Admins: persons.Admins, Wide: slices.Concat(persons.Admins, persons.Auditors),
	}
}

// close makes the last records durable.
func (r *running) close(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	if err := r.producer.Close(last); err != nil {
		r.s.deps.Log.Warn().Err(err).Msg("records lost at shutdown")
	}
}

// people is the people map; nobody before the first bundle.
func (r *running) people() electorate.People {
	if book := r.rules.Current(); book != nil {
		return book.People()
	}
	return &policy.People{}
}

// run works until ctx ends.
func (r *running) run(ctx context.Context) error {
	s := r.s
	defer r.close(ctx)
	policies, err := r.bus.JS.KeyValue(ctx, bus.BucketPolicy)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("approval: bucket: %w", err)
	}
	if rec := s.started(); rec != nil {
		r.findings <- rec
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return r.store.Run(inner, func(st *machine.State) { r.changed(st, false) }) })
	group.Go(func() error { return r.rules.Run(inner, policies) })
	group.Go(func() error { return r.consume(inner) })
	group.Go(func() error { return r.settle(inner) })
	group.Go(func() error { return r.tick(inner) })
	group.Go(func() error { r.record(inner); return nil })
	if s.slack != nil {
		group.Go(func() error { return r.talk(inner) })
	}
	for _, t := range r.notify {
		if t != notifier(r.outbox) { // Slack first has to say whose token it is
			group.Go(func() error { return t.Run(inner) })
		}
	}
	return group.Wait()
}

// talk keeps Slack up to date and takes its clicks.
func (r *running) talk(ctx context.Context) error {
	p := r.s.slack
	if err := p.client.Identify(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.outbox.Run(ctx) })
	group.Go(func() error { return r.s.whispers(ctx) })
	if p.posts == nil {
		group.Go(func() error { return (&chat.Socket{Client: p.client, Clicks: p.clicks, Log: r.s.deps.Log}).Run(ctx) })
	}
	return group.Wait()
}

// changed follows a step, of this replica or of another.
func (r *running) changed(st *machine.State, own bool) {
	for _, n := range r.notify {
		n.Changed(st, own)
	}
	if r.s.inbox != nil {
		r.s.inbox.Changed(st)
	}
	if own {
		select {
		case r.settling <- st.ID:
		default: // the next tick finds it
		}
	}
}

// rulesChanged has every waiting approval looked at under the new rules.
func (r *running) rulesChanged() {
	if r.s.inbox != nil {
		r.s.inbox.Changed(nil) // who may vote may be others now
	}
	select {
	case r.reviewed <- struct{}{}:
	default:
	}
}

// settle puts decisions and records on the bus, right behind each step.
func (r *running) settle(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-r.settling:
			if err := r.desk.Settle(ctx, id); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrUnknown) {
				r.s.deps.Log.Warn().Err(err).Str("approval_id", id).Msg("records not on the stream yet; trying again")
			}
		}
	}
}

// whisper is a text for one user of a channel.
type whisper struct{ channel, user, text string }

// whisper queues a text for one user; when too many wait, it is lost: the
// message itself always shows the truth.
func (s *Service) whisper(channel, user, text string) {
	select {
	case s.slack.tell <- whisper{channel, user, text}:
	default:
		s.deps.Log.Warn().Msg("too many answers wait for Slack; one was dropped")
	}
}

func (s *Service) whispers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-s.slack.tell:
			if err := s.slack.client.Tell(ctx, w.channel, w.user, w.text); err != nil && ctx.Err() == nil {
				s.deps.Log.Warn().Err(err).Msg("a user could not be told why their click did not count")
			}
		}
	}
}

// lateVoter votes and revokes at the desk once it is there.
type lateVoter struct{ s *Service }

// Vote implements chat.Voter.
func (v lateVoter) Vote(ctx context.Context, b desk.Ballot) (*machine.State, error) {
	r := v.s.runs.Load()
	if r == nil {
		return nil, errors.New("approval: the bus is not connected yet")
	}
	return r.desk.Vote(ctx, b)
}

// May implements chat.Voter.
func (v lateVoter) May(ctx context.Context, b desk.Ballot) error {
	r := v.s.runs.Load()
	if r == nil {
		return errors.New("approval: the bus is not connected yet")
	}
	return r.desk.May(ctx, b)
}

// Request implements chat.Voter.
func (v lateVoter) Request(ctx context.Context, id string) (*eventv1.ApprovalRequest, error) {
	r := v.s.runs.Load()
	if r == nil {
		return nil, errors.New("approval: the bus is not connected yet")
	}
	return r.desk.Request(ctx, id)
}

// Revoke implements chat.Voter.
func (v lateVoter) Revoke(ctx context.Context, rev desk.Revocation) (*machine.State, error) {
	r := v.s.runs.Load()
	if r == nil {
		return nil, errors.New("approval: the bus is not connected yet")
	}
	return r.desk.Revoke(ctx, rev)
}

// Close implements chat.Voter.
func (v lateVoter) Close(ctx context.Context, review desk.Review) (*machine.State, error) {
	r := v.s.runs.Load()
	if r == nil {
		return nil, errors.New("approval: the bus is not connected yet")
	}
	return r.desk.Close(ctx, review)
}

// MayClose implements chat.Voter.
func (v lateVoter) MayClose(ctx context.Context, review desk.Review) error {
	r := v.s.runs.Load()
	if r == nil {
		return errors.New("approval: the bus is not connected yet")
	}
	return r.desk.MayClose(ctx, review)
}

// Ask implements chat.Voter.
func (v lateVoter) Ask(ctx context.Context, w desk.Words) (*machine.State, error) {
	r := v.s.runs.Load()
	if r == nil {
		return nil, errors.New("approval: the bus is not connected yet")
	}
	return r.desk.Ask(ctx, w)
}

// MayAsk implements chat.Voter.
func (v lateVoter) MayAsk(ctx context.Context, w desk.Words) error {
	r := v.s.runs.Load()
	if r == nil {
		return errors.New("approval: the bus is not connected yet")
	}
	return r.desk.MayAsk(ctx, w)
}

// Reply implements chat.Voter.
func (v lateVoter) Reply(ctx context.Context, channel, thread, account, text string) error {
	r := v.s.runs.Load()
	if r == nil {
		return errors.New("approval: the bus is not connected yet")
	}
	return r.desk.Reply(ctx, channel, thread, account, text)
}
