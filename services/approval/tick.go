package approval

import (
	"context"
	"time"

	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

const (
	every     = 250 * time.Millisecond
	helpAfter = 2 * time.Second    // when to finish what another replica left undone
	keep      = 8 * 24 * time.Hour // a day beyond the stream's own memory
	cleanup   = 10 * time.Minute
)

// tick ends what has expired, finishes what was left undone, and forgets what
// is long settled. All replicas do it; compare-and-set makes it happen once.
func (r *running) tick(ctx context.Context) error {
	select { // a restarted process first learns what there is
	case <-r.store.CaughtUp():
	case <-ctx.Done():
		return nil
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	undone := map[string]time.Time{}
	var cleaned time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.reviewed:
			r.review(ctx)
		case <-ticker.C:
			now := r.s.deps.Now()
			r.lookAt(ctx, now, undone)
			if now.Sub(cleaned) > cleanup {
				cleaned = now
				r.forget(ctx, now)
			}
		}
	}
}

func (r *running) review(ctx context.Context) {
	for _, st := range r.store.Active() {
		r.desk.Review(ctx, st)
	}
	for _, n := range r.notify {
		n.All()
	}
}

// lookAt goes through what is not settled. undone remembers since when a state
// has had something to publish.
func (r *running) lookAt(ctx context.Context, now time.Time, undone map[string]time.Time) {
	seen := map[string]bool{}
	for _, st := range r.store.Active() {
		if ctx.Err() != nil {
			return
		}
		req, err := st.Parse()
		if err == nil && req != nil && !st.Done() && !now.Before(req.Deadline.AsTime()) {
			if err := r.desk.Expire(ctx, st.ID); err != nil {
				r.s.deps.Log.Warn().Err(err).Str("approval_id", st.ID).Msg("approval not expired yet; trying again")
			}
		}
		if _, due := st.Escalates(desk.Escalates(req), now); due {
			if err := r.desk.Escalate(ctx, st.ID); err != nil {
				r.s.deps.Log.Warn().Err(err).Str("approval_id", st.ID).Msg("escalation not noted yet; trying again")
			}
		}
		if st.Grant != nil && !st.Grant.Over && !st.Grant.Live(now) {
			if err := r.desk.GrantEnded(ctx, st.ID); err != nil {
				r.s.deps.Log.Warn().Err(err).Str("approval_id", st.ID).Msg("end of a grant not shown yet; trying again")
			}
		}
		if st.Status == machine.InReview && !now.Before(st.RemindAt()) {
			if err := r.desk.Remind(ctx, st.ID); err != nil {
				r.s.deps.Log.Warn().Err(err).Str("approval_id", st.ID).Msg("reminder of a review not noted yet; trying again")
			}
		}
		told := (st.Glass == nil || st.Status != machine.Reviewed || st.Glass.Told) && (st.Grant == nil || st.Grant.Revoked.IsZero() || st.Grant.Told)
		if told && len(st.Chain.Outgoing) == 0 && (len(st.Decision) == 0 || st.Announced) {
			continue
		}
		seen[st.ID] = true
		since, known := undone[st.ID]
		if !known {
			undone[st.ID] = now
			continue
		}
		if now.Sub(since) >= helpAfter {
			undone[st.ID] = now
			select {
			case r.settling <- st.ID:
			default:
			}
		}
	}
	for id := range undone {
		if !seen[id] {
			delete(undone, id)
		}
	}
}

func (r *running) forget(ctx context.Context, now time.Time) {
	if err := r.store.ForgetSignOuts(ctx, now); err != nil {
		r.s.deps.Log.Debug().Err(err).Msg("sign-outs not forgotten yet")
	}
	for _, s := range r.store.Settled(now.Add(-keep)) {
		if err := r.store.Purge(ctx, s.ID, s.Revision); err != nil {
			r.s.deps.Log.Debug().Err(err).Str("approval_id", s.ID).Msg("approval not forgotten yet")
		}
	}
}
