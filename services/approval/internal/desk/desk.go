// Package desk is where approvals are taken, voted on and ended. Every step is
// one compare-and-set on the approval's state; what follows from it (the
// decision on the stream, the records) is done by whoever made the step, and
// done again by any replica that finds it undone.
package desk

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
	"github.com/gatestay/gatestay/services/approval/internal/rulebook"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

// ErrInvalid is returned for an event that no retry makes right.
var ErrInvalid = errors.New("desk: the event is not valid")

const (
	maxLife = 24 * time.Hour // of a request, whatever its deadline says
	retries = 50             // of a compare-and-set
)

var (
	validID      = regexp.MustCompile(`^apr_[0-9A-HJKMNP-TV-Z]{26}$`)
	validGateway = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// Desk is safe for concurrent use, and with other replicas' desks.
type Desk struct {
	Store *store.Store
	Rules func() *rulebook.Book // nil until the first bundle
	Key   *seal.Key
	Bus   Publisher
	Now   func() time.Time
	Log   zerolog.Logger
	// Changed is called after each step of this desk, to have the message
	// follow. It must not block.
	Changed func(*machine.State)
	// Finding is called when something smells of tampering. It must not block.
	Finding func(action string, details map[string]string)
	// Slack tells who is in a user group; nil without Slack, where nobody is.
	Slack Directory
	// Hooks are the names of the webhooks that are told of each approval.
	Hooks []string
	// Policy are the keys of policy services, whose own requests are marked by them.
	Policy  seal.Trust
	Inbox   string // where people reach the pages; empty where there are none
	Metrics *Metrics
}

// change runs a transition until its compare-and-set succeeds. f changes the
// copy that it is given and returns false where nothing is to be changed.
func (d *Desk) change(ctx context.Context, id string, f func(*machine.State) (bool, error)) (*machine.State, error) {
	for range retries {
		old, revision, err := d.Store.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		next := old.Clone()
		changed, err := f(next)
		if err != nil || !changed {
			return old, err
		}
		if err := next.Seal(d.Key); err != nil {
			return nil, err
		}
		err = d.Store.Update(ctx, next, revision)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !old.Done() && next.Done() {
			d.Metrics.Ended.WithLabelValues(string(next.Status)).Inc()
			d.Log.Info().Str("approval_id", id).Str("outcome", string(next.Status)).Msg("approval ended")
		}
		d.follow(ctx, next)
		return next, nil
	}
	return nil, fmt.Errorf("desk: %s: %w", id, store.ErrConflict)
}

// follow does what a step entails: the decision goes out at once, the rest
// behind it.
func (d *Desk) follow(ctx context.Context, st *machine.State) {
	if len(st.Decision) > 0 && !st.Announced {
		if err := d.announce(ctx, st); err != nil {
			d.Log.Warn().Err(err).Str("approval_id", st.ID).Msg("decision not on the stream yet; trying again")
		}
	}
	d.Changed(st)
}

// Requested takes a request event, with the tag that came with it, in hex.
func (d *Desk) Requested(ctx context.Context, gateway, id string, raw []byte, tag string) error {
	r := &eventv1.ApprovalRequest{}
	if err := proto.Unmarshal(raw, r); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	now := d.Now()
	problem := d.problem(gateway, id, r, now)
	if problem == "" {
		problem = d.byPolicy(gateway, r, raw, tag)
	}
	if problem != "" {
		d.Finding("approval.request_refused", map[string]string{"gateway": gateway, "approval_id": id, "problem": problem})
		return fmt.Errorf("%w: %s", ErrInvalid, problem)
	}
	st := machine.New(gateway, raw, r, now)
	st.Slack.Channel = r.GetApprovers().GetChannel()
	st.Tag, _ = hex.DecodeString(tag) // what is no tag makes no grant
	if r.BreakGlass != nil {
		st.Break(r, now)
	}
	for _, name := range d.Hooks {
		if st.Hooks == nil {
			st.Hooks = map[string]machine.Hook{}
		}
		st.Hooks[name] = machine.Hook{}
	}
	st.Requested(now)
	if err := st.Seal(d.Key); err != nil {
		return err
	}
	err := d.Store.Create(ctx, st)
	if errors.Is(err, store.ErrConflict) {
		return d.requestedAgain(ctx, id, raw, r)
	}
	if err != nil {
		return err
	}
	d.Metrics.Requested.Inc()
	d.Log.Info().Str("approval_id", id).Str("session_id", r.SessionId).Str("rule", r.Rule).Msg("approval requested")
	d.Review(ctx, st)
	d.Changed(st)
	return nil
}

// problem names what is wrong with a request, in words; empty is nothing.
func (d *Desk) problem(gateway, id string, r *eventv1.ApprovalRequest, now time.Time) string {
	switch {
	case !validID.MatchString(id) || r.Id != id:
		return "its id is not that of its subject"
	case !validGateway.MatchString(gateway) || r.Gateway != gateway:
		return "its gateway is not that of its subject"
	case r.SessionId == "" || r.CommandId == "" || r.Target == "" || r.Rule == "" || r.RuleHash == "":
		return "session, command, target or rule is missing"
	case len(r.Digest) == 0:
		return "the command's digest is missing"
	case r.Principal == nil:
		return "the principal is missing"
	case r.RequestedAt == nil || r.Deadline == nil || !r.Deadline.AsTime().After(r.RequestedAt.AsTime()):
		return "its deadline is missing or before its beginning"
	case r.Deadline.AsTime().After(now.Add(maxLife)):
		return "its deadline is more than a day away"
	case r.BreakGlass != nil:
		return glassProblem(r, now)
	case r.Plan != nil:
		return approval.PlanProblem(r)
	}
	return ""
}

// requestedAgain is a redelivery, or the request whose cancellation came first.
func (d *Desk) requestedAgain(ctx context.Context, id string, raw []byte, r *eventv1.ApprovalRequest) error {
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) {
		if len(st.Request) > 0 && string(st.Request) != string(raw) {
			d.Finding("approval.request_repeated", map[string]string{"gateway": st.Gateway, "approval_id": id})
		}
		return st.Arrived(raw, r, d.Now()), nil
	})
	return err
}

// Cancelled takes a cancellation event.
func (d *Desk) Cancelled(ctx context.Context, gateway, id string, raw []byte) error {
	c := &eventv1.ApprovalCancelled{}
	if err := proto.Unmarshal(raw, c); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if c.ApprovalId != id || !validID.MatchString(id) || !validGateway.MatchString(gateway) {
		return fmt.Errorf("%w: its id is not that of its subject", ErrInvalid)
	}
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) {
		if st.Gateway != gateway {
			d.Finding("approval.cancel_refused", map[string]string{"gateway": gateway, "approval_id": id})
			return false, fmt.Errorf("%w: it is another gateway's", ErrInvalid)
		}
		return st.Cancel(c.Reason, d.Now()), nil
	})
	if errors.Is(err, store.ErrUnknown) {
		err = d.Store.Create(ctx, machine.Tombstone(gateway, id, c.Reason, d.Now()))
		if errors.Is(err, store.ErrConflict) { // the request came meanwhile
			return d.Cancelled(ctx, gateway, id, raw)
		}
		return err
	}
	return err
}

// Expire ends a waiting approval whose deadline has passed.
func (d *Desk) Expire(ctx context.Context, id string) error {
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) {
		r, err := st.Parse()
		if err != nil || r == nil || st.Done() || d.Now().Before(r.Deadline.AsTime()) {
			return false, err
		}
		return true, st.Decide(d.Key, machine.Expired, "", d.Now())
	})
	return err
}

// Review ends a waiting approval on which nobody may vote any more: its rule
// has changed, or never said what the request says.
func (d *Desk) Review(ctx context.Context, st *machine.State) {
	r, err := st.Parse()
	if st.Glass != nil {
		err = d.vouch(ctx, st)
	}
	if err != nil || r == nil || st.Done() {
		return
	}
	why := ""
	_, err = d.Rules().ByRule(r)
	switch {
	case errors.Is(err, rulebook.ErrForged):
		why = message.WhyForged
		d.Finding("approval.request_forged", map[string]string{"gateway": st.Gateway, "approval_id": st.ID, "problem": err.Error()})
	case errors.Is(err, rulebook.ErrChanged):
		why = message.WhyRuleChanged
	default:
		return
	}
	if err := d.end(ctx, st.ID, why); err != nil {
		d.Log.Warn().Err(err).Str("approval_id", st.ID).Msg("approval not ended; trying again at the next look")
	}
}

func (d *Desk) end(ctx context.Context, id, why string) error {
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) {
		if st.Done() {
			return false, nil
		}
		return true, st.Decide(d.Key, machine.Cancelled, why, d.Now())
	})
	return err
}

// Electorate returns who may vote on a request; the error is one of rulebook's.
func (d *Desk) Electorate(r *eventv1.ApprovalRequest) (*electorate.Electorate, error) {
	book := d.Rules()
	a, err := book.ByRule(r)
	if err != nil {
		return nil, err
	}
	return &electorate.Electorate{Approvers: a[0], And: a[1:], Requesters: requesters(r), People: book.People(), Requested: r.RequestedAt.AsTime()}, nil
}
