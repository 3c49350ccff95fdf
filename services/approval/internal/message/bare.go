package message

import (
	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// Bare is the message in place of one that Slack does not take: no foreign
// text, no Approve button, and where to read and decide it.
func Bare(st *machine.State) Content {
	s := "A command waits for an approval, and Slack does not take the message that shows it.\n" +
		"Read and decide it with `gatestay approvals show " + st.ID + "`"
	c := Content{Text: "Approval needed: " + st.ID}
	if st.Glass != nil {
		s = ":rotating_light: *BREAK-GLASS:* commands run without an approval, and Slack does not take the message that shows them.\n" +
			"Read and review them with `gatestay approvals show " + st.ID + "`"
		return Content{Text: "BREAK-GLASS: " + st.ID, Blocks: []slack.Block{section(s)}}
	}
	if st.Done() {
		s = "An approval that Slack could not show has ended: *" + string(st.Status) + "*. See `gatestay approvals show " + st.ID + "`"
		c.Text = "Approval ended: " + st.ID
	}
	c.Blocks = []slack.Block{section(s)}
	if !st.Done() {
		c.Blocks = append(c.Blocks, Input{State: st}.buttons(false))
	}
	return c
}
