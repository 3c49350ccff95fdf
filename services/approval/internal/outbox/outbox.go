// Package outbox makes Slack show what the approvals' states say. The wanted
// message follows from the state, and the state keeps what Slack was last
// seen to show: so nothing is lost when Slack or this process is down, and
// whatever has changed meanwhile is caught up with in one update.
//
// A replica claims a message in the state before it works on it. A post whose
// answer was lost is looked for in the channel before it is made again.
package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/electorate"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/chat"
	"github.com/gatestay/gatestay/services/approval/internal/due"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const (
	claimLife  = 9 * time.Second // above all calls of one attempt together
	lastWords  = time.Second     // to give a claim back at shutdown
	spacing    = time.Second     // between posts into a channel
	firstRetry = time.Second
	lastRetry  = time.Minute
	otherDelay = 300 * time.Millisecond // before looking at what another replica changed
	attempts   = 50                     // of a compare-and-set
)

// Poster is Slack (chat.Client).
type Poster interface {
	Post(ctx context.Context, channel, id string, m message.Content) (ts string, err error)
	Update(ctx context.Context, channel, ts, id string, m message.Content) error
	Find(ctx context.Context, channel, id string, since time.Time) (ts string, err error)
	// Reply posts into the thread of a message; FindReply looks for such a post.
	Reply(ctx context.Context, channel, thread, id string, m message.Content) (ts string, err error)
	FindReply(ctx context.Context, channel, thread, id string) (ts string, err error)
}

// Outbox is one replica's. Safe for concurrent use.
type Outbox struct {
	Store  *store.Store
	Poster Poster
	// Electorate says who may vote on a request; an error delays the message.
	Electorate func(*eventv1.ApprovalRequest) (*electorate.Electorate, error)
	// Reviewers says who may close a break-glass; nil is administrators only.
	Reviewers func(*machine.State, *eventv1.ApprovalRequest) *electorate.Electorate
	People    func() electorate.People
	Channel   string // default
	Inbox     string // where people reach the pages, without a slash at its end; empty where they cannot
	Owner     string // unique to this process
	Now       func() time.Time
	Log       zerolog.Logger
	Metrics   *Metrics

	mu      sync.Mutex
	outage  int                  // failures in a row that concern Slack as a whole
	next    map[string]time.Time // per channel, when the next post may go
	rooms   map[string]room      // per channel
	shows   map[string]time.Time // per break-glass, when its message was last sent
	due     *due.List
	started sync.Once
}

func (o *Outbox) init() {
	o.started.Do(func() {
		o.rooms, o.shows = map[string]room{}, map[string]time.Time{}
		o.due, o.next = due.New(o.Now), map[string]time.Time{}
	})
}

// Changed looks at a message soon: at once after a step of this replica, a
// little later after one of another, which is on it already.
func (o *Outbox) Changed(st *machine.State, own bool) {
	if st.Slack.Final {
		return
	}
	at := o.Now()
	if !own {
		at = at.Add(otherDelay)
	}
	o.schedule(st.ID, at)
}

// All looks at every message that may need it.
func (o *Outbox) All() {
	for _, st := range o.Store.Active() {
		o.Changed(st, false)
	}
}

func (o *Outbox) schedule(id string, at time.Time) {
	o.init()
	o.due.Add(id, at)
	o.Metrics.Pending.Set(float64(o.due.Len()))
}

// Run works until ctx ends.
func (o *Outbox) Run(ctx context.Context) error {
	o.init()
	o.digests(ctx)
	o.due.Run(ctx, o.work)
	return nil
}

// work brings one message, or a channel's digest, up to date, and schedules the
// next look.
func (o *Outbox) work(ctx context.Context, id string) {
	var again time.Duration
	var err error
	if channel, ok := strings.CutPrefix(id, digestPrefix); ok {
		again, err = o.digest(ctx, channel)
	} else {
		again, err = o.reconcile(ctx, id)
	}
	if ctx.Err() != nil {
		if !strings.HasPrefix(id, digestPrefix) {
			o.release(context.WithoutCancel(ctx), id)
		}
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.Metrics.Pending.Set(float64(o.due.Len())) }()
	if err == nil {
		o.outage = 0
		o.due.Done(id, again)
		return
	}
	wait := backoff(o.due.Failed(id))
	t := chat.Diagnose(err)
	switch {
	case errors.Is(err, errBusy):
		wait = again
		o.due.Done(id, 0)
	case t.RetryAfter > 0:
		wait = t.RetryAfter
		o.due.Pause(t.RetryAfter)
	case t.Unreachable:
		o.outage++
		o.due.Pause(backoff(o.outage))
	}
	if !errors.Is(err, errBusy) {
		o.Log.Warn().Err(err).Str("approval_id", id).Dur("again_in", wait).Msg("Slack does not show the approval yet; trying again")
	}
	o.due.Retry(id, wait)
}

// backoff doubles from a second to a minute, and spreads by a fifth.
func backoff(n int) time.Duration {
	d := min(firstRetry<<min(n-1, 10), lastRetry)
	return d + rand.N(d/5) //nolint:gosec // spreads retries, no secret
}
