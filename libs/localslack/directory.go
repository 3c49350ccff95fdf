package localslack

import (
	"encoding/json"
	"slices"
	"sort"
	"strconv"
)

func authTest(w *Workspace, _ *call) (map[string]any, error) {
	return map[string]any{
		"url": "https://" + w.o.Team.Domain + ".slack.com/", "team": w.o.Team.Name, "team_id": w.o.Team.ID,
		"user": w.o.App.Name, "user_id": w.o.App.BotUserID, "bot_id": w.o.App.BotID, "app_id": w.o.App.ID, "is_enterprise_install": false,
	}, nil
}

func conversationInfo(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := w.channels[c.arg("channel")]
	if ch == nil {
		return nil, fail("channel_not_found")
	}
	return map[string]any{"channel": ch.json()}, nil
}

func conversationList(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []any{}
	for _, id := range w.order {
		if ch := w.channels[id]; !ch.Archived || c.arg("exclude_archived") != "true" {
			list = append(list, ch.json())
		}
	}
	page, next, err := paged(list, c)
	return map[string]any{"channels": page, "response_metadata": map[string]any{"next_cursor": next}}, err
}

// conversationHistory returns the newest messages first, as Slack does;
// metadata only where it is asked for.
func conversationHistory(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, err := w.target(c)
	if err != nil {
		return nil, err
	}
	list := []any{}
	oldest, latest, inclusive := c.arg("oldest"), c.arg("latest"), c.arg("inclusive") == "1" || c.arg("inclusive") == "true"
	for _, m := range slices.Backward(copies(ch.messages)) {
		edge := m.TS == oldest || m.TS == latest
		if oldest != "" && m.TS < oldest || latest != "" && m.TS > latest || edge && !inclusive {
			continue
		}
		if c.arg("include_all_metadata") != "1" && c.arg("include_all_metadata") != "true" {
			m.Metadata = nil
		}
		m.Channel = ""
		list = append(list, m)
	}
	page, next, err := paged(list, c)
	return map[string]any{"messages": page, "has_more": next != "", "response_metadata": map[string]any{"next_cursor": next}}, err
}

func userInfo(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.users[c.arg("user")]
	if u == nil {
		return nil, fail("user_not_found")
	}
	return map[string]any{"user": u.json(w.o.Team.ID)}, nil
}

func userList(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, len(w.users))
	for id := range w.users {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = w.users[id].json(w.o.Team.ID)
	}
	page, next, err := paged(list, c)
	return map[string]any{"members": page, "cache_ts": w.now().Unix(), "response_metadata": map[string]any{"next_cursor": next}}, err
}

func groupUsers(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.o.Groups {
		if g.ID == c.arg("usergroup") && !g.Disabled {
			return map[string]any{"users": append([]string{}, g.Members...)}, nil
		}
	}
	return nil, fail("no_such_subteam")
}

// paged cuts one page out of a list; the cursor is an offset.
func paged(list []any, c *call) ([]any, string, error) {
	limit, _ := strconv.Atoi(c.arg("limit"))
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	from := 0
	if cursor := c.arg("cursor"); cursor != "" {
		var err error
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 || from > len(list) {
			return nil, "", fail("invalid_cursor")
		}
	}
	to := min(from+limit, len(list))
	next := ""
	if to < len(list) {
		next = strconv.Itoa(to)
	}
	return list[from:to], next, nil
}

// payloadUser is a user as an interaction payload names them.
func payloadUser(u *User) json.RawMessage {
	raw, _ := json.Marshal(map[string]string{"id": u.ID, "username": u.Name, "name": u.Name, "team_id": u.TeamID}) // strings marshal
	return raw
}
