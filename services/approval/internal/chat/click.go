package chat

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

// ErrForeign is returned for an interaction of another workspace or app.
var ErrForeign = errors.New("chat: the interaction is of another workspace or app")

// ErrUnidentified is returned before it is known which workspace is ours.
var ErrUnidentified = errors.New("chat: not connected with Slack yet")

// Voter takes ballots (desk.Desk).
type Voter interface {
	Vote(ctx context.Context, b desk.Ballot) (*machine.State, error)
	Revoke(ctx context.Context, r desk.Revocation) (*machine.State, error)
}

// Clicks turns interactions into votes.
type Clicks struct {
	Client *Client
	Voter  Voter
	// Tell answers one user; it must not block.
	Tell func(channel, user, text string)
	Log  zerolog.Logger
}

// Take takes one interaction whose origin was verified (a Socket Mode envelope,
// or a signature). On nil it may be acknowledged: the vote is durable, or the
// user is being told why there is none. On an error it must not be.
func (c *Clicks) Take(ctx context.Context, transport string, i *slack.InteractionCallback) error {
	started := time.Now()
	result, err := c.take(ctx, i)
	c.Client.o.Metrics.Clicks.WithLabelValues(transport, result).Inc()
	if result == "taken" {
		c.Client.o.Metrics.Seconds.Observe(time.Since(started).Seconds())
	}
	return err
}

func (c *Clicks) take(ctx context.Context, i *slack.InteractionCallback) (result string, err error) {
	team, app := c.Client.identity()
	switch {
	case team == "":
		return "unidentified", ErrUnidentified
	case i.Team.ID != team, app != "" && i.APIAppID != app:
		c.Log.Warn().Str("team_id", clip(i.Team.ID)).Str("app_id", clip(i.APIAppID)).Msg("interaction of another workspace or app ignored")
		return "foreign", ErrForeign
	}
	b, ok := ballot(i)
	revoked, revokes := revocation(i)
	if !ok && !revokes {
		return "ignored", nil
	}
	if i.User.TeamID != "" && i.User.TeamID != team {
		c.refuse(i, &refusal.Refusal{Message: "only members of this workspace may decide, not those of a connected one", Hint: "ask one of the approvers"})
		return "refused", nil
	}
	err = c.Client.Member(ctx, i.User.ID)
	switch {
	case err != nil:
	case revokes:
		_, err = c.Voter.Revoke(ctx, revoked)
	default:
		_, err = c.Voter.Vote(ctx, b)
	}
	var r *refusal.Refusal
	switch {
	case err == nil:
		return "taken", nil
	case errors.As(err, &r):
		c.refuse(i, r)
		return "refused", nil
	}
	c.Log.Warn().Err(err).Str("approval_id", b.Approval).Msg("click not acknowledged: the vote could not be made durable")
	return "failed", err
}

// pressed reads our button out of an interaction; nil where there is none.
func pressed(i *slack.InteractionCallback) *slack.BlockAction {
	if i.Type != slack.InteractionTypeBlockActions || len(i.ActionCallback.BlockActions) != 1 || i.User.ID == "" {
		return nil
	}
	a := i.ActionCallback.BlockActions[0]
	if a.Type != "button" || i.Channel.ID == "" || i.Container.MessageTs == "" {
		return nil
	}
	return a
}

// votes is what each button says.
var votes = map[string]desk.Ballot{
	message.ActionApprove:    {Vote: approval.Approve},
	message.ActionApproveRun: {Vote: approval.Approve, Scope: policy.ScopeRun},
	message.ActionApproveJob: {Vote: approval.Approve, Scope: policy.ScopeJob},
	message.ActionDeny:       {Vote: approval.Deny},
}

func ballot(i *slack.InteractionCallback) (desk.Ballot, bool) {
	a := pressed(i)
	if a == nil {
		return desk.Ballot{}, false
	}
	b, ok := votes[a.ActionID]
	b.Approval, b.Account, b.Via, b.Channel, b.TS = a.Value, "slack:"+i.User.ID, "slack", i.Channel.ID, i.Container.MessageTs
	return b, ok
}

func revocation(i *slack.InteractionCallback) (desk.Revocation, bool) {
	a := pressed(i)
	if a == nil || a.ActionID != message.ActionRevoke {
		return desk.Revocation{}, false
	}
	return desk.Revocation{Approval: a.Value, Account: "slack:" + i.User.ID, Via: "slack"}, true
}

var (
	entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	slackIDs = regexp.MustCompile(`\b[UW][A-Z0-9]{5,20}\b`)
)

// refuse tells the user why, kindly.
func (c *Clicks) refuse(i *slack.InteractionCallback, r *refusal.Refusal) {
	s := strings.ToUpper(r.Message[:1]) + r.Message[1:] + "."
	text := entities.Replace(s)
	if r.Detail != "" {
		text += " " + slackIDs.ReplaceAllString(entities.Replace(approval.Visible(r.Detail)), "<@$0>")
	}
	if r.Hint != "" {
		text += "\n" + strings.ToUpper(r.Hint[:1]) + entities.Replace(r.Hint[1:]) + "."
	}
	c.Tell(i.Channel.ID, i.User.ID, text)
}

// clip keeps what strangers sent out of the log beyond an id's length.
func clip(s string) string {
	if len(s) > 24 {
		return s[:24]
	}
	return s
}
