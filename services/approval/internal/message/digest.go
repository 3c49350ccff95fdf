package message

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const (
	maxDigest     = 8 // lines
	maxDigestLine = 300
)

// Digest renders what waits in a channel without a message of its own, the
// oldest first; inbox is the web inbox's URL, or empty. With nothing it says so.
func Digest(waiting []*eventv1.ApprovalRequest, inbox string) (Content, error) {
	var c Content
	where := "`gatestay approvals list`"
	if inbox != "" {
		where = "the " + link(inbox, "inbox") + ", or `gatestay approvals list`"
	}
	if len(waiting) == 0 {
		c.Text = "Nothing more waits here."
		c.Blocks = []slack.Block{section(":white_check_mark: Nothing more waits here. What was decided is in " + where + ".")}
	} else {
		c.Text = count(int64(len(waiting)), "more approval") + " needed"
		var lines []string
		for i, r := range waiting {
			if i == maxDigest {
				lines = append(lines, fmt.Sprintf("_and %d more_", len(waiting)-maxDigest))
				break
			}
			lines = append(lines, "• "+digestLine(r))
		}
		c.Blocks = []slack.Block{
			slack.NewHeaderBlock(&slack.TextBlockObject{Type: slack.PlainTextType, Text: c.Text}),
			section(strings.Join(lines, "\n")),
			section("Each gets a message of its own here as soon as fewer wait. See and decide them all in " + where + "."),
		}
	}
	raw, err := json.Marshal(c.Blocks)
	if err != nil {
		return Content{}, fmt.Errorf("message: %w", err)
	}
	sum := sha256.Sum256(raw)
	c.ID = hex.EncodeToString(sum[:8])
	return c, nil
}

func digestLine(r *eventv1.ApprovalRequest) string {
	shown, _ := cut(approval.Headline(r.Verb, r.Objects)+" on "+approval.Visible(r.Target)+", for "+approval.Describe(r.Principal), maxDigestLine/2)
	return inline(shown) + " `" + r.Id + "`"
}
