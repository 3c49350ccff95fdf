package localslack

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Slack's limits, in characters or elements. Source: the reference of each
// block and element under https://docs.slack.dev/reference/block-kit.
const (
	maxMessageBlocks = 50
	maxViewBlocks    = 100
	maxBlockID       = 255
	maxHeader        = 150
	maxSection       = 3000
	maxFields        = 10
	maxField         = 2000
	maxContext       = 10
	maxActions       = 25
	maxActionID      = 255
	maxButtonText    = 75
	maxButtonValue   = 2000
	maxURL           = 3000
	maxLabel         = 2000
	maxConfirmTitle  = 100
	maxConfirmText   = 300
	maxConfirmButton = 30
	maxAlt           = 2000
)

// checker collects problems, each with its JSON pointer, as Slack lists them.
type checker struct{ problems []string }

func (c *checker) bad(pointer, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("[ERROR] %s [json-pointer:%s]", fmt.Sprintf(format, args...), pointer))
}

// parseBlocks reads and checks blocks. Its error is invalid_blocks with the
// problems, as chat.postMessage answers.
func parseBlocks(raw json.RawMessage, inView bool) (blocks, error) {
	var list blocks
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fail("invalid_blocks_format")
	}
	c := &checker{}
	limit := maxMessageBlocks
	if inView {
		limit = maxViewBlocks
	}
	if len(list) > limit {
		c.bad("/blocks", "no more than %d items allowed", limit)
	}
	seen := map[string]bool{}
	for i := range list {
		b := &list[i]
		if b.BlockID == "" {
			b.BlockID = random(3)
		}
		p := fmt.Sprintf("/blocks/%d", i)
		c.length(p+"/block_id", b.BlockID, 1, maxBlockID)
		if seen[b.BlockID] {
			c.bad(p+"/block_id", "block_id already exists")
		}
		seen[b.BlockID] = true
		c.block(p, b)
	}
	if len(c.problems) > 0 {
		return nil, fail("invalid_blocks", c.problems...)
	}
	return list, nil
}

func (c *checker) block(p string, b *block) {
	switch b.Type {
	case "divider":
	case "header":
		c.text(p+"/text", b.Text, maxHeader, "plain_text")
	case "section":
		c.section(p, b)
	case "context":
		c.count(p+"/elements", len(b.Elements), maxContext)
		for i := range b.Elements {
			c.contextElement(fmt.Sprintf("%s/elements/%d", p, i), &b.Elements[i])
		}
	case "actions":
		c.count(p+"/elements", len(b.Elements), maxActions)
		seen := map[string]bool{}
		for i := range b.Elements {
			at := fmt.Sprintf("%s/elements/%d", p, i)
			c.button(at, &b.Elements[i])
			if id := b.Elements[i].ActionID; id != "" && seen[id] {
				c.bad(at+"/action_id", "`action_id` already exists")
			}
			seen[b.Elements[i].ActionID] = true
		}
	case "image":
		c.length(p+"/image_url", b.ImageURL, 1, maxURL)
		c.length(p+"/alt_text", b.AltText, 1, maxAlt)
	case "input":
		c.text(p+"/label", b.Label, maxLabel, "plain_text")
		if b.Element == nil || b.Element.Type != "plain_text_input" {
			c.bad(p+"/element", "unsupported type of input element")
		}
	default:
		c.bad(p+"/type", "unsupported type: %s", b.Type)
	}
}

func (c *checker) section(p string, b *block) {
	if b.Text == nil && len(b.Fields) == 0 {
		c.bad(p, "missing required field: text or fields")
	}
	if b.Text != nil {
		c.text(p+"/text", b.Text, maxSection, "plain_text", "mrkdwn")
	}
	if len(b.Fields) > maxFields {
		c.bad(p+"/fields", "no more than %d items allowed", maxFields)
	}
	for i := range b.Fields {
		c.text(fmt.Sprintf("%s/fields/%d", p, i), &b.Fields[i], maxField, "plain_text", "mrkdwn")
	}
	if b.Accessory != nil {
		c.button(p+"/accessory", b.Accessory)
	}
}

func (c *checker) contextElement(p string, e *element) {
	if e.Type == "image" {
		c.length(p+"/image_url", e.ImageURL, 1, maxURL)
		c.length(p+"/alt_text", e.AltText, 1, maxAlt)
		return
	}
	t := e.words()
	c.text(p, &t, maxSection, "plain_text", "mrkdwn")
}

func (c *checker) button(p string, e *element) {
	if e.Type != "button" {
		c.bad(p+"/type", "unsupported type: %s", e.Type)
		return
	}
	if e.ActionID == "" {
		e.ActionID = random(3)
	}
	c.length(p+"/action_id", e.ActionID, 1, maxActionID)
	t := e.label()
	c.text(p+"/text", &t, maxButtonText, "plain_text")
	c.length(p+"/value", e.Value, 0, maxButtonValue)
	c.length(p+"/url", e.URL, 0, maxURL)
	c.style(p+"/style", e.Style)
	if e.Confirm == nil {
		return
	}
	c.text(p+"/confirm/title", e.Confirm.Title, maxConfirmTitle, "plain_text")
	c.text(p+"/confirm/text", e.Confirm.Text, maxConfirmText, "plain_text", "mrkdwn")
	c.text(p+"/confirm/confirm", e.Confirm.Confirm, maxConfirmButton, "plain_text")
	c.text(p+"/confirm/deny", e.Confirm.Deny, maxConfirmButton, "plain_text")
	c.style(p+"/confirm/style", e.Confirm.Style)
}

func (c *checker) style(p, style string) {
	if style != "" && style != "primary" && style != "danger" {
		c.bad(p, "failed to match all allowed schemas; allowed: primary, danger")
	}
}

func (c *checker) count(p string, n, most int) {
	if n < 1 {
		c.bad(p, "no fewer than 1 items required")
	}
	if n > most {
		c.bad(p, "no more than %d items allowed", most)
	}
}

func (c *checker) text(p string, t *text, most int, kinds ...string) {
	if t == nil {
		c.bad(p, "missing required field")
		return
	}
	if !strings.Contains(" "+strings.Join(kinds, " ")+" ", " "+t.Type+" ") {
		c.bad(p+"/type", "must be one of: %s", strings.Join(kinds, ", "))
	}
	c.length(p+"/text", t.Text, 1, most)
}

func (c *checker) length(p, s string, least, most int) {
	n := utf8.RuneCountInString(s)
	if n < least {
		c.bad(p, "must be more than %d characters", least-1)
	}
	if n > most {
		c.bad(p, "must be less than %d characters", most+1)
	}
}
