package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/gatestay/gatestay/libs/electorate"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/chat"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

// note posts a note into the thread of its message, once.
func (o *Outbox) note(ctx context.Context, st *machine.State, r *eventv1.ApprovalRequest) (time.Duration, error) {
	st, wait, err := o.claim(ctx, st)
	if err != nil || wait > 0 {
		return wait, err
	}
	i := st.Slack.Due()
	if i < 0 || st.Slack.TS == "" {
		return 0, o.shown(ctx, st, message.Content{ID: st.Slack.Shown, Approvable: st.Slack.Approvable})
	}
	n, id := st.Slack.Notes[i], st.ID+"_"+st.Slack.Notes[i].ID
	ts := ""
	if n.Attempted {
		if ts, err = o.Poster.FindReply(ctx, st.Slack.Channel, st.Slack.TS, id); err != nil && chat.Diagnose(err).Unreachable {
			return 0, o.failed(ctx, st, err)
		}
	} else if _, err := o.mutate(ctx, st.ID, func(s *machine.State) bool { return s.Slack.Mark(n.ID, "") }); err != nil {
		return 0, err
	}
	if ts == "" {
		content, err := o.noteContent(st, r, n)
		if err == nil {
			ts, err = o.Poster.Reply(ctx, st.Slack.Channel, st.Slack.TS, id, content)
		}
		if trouble := chat.Diagnose(err); err != nil && !trouble.Gone && !trouble.Rejected {
			return 0, o.failed(ctx, st, err)
		}
		if err != nil { // Slack will never take it: the state has it all the same
			o.Log.Error().Err(err).Str("approval_id", st.ID).Msg("Slack does not take a note; it is left out")
			ts = "-"
		}
	}
	_, err = o.mutate(context.WithoutCancel(ctx), st.ID, func(s *machine.State) bool {
		s.Slack.Claim, s.Slack.Until, s.Slack.Trouble = "", time.Time{}, ""
		s.Slack.Mark(n.ID, ts)
		return true
	})
	return time.Millisecond, err
}

func (o *Outbox) noteContent(st *machine.State, r *eventv1.ApprovalRequest, n machine.Note) (message.Content, error) {
	in := message.Input{State: st, Request: r, People: o.People()}
	var e *electorate.Electorate
	if st.Glass != nil {
		e = o.Reviewers(st, r)
	} else {
		var err error
		if e, err = o.Electorate(r); err != nil {
			return message.Content{}, err
		}
	}
	if e != nil {
		in.Admits = func(account string) bool {
			_, refused := e.Admit(electorate.Ballot{Account: account, AnyTime: true})
			return refused == nil
		}
	}
	c := message.Note(in, n)
	if len(c.Blocks) == 0 {
		return c, errors.New("outbox: a note without content")
	}
	return c, nil
}

// spaced is how long the next update of a break-glass waits: a run may send a
// hundred commands in a second, and one message stands for them.
func (o *Outbox) spaced(st *machine.State) time.Duration {
	if st.Glass == nil || st.Slack.TS == "" {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shows[st.ID].Add(digestEvery).Sub(o.Now())
}

func (o *Outbox) sent(st *machine.State) {
	if st.Glass == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, at := range o.shows {
		if o.Now().Sub(at) > digestEvery {
			delete(o.shows, id)
		}
	}
	o.shows[st.ID] = o.Now()
}
