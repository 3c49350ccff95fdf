package localslack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Click names a button of a message and who clicks it.
type Click struct {
	User     string `json:"user"`
	Channel  string `json:"channel"`
	TS       string `json:"ts"`
	ActionID string `json:"action_id"`
	BlockID  string `json:"block_id,omitempty"` // where several blocks share the action id
}

// ErrNoButton is returned for a click on what is not there: Slack shows
// nothing to click either.
var ErrNoButton = errors.New("localslack: no such button for this user")

const triggerLife = 3 * time.Second

// trigger is what views.open needs: it lives three seconds and works once.
type trigger struct {
	user  string
	until time.Time
}

// Click clicks a button as a user and returns when the app has acknowledged,
// or ErrUnacknowledged.
func (w *Workspace) Click(ctx context.Context, c Click) (Delivery, error) {
	payload, err := w.press(c)
	if err != nil {
		return Delivery{}, err
	}
	d, err := w.deliver(ctx, payload)
	if err != nil {
		w.notice(c.Channel, c.User, fmt.Sprintf(":warning: %s did not respond to your click. Try again.", w.o.App.Name))
	}
	return d, err
}

// press checks that the user can see the button, and builds the payload.
func (w *Workspace) press(c Click) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, u := w.channels[c.Channel], w.users[c.User]
	if ch == nil || u == nil || u.Deleted || !ch.has(c.User) {
		return nil, fmt.Errorf("%w: user %s is not in channel %s", ErrNoButton, c.User, c.Channel)
	}
	m := ch.find(c.TS)
	if m == nil {
		return nil, fmt.Errorf("%w: no message %s in %s", ErrNoButton, c.TS, c.Channel)
	}
	var list blocks
	_ = json.Unmarshal(m.Blocks, &list) // stored after parseBlocks
	var action map[string]any
	now := w.now()
	found := list.buttons(func(blockID string, e *element) bool {
		if e.ActionID != c.ActionID || c.BlockID != "" && c.BlockID != blockID {
			return false
		}
		action = map[string]any{
			"type": "button", "action_id": e.ActionID, "block_id": blockID, "text": e.Text, "value": e.Value,
			"action_ts": w.clock.next(now),
		}
		if e.Style != "" {
			action["style"] = e.Style
		}
		return true
	})
	if !found {
		return nil, fmt.Errorf("%w: message %s has no action %q", ErrNoButton, c.TS, c.ActionID)
	}
	shown := *m
	shown.Channel = ""
	return w.payload("block_actions", u, map[string]any{
		"container":    map[string]any{"type": "message", "message_ts": m.TS, "channel_id": ch.ID, "is_ephemeral": false},
		"channel":      map[string]any{"id": ch.ID, "name": ch.Name},
		"message":      shown,
		"state":        map[string]any{"values": map[string]any{}},
		"response_url": w.newResponseURL(ch.ID, m.TS, u.ID),
		"actions":      []any{action},
	}), nil
}

// payload adds what every interaction carries.
func (w *Workspace) payload(kind string, u *User, fields map[string]any) map[string]any {
	now := w.now()
	for id, t := range w.triggers {
		if now.After(t.until.Add(time.Minute)) {
			delete(w.triggers, id)
		}
	}
	id := fmt.Sprintf("%d.%s", now.UnixMilli(), random(8))
	w.triggers[id] = &trigger{user: u.ID, until: now.Add(triggerLife)}
	fields["type"] = kind
	fields["user"] = payloadUser(u)
	fields["api_app_id"] = w.o.App.ID
	fields["token"] = "deprecated"
	fields["team"] = map[string]any{"id": w.o.Team.ID, "domain": w.o.Team.Domain}
	fields["enterprise"], fields["is_enterprise_install"] = nil, false
	fields["trigger_id"] = id
	return fields
}

// notice is what Slack itself tells one user.
func (w *Workspace) notice(channelID, user, words string) {
	w.mu.Lock()
	if ch := w.channels[channelID]; ch != nil {
		ch.add(&Message{
			Type: "message", Channel: channelID, User: "USLACKBOT", TS: w.clock.next(w.now()), Text: words, IsEphemeral: true, To: user,
		})
	}
	w.mu.Unlock()
	w.hub.changed(channelID)
}
