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
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
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
	May(ctx context.Context, b desk.Ballot) error
	Request(ctx context.Context, id string) (*eventv1.ApprovalRequest, error)
	Revoke(ctx context.Context, r desk.Revocation) (*machine.State, error)
	Close(ctx context.Context, v desk.Review) (*machine.State, error)
	MayClose(ctx context.Context, v desk.Review) error
	Ask(ctx context.Context, w desk.Words) (*machine.State, error)
	MayAsk(ctx context.Context, w desk.Words) error
	Reply(ctx context.Context, channel, thread, account, text string) error
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
// or a signature). Without an error it may be acknowledged, with the answer, if
// any: the vote is durable, or the user is being told why there is none. On an
// error it must not be.
func (c *Clicks) Take(ctx context.Context, transport string, i *slack.InteractionCallback) (*slack.ViewSubmissionResponse, error) {
	started := time.Now()
	result, answer, err := c.take(ctx, i)
	c.Client.o.Metrics.Clicks.WithLabelValues(transport, result).Inc()
	if result == "taken" {
		c.Client.o.Metrics.Seconds.Observe(time.Since(started).Seconds())
	}
	return answer, err
}

func (c *Clicks) take(ctx context.Context, i *slack.InteractionCallback) (result string, answer *slack.ViewSubmissionResponse, err error) {
	team, app := c.Client.identity()
	switch {
	case team == "":
		return "unidentified", nil, ErrUnidentified
	case i.Team.ID != team, app != "" && i.APIAppID != app:
		c.Log.Warn().Str("team_id", clip(i.Team.ID)).Str("app_id", clip(i.APIAppID)).Msg("interaction of another workspace or app ignored")
		return "foreign", nil, ErrForeign
	}
	in := read(i)
	if in == nil {
		return "ignored", nil, nil
	}
	if i.User.TeamID != "" && i.User.TeamID != team {
		return "refused", c.refuse(in, &refusal.Refusal{Message: "only members of this workspace may decide, not those of a connected one", Hint: "ask one of the approvers"}), nil
	}
	if err = c.Client.Member(ctx, i.User.ID); err == nil {
		err = c.act(ctx, i, in)
	}
	var r *refusal.Refusal
	switch {
	case err == nil:
		return "taken", nil, nil
	case errors.As(err, &r):
		return "refused", c.refuse(in, r), nil
	}
	c.Log.Warn().Err(err).Str("approval_id", in.ballot.Approval).Msg("click not acknowledged: the vote could not be made durable")
	return "failed", nil, err
}

// act votes, revokes, or asks for a reason first.
func (c *Clicks) act(ctx context.Context, i *slack.InteractionCallback, in *input) error {
	switch {
	case in.revoke:
		_, err := c.Voter.Revoke(ctx, desk.Revocation{Approval: in.ballot.Approval, Account: in.ballot.Account, Via: "slack"})
		return err
	case in.ask:
		return c.ask(ctx, i, in)
	case in.verdict != "":
		return c.review(ctx, i, in)
	case in.submitted:
		_, err := c.Voter.Vote(ctx, in.ballot)
		return err
	}
	if err := c.Voter.May(ctx, in.ballot); err != nil {
		return err
	}
	r, err := c.Voter.Request(ctx, in.ballot.Approval)
	if err != nil {
		return err
	}
	required := in.ballot.Vote == approval.Approve && approval.ReasonRequired(r)
	if in.ballot.Vote == approval.Approve && !required {
		_, err := c.Voter.Vote(ctx, in.ballot)
		return err
	}
	return c.open(ctx, i, in, message.Dialog(r, in.ballot.Vote, in.metadata(), required), "gatestay approvals "+in.ballot.Vote+" "+in.ballot.Approval)
}

// review takes a verdict, or asks for its note first.
func (c *Clicks) review(ctx context.Context, i *slack.InteractionCallback, in *input) error {
	v := desk.Review{
		Approval: in.ballot.Approval, Account: in.ballot.Account, Via: "slack", Verdict: in.verdict, Note: in.ballot.Reason,
		Channel: in.ballot.Channel, TS: in.ballot.TS,
	}
	if in.submitted {
		_, err := c.Voter.Close(ctx, v)
		return err
	}
	if err := c.Voter.MayClose(ctx, v); err != nil {
		return err
	}
	r, err := c.Voter.Request(ctx, v.Approval)
	if err != nil {
		return err
	}
	return c.open(ctx, i, in, message.ReviewDialog(r, v.Verdict, in.metadata()), "gatestay approvals close "+v.Approval)
}

// open opens a dialog; instead is what does the same from the terminal.
func (c *Clicks) open(ctx context.Context, i *slack.InteractionCallback, in *input, view slack.ModalViewRequest, instead string) error {
	err := c.Client.Open(ctx, i.TriggerID, view)
	if err != nil && Diagnose(err).Code != "exchanged_trigger_id" { // else the click came twice, and its dialog is open
		c.Log.Warn().Err(err).Str("approval_id", in.ballot.Approval).Msg("dialog not opened")
		return &refusal.Refusal{Message: "Slack did not open the dialog for your reason", Hint: "click again, or use '" + instead + "'"}
	}
	return nil
}

var (
	entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	slackIDs = regexp.MustCompile(`\b[UW][A-Z0-9]{5,20}\b`)
)

// refuse tells the user why, kindly: in the dialog where it came from one.
func (c *Clicks) refuse(in *input, r *refusal.Refusal) *slack.ViewSubmissionResponse {
	s := strings.ToUpper(r.Message[:1]) + r.Message[1:] + "."
	if in.submitted {
		if r.Hint != "" {
			s += " " + strings.ToUpper(r.Hint[:1]) + r.Hint[1:] + "."
		}
		return slack.NewErrorsViewSubmissionResponse(map[string]string{message.DialogBlock: s})
	}
	text := entities.Replace(s)
	if r.Detail != "" {
		text += " " + slackIDs.ReplaceAllString(entities.Replace(approval.Visible(r.Detail)), "<@$0>")
	}
	if r.Hint != "" {
		text += "\n" + strings.ToUpper(r.Hint[:1]) + entities.Replace(r.Hint[1:]) + "."
	}
	c.Tell(in.ballot.Channel, strings.TrimPrefix(in.ballot.Account, "slack:"), text)
	return nil
}

// clip keeps what strangers sent out of the log beyond an id's length.
func clip(s string) string {
	if len(s) > 24 {
		return s[:24]
	}
	return s
}
