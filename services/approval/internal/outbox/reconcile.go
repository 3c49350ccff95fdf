package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatestay/gatestay/libs/electorate"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/chat"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

// errBusy: the message is another replica's, or the channel's, for a moment.
var errBusy = errors.New("outbox: not now")

// maxEarlier is how many earlier decisions a message names.
const maxEarlier = 3

// waitForPolicy is how often to look whether a request can be rendered.
const waitForPolicy = time.Second

// reconcile makes one message show its state. again is when to look once more
// though nothing failed, or, with errBusy, when to try.
func (o *Outbox) reconcile(ctx context.Context, id string) (again time.Duration, err error) {
	st, _, err := o.Store.Get(ctx, id)
	if errors.Is(err, store.ErrUnknown) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r, err := st.Parse()
	if err != nil || r == nil || st.Slack.Final {
		return 0, err
	}
	if st.Done() && st.Glass == nil && st.Slack.TS == "" && !st.Slack.Attempted { // nobody has seen it, nobody needs to
		return 0, o.finish(ctx, st, "")
	}
	if o.crowded(st) {
		o.schedule(digestPrefix+o.channel(st), o.Now())
		return digestEvery, nil
	}
	want, err := o.render(st, r)
	if err != nil {
		return waitForPolicy, nil //nolint:nilerr // the policy is on its way, or the approval about to be ended
	}
	if st.Slack.Shown == want.ID {
		if st.Slack.Due() >= 0 {
			return o.note(ctx, st, r)
		}
		return 0, o.finish(ctx, st, want.ID)
	}
	if wait := o.spaced(st); wait > 0 {
		return wait, nil
	}
	if wait := o.room(st); wait > 0 {
		return wait, errBusy
	}
	st, wait, err := o.claim(ctx, st)
	if err != nil || wait > 0 {
		return wait, err
	}
	return o.send(ctx, st, want)
}

func (o *Outbox) render(st *machine.State, r *eventv1.ApprovalRequest) (message.Content, error) {
	in := message.Input{State: st, Request: r, People: o.People(), Asked: desk.Asked(r) != ""}
	for _, e := range o.Store.Earlier(st, maxEarlier) {
		in.Earlier = append(in.Earlier, message.Earlier{Status: e.Status, By: e.By, At: e.Ended})
	}
	if o.Inbox != "" {
		in.Inbox = o.Inbox + "/approvals/" + st.ID
	}
	switch {
	case st.Glass != nil:
		if e := o.Reviewers(st, r); e != nil {
			in.People, in.Tally = e.People, e.Tally(st.Reviewing())
			in.Admits = func(account string) bool {
				_, refused := e.Admit(electorate.Ballot{Account: account, AnyTime: true})
				return refused == nil
			}
		}
	case !st.Done():
		e, err := o.Electorate(r)
		if err != nil {
			return message.Content{}, err
		}
		in.People, in.Tally, in.Attainable = e.People, e.Tally(st.Approving()), e.Attainable()
		in.Admits = func(account string) bool {
			_, refused := e.Admit(electorate.Ballot{Account: account, AnyTime: true})
			return refused == nil && e.Able(account)
		}
	}
	return message.Render(in)
}

func (o *Outbox) channel(st *machine.State) string {
	if st.Slack.Channel != "" {
		return st.Slack.Channel
	}
	return o.Channel
}

// room returns how long the channel's next post must wait.
func (o *Outbox) room(st *machine.State) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if st.Slack.TS != "" {
		return 0
	}
	return o.next[o.channel(st)].Sub(o.Now())
}

// claim marks the message as ours in the state. It returns how long another
// replica's claim stands.
func (o *Outbox) claim(ctx context.Context, st *machine.State) (*machine.State, time.Duration, error) {
	var wait time.Duration
	st, err := o.mutate(ctx, st.ID, func(s *machine.State) bool {
		now := o.Now()
		if s.Slack.Claim != "" && s.Slack.Claim != o.Owner && now.Before(s.Slack.Until) {
			wait = s.Slack.Until.Sub(now)
			return false
		}
		wait = 0
		s.Slack.Claim, s.Slack.Until = o.Owner, now.Add(claimLife).UTC()
		s.Slack.Channel = o.channel(s)
		return true
	})
	if err == nil && wait > 0 {
		err = errBusy
	}
	return st, wait, err
}

// send posts or updates, and writes down what came of it.
func (o *Outbox) send(ctx context.Context, st *machine.State, want message.Content) (time.Duration, error) {
	r, err := st.Parse()
	if err != nil {
		return 0, err
	}
	if fresh, err := o.render(st, r); err == nil { // the claim may have met a newer state
		want = fresh
	}
	s := &st.Slack
	if s.TS == "" && s.Attempted {
		if s.TS, err = o.Poster.Find(ctx, s.Channel, st.ID, st.Received); err != nil && chat.Diagnose(err).Unreachable {
			return 0, o.failed(ctx, st, err)
		} // not allowed to look: at worst the message is there twice
	}
	if s.TS == "" {
		err = o.post(ctx, st, want)
	} else {
		err = o.Poster.Update(ctx, s.Channel, s.TS, st.ID, want)
	}
	o.sent(st)
	trouble := chat.Diagnose(err)
	switch {
	case err == nil: // what is done is written down, also at shutdown
		return 0, o.shown(context.WithoutCancel(ctx), st, want)
	case trouble.Gone && st.Done():
		return 0, o.finish(ctx, st, "")
	case trouble.Gone: // somebody deleted it: the request is not lost with it
		_, err := o.mutate(ctx, st.ID, func(n *machine.State) bool {
			n.Slack.TS, n.Slack.Shown, n.Slack.Attempted, n.Slack.Claim = "", "", false, ""
			return true
		})
		return time.Millisecond, err
	case trouble.Rejected:
		return 0, o.plain(ctx, st, want, err)
	}
	return 0, o.failed(ctx, st, err)
}

// post makes the first post, having noted that it will.
func (o *Outbox) post(ctx context.Context, st *machine.State, want message.Content) error {
	if !st.Slack.Attempted {
		next, err := o.mutate(ctx, st.ID, func(n *machine.State) bool { n.Slack.Attempted = true; return true })
		if err != nil {
			return err
		}
		if next.Status != st.Status { // it ended just now: look again
			return errBusy
		}
	}
	o.mu.Lock()
	o.next[st.Slack.Channel] = o.Now().Add(spacing)
	o.mu.Unlock()
	ts, err := o.Poster.Post(ctx, st.Slack.Channel, st.ID, want)
	st.Slack.TS = ts
	return err
}

// plain is for a message that Slack does not take: better a bare one than none.
func (o *Outbox) plain(ctx context.Context, st *machine.State, want message.Content, cause error) error {
	o.Log.Error().Err(cause).Str("approval_id", st.ID).Msg("Slack does not take the message; a bare one is shown in its place")
	bare := message.Bare(st)
	var err error
	if st.Slack.TS == "" {
		err = o.post(ctx, st, bare)
	} else {
		err = o.Poster.Update(ctx, st.Slack.Channel, st.Slack.TS, st.ID, bare)
	}
	if err != nil {
		return o.failed(ctx, st, err)
	}
	return o.shown(ctx, st, want)
}

// shown notes that Slack shows this content.
func (o *Outbox) shown(ctx context.Context, st *machine.State, want message.Content) error {
	next, err := o.mutate(ctx, st.ID, func(n *machine.State) bool {
		n.Slack.Channel, n.Slack.TS, n.Slack.Shown, n.Slack.Approvable = st.Slack.Channel, st.Slack.TS, want.ID, want.Approvable
		n.Slack.Claim, n.Slack.Until, n.Slack.Trouble = "", time.Time{}, ""
		n.Slack.Final = same(n, st) && n.Done() && n.Slack.Due() < 0
		return true
	})
	if err == nil && !next.Slack.Final && (!same(next, st) || next.Slack.Due() >= 0) {
		o.schedule(st.ID, o.Now())
	}
	return err
}

// same reports that two states of an approval look the same.
func same(a, b *machine.State) bool { return a.Look() == b.Look() && a.Slack.Due() == b.Slack.Due() }

// finish marks the message of an ended approval as needing no further look.
func (o *Outbox) finish(ctx context.Context, st *machine.State, shown string) error {
	if !st.Done() {
		return nil
	}
	_, err := o.mutate(ctx, st.ID, func(n *machine.State) bool {
		if n.Slack.Final || !same(n, st) || n.Slack.TS != st.Slack.TS && shown != "" {
			return false
		}
		n.Slack.Final, n.Slack.Claim, n.Slack.Until = true, "", time.Time{}
		return true
	})
	return err
}

// failed gives the claim back and notes the trouble, for people to see.
func (o *Outbox) failed(ctx context.Context, st *machine.State, cause error) error {
	if errors.Is(cause, errBusy) || ctx.Err() != nil {
		return cause
	}
	code := chat.Diagnose(cause).Code
	_, err := o.mutate(ctx, st.ID, func(n *machine.State) bool {
		if n.Slack.Claim != o.Owner && n.Slack.Trouble == code {
			return false
		}
		n.Slack.Claim, n.Slack.Until, n.Slack.Trouble = "", time.Time{}, code
		if n.Slack.TS == "" {
			n.Slack.TS = st.Slack.TS
		}
		return true
	})
	return errors.Join(cause, err)
}

// release gives a claim back when this process stops, so that another need not
// wait for it to age.
func (o *Outbox) release(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	_, err := o.mutate(ctx, id, func(n *machine.State) bool {
		if n.Slack.Claim != o.Owner {
			return false
		}
		n.Slack.Claim, n.Slack.Until = "", time.Time{}
		return true
	})
	if err != nil {
		o.Log.Debug().Err(err).Str("approval_id", id).Msg("claim not given back; it ages")
	}
}

// mutate changes the message part of a state with compare-and-set.
func (o *Outbox) mutate(ctx context.Context, id string, f func(*machine.State) bool) (*machine.State, error) {
	for range attempts {
		old, revision, err := o.Store.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		next := old.Clone()
		if !f(next) {
			return old, nil
		}
		if err = o.Store.Update(ctx, next, revision); err == nil {
			return next.Clone(), nil // the store keeps the other
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("outbox: %s: %w", id, store.ErrConflict)
}
