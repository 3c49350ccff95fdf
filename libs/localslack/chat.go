package localslack

import (
	"encoding/json"
	"unicode/utf8"
)

const maxText = 40000 // characters of a message's text

// target finds the channel that an argument names, by id or #name.
func (w *Workspace) target(c *call) (*channel, error) {
	id := c.arg("channel")
	ch := w.channels[id]
	if ch == nil {
		for _, other := range w.channels {
			if id == "#"+other.Name || id == other.Name && id != "" {
				ch = other
			}
		}
	}
	switch {
	case ch == nil:
		return nil, fail("channel_not_found")
	case ch.NotMember:
		return nil, fail("not_in_channel")
	}
	return ch, nil
}

func writable(ch *channel) error {
	if ch.Archived {
		return fail("is_archived")
	}
	return nil
}

// content checks text and blocks of a message.
func (w *Workspace) content(c *call) (json.RawMessage, error) {
	text, blocks := c.arg("text"), json.RawMessage(c.arg("blocks"))
	if len(blocks) == 0 && text == "" {
		return nil, fail("no_text")
	}
	if utf8.RuneCountInString(text) > maxText {
		return nil, fail("msg_too_long")
	}
	if len(blocks) == 0 {
		return nil, nil
	}
	list, err := parseBlocks(blocks, false)
	if err != nil {
		return nil, err
	}
	if most := w.faults.RejectOver; most > 0 && len(list) > most {
		return nil, fail("invalid_blocks", "[ERROR] a fault [json-pointer:/blocks]")
	}
	return list.raw()
}

func (w *Workspace) compose(c *call, ch *channel) (*Message, error) {
	blocks, err := w.content(c)
	if err != nil {
		return nil, err
	}
	m := &Message{
		Type: "message", Subtype: "bot_message", Channel: ch.ID, User: w.o.App.BotUserID, BotID: w.o.App.BotID, AppID: w.o.App.ID,
		Team: w.o.Team.ID, TS: w.clock.next(w.now()), ThreadTS: c.arg("thread_ts"), Text: c.arg("text"), Blocks: blocks,
	}
	if meta := c.arg("metadata"); meta != "" {
		if !json.Valid([]byte(meta)) {
			return nil, fail("invalid_metadata_format")
		}
		m.Metadata = json.RawMessage(meta)
	}
	return m, nil
}

func postMessage(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, err := w.target(c)
	if err == nil {
		err = writable(ch)
	}
	if err != nil {
		return nil, err
	}
	m, err := w.compose(c, ch)
	if err != nil {
		return nil, err
	}
	ch.add(m)
	defer w.hub.changed(ch.ID)
	return map[string]any{"channel": ch.ID, "ts": m.TS, "message": *m}, nil
}

func postEphemeral(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, err := w.target(c)
	if err == nil {
		err = writable(ch)
	}
	if err != nil {
		return nil, err
	}
	u := w.users[c.arg("user")]
	switch {
	case u == nil:
		return nil, fail("user_not_found")
	case !ch.has(u.ID):
		return nil, fail("user_not_in_channel")
	}
	m, err := w.compose(c, ch)
	if err != nil {
		return nil, err
	}
	m.IsEphemeral, m.To = true, u.ID
	ch.add(m)
	defer w.hub.changed(ch.ID)
	return map[string]any{"message_ts": m.TS}, nil
}

func updateMessage(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, err := w.target(c)
	if err == nil {
		err = writable(ch)
	}
	if err != nil {
		return nil, err
	}
	m := ch.find(c.arg("ts"))
	switch {
	case m == nil:
		return nil, fail("message_not_found")
	case m.AppID != w.o.App.ID:
		return nil, fail("cant_update_message")
	}
	blocks, err := w.content(c)
	if err != nil {
		return nil, err
	}
	if c.arg("blocks") != "" {
		m.Blocks = blocks
	}
	if text := c.arg("text"); text != "" {
		m.Text = text
	}
	m.Edited = &Edited{User: w.o.App.BotUserID, TS: w.clock.next(w.now())}
	defer w.hub.changed(ch.ID)
	return map[string]any{"channel": ch.ID, "ts": m.TS, "text": m.Text, "message": *m}, nil
}

func deleteMessage(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, err := w.target(c)
	if err != nil {
		return nil, err
	}
	if !ch.remove(c.arg("ts")) {
		return nil, fail("message_not_found")
	}
	defer w.hub.changed(ch.ID)
	return map[string]any{"channel": ch.ID, "ts": c.arg("ts")}, nil
}

// Delete deletes a message, as a person with the right to could.
func (w *Workspace) Delete(channelID, ts string) {
	w.mu.Lock()
	if ch := w.channels[channelID]; ch != nil {
		ch.remove(ts)
	}
	w.mu.Unlock()
	w.hub.changed(channelID)
}

func (c *channel) remove(ts string) bool {
	for _, list := range []*[]*Message{&c.messages, &c.ephemerals} {
		for i, m := range *list {
			if m.TS == ts {
				*list = append((*list)[:i:i], (*list)[i+1:]...)
				return true
			}
		}
	}
	return false
}
