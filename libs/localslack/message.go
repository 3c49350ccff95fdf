package localslack

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Bounds of what is kept of a channel; the oldest go first.
const (
	keepMessages   = 1000
	keepEphemerals = 200
)

// Message is one message in Slack's JSON shape.
type Message struct {
	Type        string          `json:"type"`
	Subtype     string          `json:"subtype,omitempty"`
	Channel     string          `json:"channel,omitempty"`
	User        string          `json:"user"`
	BotID       string          `json:"bot_id,omitempty"`
	AppID       string          `json:"app_id,omitempty"`
	Team        string          `json:"team,omitempty"`
	TS          string          `json:"ts"`
	ThreadTS    string          `json:"thread_ts,omitempty"`
	Text        string          `json:"text"`
	Blocks      json.RawMessage `json:"blocks,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Edited      *Edited         `json:"edited,omitempty"`
	IsEphemeral bool            `json:"is_ephemeral,omitempty"`
	// To is who sees an ephemeral message.
	To string `json:"to,omitempty"`
}

// Edited says that a message was updated, by whom and when.
type Edited struct {
	User string `json:"user"`
	TS   string `json:"ts"`
}

type channel struct {
	Channel
	messages   []*Message
	ephemerals []*Message
}

func (c *channel) find(ts string) *Message {
	for _, m := range c.messages {
		if m.TS == ts {
			return m
		}
	}
	return nil
}

// lastTS makes timestamps unique and increasing.
type lastTS struct{ micros int64 }

func (l *lastTS) next(now time.Time) string {
	l.micros = max(l.micros+1, now.UnixMicro())
	return fmt.Sprintf("%d.%06d", l.micros/1e6, l.micros%1e6)
}

func (c *channel) add(m *Message) {
	list, keep := &c.messages, keepMessages
	if m.IsEphemeral {
		list, keep = &c.ephemerals, keepEphemerals
	}
	*list = append(*list, m)
	if n := len(*list) - keep; n > 0 {
		*list = slices.Delete(*list, 0, n)
	}
}

// Messages returns copies of a channel's messages, oldest first.
func (w *Workspace) Messages(channelID string) []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.channels[channelID]
	if c == nil {
		return nil
	}
	return copies(c.messages)
}

// Ephemerals returns the messages of a channel that only one user sees, or,
// with an empty user, of all.
func (w *Workspace) Ephemerals(channelID, user string) []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.channels[channelID]
	if c == nil {
		return nil
	}
	return slices.DeleteFunc(copies(c.ephemerals), func(m Message) bool { return user != "" && m.To != user })
}

func copies(list []*Message) []Message {
	out := make([]Message, len(list))
	for i, m := range list {
		out[i] = *m
	}
	return out
}

// Await waits until a message of the channel, ephemeral ones included,
// satisfies the condition, and returns it.
func (w *Workspace) Await(ctx context.Context, channelID string, condition func(Message) bool) (Message, error) {
	changes, stop := w.hub.subscribe()
	defer stop()
	for {
		all := append(w.Messages(channelID), w.Ephemerals(channelID, "")...)
		if i := slices.IndexFunc(all, condition); i >= 0 {
			return all[i], nil
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("localslack: no such message among %d in %s: %w", len(all), channelID, ctx.Err())
		}
	}
}
