package localslack

import (
	"encoding/json"
	"fmt"
)

// block is one Block Kit block, with the fields that a message uses.
type block struct {
	Type      string    `json:"type"`
	BlockID   string    `json:"block_id,omitempty"`
	Text      *text     `json:"text,omitempty"`
	Fields    []text    `json:"fields,omitempty"`
	Accessory *element  `json:"accessory,omitempty"`
	Elements  []element `json:"elements,omitempty"`
	// input
	Label    *text    `json:"label,omitempty"`
	Element  *element `json:"element,omitempty"`
	Hint     *text    `json:"hint,omitempty"`
	Optional bool     `json:"optional,omitempty"`
	// image
	ImageURL string `json:"image_url,omitempty"`
	AltText  string `json:"alt_text,omitempty"`
	Title    *text  `json:"title,omitempty"`
	Expand   bool   `json:"expand,omitempty"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`
	Verbatim bool   `json:"verbatim,omitempty"`
}

// element is an element of a block: a button, a text of a context, an input.
type element struct {
	Type     string          `json:"type"`
	ActionID string          `json:"action_id,omitempty"`
	Text     json.RawMessage `json:"text,omitempty"` // an object in a button, a string in a context
	Value    string          `json:"value,omitempty"`
	URL      string          `json:"url,omitempty"`
	Style    string          `json:"style,omitempty"`
	Confirm  *confirm        `json:"confirm,omitempty"`
	Emoji    *bool           `json:"emoji,omitempty"`
	Verbatim bool            `json:"verbatim,omitempty"`
	Label    string          `json:"accessibility_label,omitempty"`
	ImageURL string          `json:"image_url,omitempty"`
	AltText  string          `json:"alt_text,omitempty"`
	// plain_text_input
	Placeholder  *text  `json:"placeholder,omitempty"`
	InitialValue string `json:"initial_value,omitempty"`
	Multiline    bool   `json:"multiline,omitempty"`
	MaxLength    int    `json:"max_length,omitempty"`
	MinLength    int    `json:"min_length,omitempty"`
	Focus        bool   `json:"focus_on_load,omitempty"`
}

type confirm struct {
	Title   *text  `json:"title,omitempty"`
	Text    *text  `json:"text,omitempty"`
	Confirm *text  `json:"confirm,omitempty"`
	Deny    *text  `json:"deny,omitempty"`
	Style   string `json:"style,omitempty"`
}

type blocks []block

// raw returns the blocks as they are stored: with an id each.
func (b blocks) raw() (json.RawMessage, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("localslack: marshal blocks: %w", err)
	}
	return raw, nil
}

// label reads a button's text object.
func (e *element) label() text {
	var t text
	if json.Unmarshal(e.Text, &t) != nil {
		return text{}
	}
	return t
}

// words reads a context element's text.
func (e *element) words() text {
	t := text{Type: e.Type}
	_ = json.Unmarshal(e.Text, &t.Text) // checked at validation
	return t
}

// buttons calls f for every element that can be clicked, until it returns true.
func (b blocks) buttons(f func(blockID string, e *element) bool) bool {
	for i := range b {
		if a := b[i].Accessory; a != nil && a.Type == "button" && f(b[i].BlockID, a) {
			return true
		}
		if b[i].Type != "actions" {
			continue
		}
		for j := range b[i].Elements {
			if f(b[i].BlockID, &b[i].Elements[j]) {
				return true
			}
		}
	}
	return false
}
