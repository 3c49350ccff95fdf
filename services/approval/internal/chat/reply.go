package chat

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

// ask takes a question, or opens the dialog for it first.
func (c *Clicks) ask(ctx context.Context, i *slack.InteractionCallback, in *input) error {
	b := in.ballot
	w := desk.Words{Approval: b.Approval, Account: b.Account, Text: b.Reason, Via: "slack", Channel: b.Channel, TS: b.TS}
	if in.submitted {
		_, err := c.Voter.Ask(ctx, w)
		return err //nolint:wrapcheck // a refusal, for the user
	}
	if err := c.Voter.MayAsk(ctx, w); err != nil {
		return err //nolint:wrapcheck // a refusal, for the user
	}
	r, err := c.Voter.Request(ctx, w.Approval)
	if err != nil {
		return err //nolint:wrapcheck // a refusal, for the user
	}
	return c.open(ctx, i, in, message.AskDialog(r, in.metadata()), "gatestay approvals ask "+w.Approval)
}

// Said takes an event whose origin was verified. Of what is said in the channels
// only this counts: a person's own new message in a thread; the desk knows whether it
// is an answer that was asked for. Without an error it may be acknowledged.
func (c *Clicks) Said(ctx context.Context, team, app string, inner any) error {
	own, ours := c.Client.identity()
	m, ok := inner.(*slackevents.MessageEvent)
	switch {
	case own == "":
		return ErrUnidentified
	case team != own, ours != "" && app != ours:
		return ErrForeign
	case !ok || m.SubType != "" || m.BotID != "" || m.User == "" || m.ThreadTimeStamp == "" || m.ThreadTimeStamp == m.TimeStamp:
		return nil
	}
	if m.UserTeam != "" && m.UserTeam != own {
		return nil
	}
	var r *refusal.Refusal
	if err := c.Client.Member(ctx, m.User); err != nil {
		if errors.As(err, &r) {
			return nil
		}
		return err
	}
	// Slack escapes &, < and > in texts, and nothing else.
	return c.Voter.Reply(ctx, m.Channel, m.ThreadTimeStamp, "slack:"+m.User, html.UnescapeString(m.Text)) //nolint:wrapcheck // desk says so
}

// Events receives events as signed HTTP posts: POST /slack/events.
type Events struct{ Posts *Posts }

// ServeHTTP verifies the signature as for interactions.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, ok := e.Posts.verified(w, r)
	if !ok {
		return
	}
	event, err := slackevents.ParseEvent(json.RawMessage(raw), slackevents.OptionNoVerifyToken())
	if err != nil { // an event of a kind that is not known here
		w.WriteHeader(http.StatusOK)
		return
	}
	if event.Type == slackevents.URLVerification {
		if v, ok := event.Data.(*slackevents.EventsAPIURLVerificationEvent); ok {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(v.Challenge))
		}
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), postLimit)
	defer cancel()
	switch err := e.Posts.Clicks.Said(ctx, event.TeamID, event.APIAppID, event.InnerEvent.Data); {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, ErrForeign):
		http.Error(w, "another workspace or app", http.StatusForbidden)
	default:
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
}
