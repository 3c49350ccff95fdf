package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/chat"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const (
	// crowd is how many approvals wait in a channel with messages of their own;
	// what comes on top is in the channel's digest.
	crowd = 5
	// digestEvery is how often a digest is brought up to date, at most, and how often
	// what is in it looks whether there is room.
	digestEvery  = 2 * time.Second
	digestPrefix = "digest:" // of a channel's due entry
	roomLife     = 200 * time.Millisecond
)

// crowded reports that an approval has to wait for room in its channel: others
// were there before, and the digest stands for it.
func (o *Outbox) crowded(st *machine.State) bool {
	if st.Done() || st.Slack.TS != "" || st.Slack.Attempted {
		return false
	}
	channel, now := o.channel(st), o.Now()
	o.mu.Lock()
	r := o.rooms[channel]
	o.mu.Unlock()
	if len(r.own) < crowd || now.After(r.until) {
		own, _ := o.waiting(channel)
		r = room{until: now.Add(roomLife), own: map[string]bool{}}
		for _, other := range own {
			r.own[other.ID] = true
		}
		o.mu.Lock()
		o.rooms[channel] = r
		o.mu.Unlock()
	}
	return len(r.own) >= crowd && !r.own[st.ID]
}

// room is who has a message in a channel, for a moment: with a thousand that
// wait, each is not to look through all.
type room struct {
	until time.Time
	own   map[string]bool
}

// waiting returns what waits in a channel, in the order in which it came: that
// which has a message of its own or is to get one, and the rest.
func (o *Outbox) waiting(channel string) (own, rest []*machine.State) {
	var all []*machine.State
	for _, st := range o.Store.Active() {
		if !st.Done() && len(st.Request) > 0 && o.channel(st) == channel {
			all = append(all, st)
		}
	}
	slices.SortFunc(all, func(a, b *machine.State) int {
		posted := func(s *machine.State) int {
			if s.Slack.TS != "" || s.Slack.Attempted {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(posted(a), posted(b)), cmp.Compare(a.ID, b.ID)) // ids tell time
	})
	n := min(crowd, len(all))
	return all[:n], all[n:]
}

// digests looks at all that were begun, by whichever process.
func (o *Outbox) digests(ctx context.Context) {
	channels, err := o.Store.Digests(ctx)
	if err != nil {
		o.Log.Warn().Err(err).Msg("digests not read; those that are empty may stay as they are")
	}
	for _, channel := range channels {
		o.schedule(digestPrefix+channel, o.Now())
	}
}

// digest brings a channel's digest up to date. It returns when to look again, 0
// when nothing is in it any more.
func (o *Outbox) digest(ctx context.Context, channel string) (time.Duration, error) {
	_, rest := o.waiting(channel)
	d, revision, err := o.Store.Digest(ctx, channel)
	if err != nil || len(rest) == 0 && d.TS == "" {
		return 0, err
	}
	var requests []*eventv1.ApprovalRequest
	for _, st := range rest {
		if r, err := st.Parse(); err == nil {
			requests = append(requests, r)
		}
	}
	want, err := message.Digest(requests, o.Inbox)
	if err != nil {
		return 0, fmt.Errorf("outbox: digest: %w", err)
	}
	if d.Shown == want.ID {
		return digestEvery, nil
	}
	now := o.Now()
	if d.Claim != "" && d.Claim != o.Owner && now.Before(d.Until) {
		return d.Until.Sub(now), nil
	}
	attempted := d.ID != "" && d.TS == ""
	if d.ID == "" {
		d.ID, d.Since = "digest_"+ulid.Make().String(), now.UTC()
	}
	d.Claim, d.Until = o.Owner, now.Add(claimLife).UTC()
	if revision, err = o.Store.SetDigest(ctx, channel, d, revision); err != nil {
		if errors.Is(err, store.ErrConflict) { // another replica is at it
			return digestEvery, nil
		}
		return 0, err
	}
	return o.showDigest(ctx, channel, d, revision, want, attempted, len(requests) == 0)
}

// showDigest posts or updates a claimed digest, and writes down what came of it.
// An emptied one is over: the next burst gets a new message, where people look.
func (o *Outbox) showDigest(ctx context.Context, channel string, d store.Digest, revision uint64, want message.Content, attempted, over bool) (time.Duration, error) {
	var err error
	if attempted {
		if d.TS, err = o.Poster.Find(ctx, channel, d.ID, d.Since); err != nil && chat.Diagnose(err).Unreachable {
			return 0, err
		}
	}
	if d.TS == "" {
		d.TS, err = o.Poster.Post(ctx, channel, d.ID, want)
		o.mu.Lock()
		o.next[channel] = o.Now().Add(spacing)
		o.mu.Unlock()
	} else {
		err = o.Poster.Update(ctx, channel, d.TS, d.ID, want)
	}
	if err != nil && !chat.Diagnose(err).Gone {
		return 0, err
	}
	d.Shown, d.Claim, d.Until = want.ID, "", time.Time{}
	if over || err != nil {
		d = store.Digest{}
	}
	if _, err := o.Store.SetDigest(context.WithoutCancel(ctx), channel, d, revision); err != nil && !errors.Is(err, store.ErrConflict) {
		return 0, err
	}
	if over {
		return 0, nil
	}
	return digestEvery, nil
}
