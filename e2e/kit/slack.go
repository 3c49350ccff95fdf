package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/localslack"
)

// Message is an approval as the channel shows it.
type Message struct {
	g  *Gatestay
	ts string
}

// AwaitMessage waits for the message of the channel that shows the text: the
// statement, most often.
func (g *Gatestay) AwaitMessage(t testing.TB, text string) *Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := g.Slack.Await(ctx, Channel, func(m localslack.Message) bool {
		return !m.IsEphemeral && m.ThreadTS == "" && strings.Contains(shown(m), text)
	})
	if err != nil {
		t.Fatalf("no message shows %q: %v\n%s", text, err, g.LogTail(Approval, 20))
	}
	return &Message{g: g, ts: m.TS}
}

// Text returns what the message shows now, blocks included.
func (m *Message) Text() string {
	for _, now := range m.g.Slack.Messages(Channel) {
		if now.TS == m.ts {
			return shown(now)
		}
	}
	return ""
}

// Await waits until the message shows the text.
func (m *Message) Await(t testing.TB, text string) {
	t.Helper()
	Eventually(t, patience, func() error {
		if now := m.Text(); !strings.Contains(strings.ToLower(now), strings.ToLower(text)) {
			return fmt.Errorf("the message does not show %q: %s", text, now)
		}
		return nil
	})
}

// ErrNoButton is returned by Click when the message offers no such button.
var ErrNoButton = errors.New("kit: the message has no such button")

// Approve clicks Approve as a Slack user.
func (m *Message) Approve(t testing.TB, user string) {
	t.Helper()
	if err := m.Click(t.Context(), user, "Approve"); err != nil {
		t.Fatalf("%v\n%s", err, m.g.LogTail(Approval, 20))
	}
}

// Deny clicks Deny as a Slack user, and gives a reason where it is asked for.
func (m *Message) Deny(t testing.TB, user string) {
	t.Helper()
	err := m.Click(t.Context(), user, "Deny")
	if err == nil {
		_, _, err = m.g.Slack.Answer(t.Context(), user, "not in a test")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, m.g.LogTail(Approval, 20))
	}
}

// Click clicks the button with this label, and returns when the app has
// acknowledged.
func (m *Message) Click(ctx context.Context, user, label string) error {
	for _, now := range m.g.Slack.Messages(Channel) {
		if now.TS != m.ts {
			continue
		}
		if action := button(now.Blocks, label); action != "" {
			_, err := m.g.Slack.Click(ctx, localslack.Click{User: user, Channel: Channel, TS: m.ts, ActionID: action})
			return err //nolint:wrapcheck // tests look at it
		}
	}
	return ErrNoButton
}

// Answers waits for the message that only the user sees and that contains text.
func (g *Gatestay) Answers(t testing.TB, user, text string) {
	t.Helper()
	Eventually(t, patience, func() error {
		for _, m := range g.Slack.Ephemerals(Channel, user) {
			if strings.Contains(strings.ToLower(shown(m)), strings.ToLower(text)) {
				return nil
			}
		}
		return fmt.Errorf("%s has not been told %q", user, text)
	})
}

// shown is all the text of a message, as JSON would hide it: unescaped.
func shown(m localslack.Message) string {
	var blocks any
	_ = json.Unmarshal(m.Blocks, &blocks) // Slack's own JSON
	var b strings.Builder
	b.WriteString(m.Text)
	walk(blocks, func(o map[string]any) {
		if s, ok := o["text"].(string); ok {
			b.WriteString("\n" + s)
		}
	})
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.String())
}

// button returns the action id of the button with this label.
func button(raw json.RawMessage, label string) (action string) {
	var blocks any
	_ = json.Unmarshal(raw, &blocks) // Slack's own JSON
	walk(blocks, func(o map[string]any) {
		text, _ := o["text"].(map[string]any)
		words, _ := text["text"].(string)
		if id, ok := o["action_id"].(string); ok && action == "" && strings.Contains(words, label) {
			action = id
		}
	})
	return action
}

func walk(v any, f func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		f(v)
		for _, below := range v {
			walk(below, f)
		}
	case []any:
		for _, below := range v {
			walk(below, f)
		}
	}
}

// Message returns the channel's message with this timestamp.
func (g *Gatestay) Message(ts string) *Message { return &Message{g: g, ts: ts} }
