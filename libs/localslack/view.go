package localslack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

const maxPrivateMetadata = 3000

// view is a modal that one user has open.
type view struct {
	user     string
	blocks   blocks
	fields   map[string]any    // as views.open returned them
	problems map[string]string // of the last submission, by block id
}

type viewRequest struct {
	Type            string          `json:"type"`
	CallbackID      string          `json:"callback_id"`
	Title           *text           `json:"title"`
	Submit          *text           `json:"submit"`
	Close           *text           `json:"close"`
	Blocks          json.RawMessage `json:"blocks"`
	PrivateMetadata string          `json:"private_metadata"`
}

func (w *Workspace) makeView(id, user, raw string) (*view, error) {
	var r viewRequest
	if json.Unmarshal([]byte(raw), &r) != nil || r.Type != "modal" {
		return nil, fail("invalid_arguments", "[ERROR] a view of type modal is required [json-pointer:/view]")
	}
	list, err := parseBlocks(r.Blocks, true)
	if err != nil {
		return nil, fail("invalid_arguments", err.(*apiError).messages...) //nolint:errorlint,forcetypeassert // parseBlocks returns no other
	}
	c := &checker{}
	c.text("/view/title", r.Title, 24, "plain_text")
	for pointer, t := range map[string]*text{"/view/submit": r.Submit, "/view/close": r.Close} {
		if t != nil {
			c.text(pointer, t, 24, "plain_text")
		}
	}
	c.length("/view/private_metadata", r.PrivateMetadata, 0, maxPrivateMetadata)
	c.length("/view/callback_id", r.CallbackID, 0, 255)
	if len(c.problems) > 0 {
		return nil, fail("invalid_arguments", c.problems...)
	}
	return &view{user: user, blocks: list, fields: map[string]any{
		"id": id, "team_id": w.o.Team.ID, "type": "modal", "title": r.Title, "submit": r.Submit, "close": r.Close, "blocks": list,
		"private_metadata": r.PrivateMetadata, "callback_id": r.CallbackID, "hash": random(8), "app_id": w.o.App.ID, "bot_id": w.o.App.BotID,
		"app_installed_team_id": w.o.Team.ID, "root_view_id": id,
	}}, nil
}

func viewsOpen(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.triggers[c.arg("trigger_id")]
	switch {
	case t == nil:
		return nil, fail("invalid_trigger_id")
	case t.user == "":
		return nil, fail("exchanged_trigger_id")
	case w.now().After(t.until):
		return nil, fail("expired_trigger_id")
	}
	id := "V" + random(5)
	v, err := w.makeView(id, t.user, c.arg("view"))
	if err != nil {
		return nil, err
	}
	t.user = ""
	for other, open := range w.views { // a user has one modal open
		if open.user == v.user {
			delete(w.views, other)
		}
	}
	w.views[id] = v
	defer w.hub.changed("")
	return map[string]any{"view": v.fields}, nil
}

func viewsUpdate(w *Workspace, c *call) (map[string]any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.views[c.arg("view_id")]
	if old == nil {
		return nil, fail("not_found")
	}
	v, err := w.makeView(c.arg("view_id"), old.user, c.arg("view"))
	if err != nil {
		return nil, err
	}
	w.views[c.arg("view_id")] = v
	defer w.hub.changed("")
	return map[string]any{"view": v.fields}, nil
}

// Submission is what a user typed into a modal: block id, action id, value.
type Submission struct {
	User   string                       `json:"user"`
	View   string                       `json:"view_id"`
	Values map[string]map[string]string `json:"values"`
}

// Open returns the view that a user has open, as views.open returned it.
func (w *Workspace) Open(user string) (map[string]any, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.views {
		if v.user == user {
			return v.fields, true
		}
	}
	return nil, false
}

// Dismiss closes a user's modal without submitting it.
func (w *Workspace) Dismiss(user string) {
	w.mu.Lock()
	for id, v := range w.views {
		if v.user == user {
			delete(w.views, id)
		}
	}
	w.mu.Unlock()
	w.hub.changed("")
}

// Submit submits a modal as a user.
func (w *Workspace) Submit(ctx context.Context, s Submission) (Delivery, error) {
	w.mu.Lock()
	v, u := w.views[s.View], w.users[s.User]
	if v == nil || u == nil || v.user != s.User {
		w.mu.Unlock()
		return Delivery{}, errors.New("localslack: this user has no such modal open")
	}
	values, err := v.values(s.Values)
	if err != nil {
		w.mu.Unlock()
		return Delivery{}, err
	}
	shown := map[string]any{"state": map[string]any{"values": values}}
	for name, f := range v.fields {
		shown[name] = f
	}
	payload := w.payload("view_submission", u, map[string]any{"view": shown, "response_urls": []any{}})
	w.mu.Unlock()
	d, err := w.deliver(ctx, payload)
	if err != nil {
		return d, err
	}
	return d, w.submitted(s.View, d.Response)
}

// Answer types text into the one field of the modal that a user has open, and
// submits it. It reports false where the user has none open.
func (w *Workspace) Answer(ctx context.Context, user, text string) (Delivery, bool, error) {
	w.mu.Lock()
	s := Submission{User: user}
	for id, v := range w.views {
		if v.user != user {
			continue
		}
		for _, b := range v.blocks {
			if b.Type == "input" {
				s.View, s.Values = id, map[string]map[string]string{b.BlockID: {b.Element.ActionID: text}}
			}
		}
	}
	w.mu.Unlock()
	if s.View == "" {
		return Delivery{}, false, nil
	}
	d, err := w.Submit(ctx, s)
	return d, true, err
}

func (v *view) values(given map[string]map[string]string) (map[string]any, error) {
	values := map[string]any{}
	for _, b := range v.blocks {
		if b.Type != "input" {
			continue
		}
		value := given[b.BlockID][b.Element.ActionID]
		if value == "" && !b.Optional {
			return nil, fmt.Errorf("localslack: %q must be filled in", b.Label.Text)
		}
		field := map[string]any{"type": "plain_text_input", "value": nil}
		if value != "" {
			field["value"] = value
		}
		values[b.BlockID] = map[string]any{b.Element.ActionID: field}
	}
	return values, nil
}

// submitted does what the app answered a submission with.
func (w *Workspace) submitted(id string, response json.RawMessage) error {
	var r struct {
		Action string            `json:"response_action"`
		Errors map[string]string `json:"errors"`
		View   json.RawMessage   `json:"view"`
	}
	if len(response) > 0 && json.Unmarshal(response, &r) != nil {
		return errors.New("localslack: the app's answer to the submission cannot be read")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.hub.changed("")
	v := w.views[id]
	switch {
	case v == nil:
	case r.Action == "errors":
		v.problems = r.Errors
	case r.Action == "update":
		updated, err := w.makeView(id, v.user, string(r.View))
		if err != nil {
			return err
		}
		w.views[id] = updated
	default:
		delete(w.views, id)
	}
	return nil
}
