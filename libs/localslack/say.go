package localslack

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
)

var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Say posts a text as a person, into a thread where one is named, and delivers the
// message event to the app, as the Events API does where the app subscribes to
// message.channels.
func (w *Workspace) Say(ctx context.Context, user, channelID, thread, text string) (Delivery, error) {
	w.mu.Lock()
	ch, u := w.channels[channelID], w.users[user]
	if ch == nil || u == nil || u.Deleted || !ch.has(user) {
		w.mu.Unlock()
		return Delivery{}, errors.New("localslack: " + user + " is not in channel " + channelID)
	}
	m := &Message{Type: "message", Channel: channelID, User: user, Team: w.o.Team.ID, TS: w.clock.next(w.now()), ThreadTS: thread, Text: entities.Replace(text)}
	ch.add(m)
	event := map[string]any{
		"type": "message", "channel": channelID, "channel_type": "channel", "user": user, "text": m.Text, "ts": m.TS, "event_ts": m.TS, "team": w.o.Team.ID,
	}
	if u.TeamID != "" {
		event["user_team"] = u.TeamID
	}
	if thread != "" {
		event["thread_ts"] = thread
	}
	address := w.o.EventURL
	payload := map[string]any{
		"token": "deprecated", "team_id": w.o.Team.ID, "api_app_id": w.o.App.ID, "type": "event_callback", "event_id": "Ev" + random(10), "event_time": w.now().Unix(), "event": event,
	}
	w.mu.Unlock()
	w.hub.changed(channelID)
	return w.deliverTo(ctx, "events_api", address, payload)
}

// conversationReplies answers with a thread: its first message and the replies, the
// oldest first.
func conversationReplies(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, err := w.target(c)
	if err != nil {
		return nil, err
	}
	ts := c.arg("ts")
	if ch.find(ts) == nil {
		return nil, fail("thread_not_found")
	}
	out := []Message{}
	for _, m := range ch.messages {
		if m.TS != ts && m.ThreadTS != ts {
			continue
		}
		shown := *m
		if c.arg("include_all_metadata") != "true" && c.arg("include_all_metadata") != "1" {
			shown.Metadata = json.RawMessage(nil)
		}
		out = append(out, shown)
	}
	return map[string]any{"messages": out, "has_more": false}, nil
}
