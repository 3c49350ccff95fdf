// Package chat is Slack, as far as approvals need it: posting and updating
// messages, and taking clicks from Socket Mode or from signed posts.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

const (
	callLimit   = 4 * time.Second
	memberLimit = 2 * time.Second  // a click must be acknowledged within three
	memberLife  = 10 * time.Second // how old a look at a user may be
	maxMembers  = 4096
	findPages   = 5
	findMargin  = time.Minute
)

// Options say which workspace and app.
type Options struct {
	BotToken, AppToken string
	APIURL             string // default Slack's own
	TeamID, AppID      string // learned where empty
	Log                zerolog.Logger
	Now                func() time.Time
	Metrics            *Metrics
}

// Client talks to the workspace. Safe for concurrent use.
type Client struct {
	api *slack.Client
	o   Options

	mu      sync.Mutex
	team    string
	app     string
	members map[string]time.Time // full members, and when that was seen

	groups groups
}

// New returns a client; it does not connect yet.
func New(o Options) *Client {
	options := []slack.Option{slack.OptionAppLevelToken(o.AppToken), slack.OptionHTTPClient(&http.Client{Timeout: callLimit})}
	if o.APIURL != "" {
		options = append(options, slack.OptionAPIURL(o.APIURL))
	}
	return &Client{api: slack.New(o.BotToken, options...), o: o, team: o.TeamID, app: o.AppID, members: map[string]time.Time{}}
}

// Identify asks Slack which workspace the token belongs to, until it answers.
// A configured team that differs is an error for good.
func (c *Client) Identify(ctx context.Context) error {
	pause := 500 * time.Millisecond
	for {
		who, err := c.api.AuthTestContext(ctx)
		c.o.Metrics.call("auth.test", err)
		if err == nil {
			return c.identified(who.TeamID)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.o.Log.Warn().Err(err).Msg("Slack does not take the bot token, or cannot be reached; trying again")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*2, 30*time.Second)
	}
}

func (c *Client) identified(team string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.TeamID != "" && c.o.TeamID != team {
		return fmt.Errorf("chat: the bot token belongs to workspace %s, but approval.slack.team_id is %s", team, c.o.TeamID)
	}
	c.team = team
	return nil
}

// learnApp takes the app's id from Slack's own greeting, where none is configured.
func (c *Client) learnApp(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.app == "" {
		c.app = id
	}
}

func (c *Client) identity() (team, app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.team, c.app
}

func content(id string, m message.Content) []slack.MsgOption {
	return []slack.MsgOption{
		slack.MsgOptionText(m.Text, false), slack.MsgOptionBlocks(m.Blocks...),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
		slack.MsgOptionMetadata(slack.SlackMetadata{EventType: message.MetadataType, EventPayload: map[string]any{"id": id}}),
	}
}

// Post posts a message and returns its timestamp.
func (c *Client) Post(ctx context.Context, channel, id string, m message.Content) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, ts, err := c.api.PostMessageContext(ctx, channel, content(id, m)...)
	c.o.Metrics.call("chat.postMessage", err)
	return ts, wrap("post", err)
}

// Update replaces a message.
func (c *Client) Update(ctx context.Context, channel, ts, id string, m message.Content) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, _, _, err := c.api.UpdateMessageContext(ctx, channel, ts, content(id, m)...)
	c.o.Metrics.call("chat.update", err)
	return wrap("update", err)
}

// Reply posts into the thread of a message, and shows it in the channel, too.
func (c *Client) Reply(ctx context.Context, channel, thread, id string, m message.Content) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, ts, err := c.api.PostMessageContext(ctx, channel, append(content(id, m), slack.MsgOptionTS(thread), slack.MsgOptionBroadcast())...)
	c.o.Metrics.call("chat.postMessage", err)
	return ts, wrap("reply", err)
}

// FindReply looks for our post in a thread, whose answer may have been lost.
func (c *Client) FindReply(ctx context.Context, channel, thread, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	found, _, _, err := c.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
		ChannelID: channel, Timestamp: thread, Limit: 200, IncludeAllMetadata: true,
	})
	c.o.Metrics.call("conversations.replies", err)
	if err != nil {
		return "", wrap("replies", err)
	}
	for _, m := range found {
		if m.Metadata.EventType == message.MetadataType && m.Metadata.EventPayload["id"] == id {
			return m.Timestamp, nil
		}
	}
	return "", nil
}

// Tell shows a text to one user of a channel.
func (c *Client) Tell(ctx context.Context, channel, user, text string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := c.api.PostEphemeralContext(ctx, channel, user, slack.MsgOptionText(text, false))
	c.o.Metrics.call("chat.postEphemeral", err)
	return wrap("tell", err)
}

// Open opens a dialog for whoever made an interaction, at most three seconds ago.
func (c *Client) Open(ctx context.Context, trigger string, view slack.ModalViewRequest) error {
	ctx, cancel := context.WithTimeout(ctx, memberLimit)
	defer cancel()
	_, err := c.api.OpenViewContext(ctx, trigger, view)
	c.o.Metrics.call("views.open", err)
	return wrap("open", err)
}

// Find looks for our message of an approval, whose answer may have been lost.
func (c *Client) Find(ctx context.Context, channel, id string, since time.Time) (ts string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	ask := &slack.GetConversationHistoryParameters{
		ChannelID: channel, Limit: 200, IncludeAllMetadata: true, Oldest: fmt.Sprintf("%d.000000", since.Add(-findMargin).Unix()),
	}
	for range findPages {
		page, err := c.api.GetConversationHistoryContext(ctx, ask)
		c.o.Metrics.call("conversations.history", err)
		if err != nil {
			return "", wrap("history", err)
		}
		for _, m := range page.Messages {
			if m.Metadata.EventType == message.MetadataType && m.Metadata.EventPayload["id"] == id {
				return m.Timestamp, nil
			}
		}
		if ask.Cursor = page.ResponseMetaData.NextCursor; ask.Cursor == "" {
			break
		}
	}
	return "", nil
}

// Member refuses whoever is not a full, active, human member of this
// workspace. It looks at most ten seconds back.
func (c *Client) Member(ctx context.Context, user string) error {
	c.mu.Lock()
	seen, ok := c.members[user]
	team := c.team
	c.mu.Unlock()
	now := c.o.Now()
	if ok && now.Sub(seen) < memberLife {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, memberLimit)
	defer cancel()
	u, err := c.api.GetUserInfoContext(ctx, user)
	c.o.Metrics.call("users.info", err)
	if err != nil {
		return wrap("user", err)
	}
	if why := outsider(u, user, team); why != "" {
		return &refusal.Refusal{Code: refusal.VoteForbidden, Message: why, Hint: "ask one of the approvers"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.members) >= maxMembers {
		clear(c.members)
	}
	c.members[user] = now
	return nil
}

func outsider(u *slack.User, asked, team string) string {
	switch {
	case u.ID != asked:
		return "Slack does not know you"
	case u.Deleted:
		return "your account is deactivated"
	case u.IsBot || u.IsAppUser || u.IsWorkflowBot || u.IsConnectorBot:
		return "a bot may not decide"
	case team == "" || u.TeamID != team || u.IsStranger:
		return "only members of this workspace may decide, not those of a connected one"
	case u.IsRestricted || u.IsUltraRestricted || u.IsInvitedUser:
		return "a guest may not decide"
	}
	return ""
}

// wrap adds what was done; the error stays to be asked with Trouble.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("chat: %s: %w", what, err)
}

// Trouble is what kind of failure a call met.
type Trouble struct {
	Code string // Slack's, or "unreachable"
	// RetryAfter is Slack's wish; 0 leaves it to the caller.
	RetryAfter time.Duration
	// Gone: the message is not there any more. Rejected: Slack does not take
	// this content. Unreachable: Slack as a whole does not answer.
	Gone, Rejected, Unreachable bool
}

// Diagnose reads an error of Post, Update or Find.
func Diagnose(err error) Trouble {
	var limited *slack.RateLimitedError
	var said slack.SlackErrorResponse
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &limited):
		return Trouble{Code: "ratelimited", RetryAfter: limited.RetryAfter}
	case errors.As(err, &said):
		t := Trouble{Code: said.Err}
		switch said.Err {
		case "message_not_found", "cant_update_message", "edit_window_closed":
			t.Gone = true
		case "invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text", "invalid_arguments":
			t.Rejected = true
		case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org":
			t.Unreachable = true
		}
		return t
	case errors.As(err, &syntax):
		return Trouble{Code: "unreachable", Unreachable: true}
	}
	return Trouble{Code: "unreachable", Unreachable: true}
}
