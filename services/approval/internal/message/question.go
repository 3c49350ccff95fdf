package message

import (
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// ActionAsk is the button that opens the dialog for a question.
const ActionAsk = "gatestay_ask"

const maxAsked = maxField / 3

// question is a question in the thread, to whom it is for.
func (in Input) question(n machine.Note) Content {
	i := slices.IndexFunc(in.State.Questions, func(q machine.Question) bool { return q.ID == n.ID })
	if i < 0 {
		return Content{ID: n.ID}
	}
	q := in.State.Questions[i]
	shown, _ := cut(approval.Visible(q.Text), maxField)
	text := ":question: " + in.person(q.Of) + ", " + in.voter(machine.Vote{Person: q.By, Account: q.Account, Via: q.Via}) + " asks: " + inline(shown) +
		"\nReply here in the thread; your answer is shown to the approvers, and kept. It is no vote."
	return Content{Text: text, Blocks: []slack.Block{section(text)}, ID: n.ID}
}

// questions says what was asked and answered.
func (in Input) questions() string {
	var lines []string
	for _, q := range in.State.Questions {
		text, _ := cut(approval.Visible(q.Text), maxAsked)
		lines = append(lines, ":question: "+in.person(q.By)+" asked "+in.person(q.Of)+": "+inline(text))
		if q.Answer != "" {
			text, _ = cut(approval.Visible(q.Answer), maxAsked)
			lines = append(lines, ":speech_balloon: "+in.person(q.Of)+": "+inline(text))
		}
	}
	if n := len(lines) - 8; n > 0 { // the newest; the page has them all
		lines = lines[n:]
	}
	return strings.Join(lines, "\n")
}

// AskDialog asks for a question. metadata comes back with its submission.
func AskDialog(r *eventv1.ApprovalRequest, metadata string) slack.ModalViewRequest {
	v := Dialog(r, approval.Deny, metadata, true)
	plain := func(s string) *slack.TextBlockObject {
		return &slack.TextBlockObject{Type: slack.PlainTextType, Text: s}
	}
	v.Title, v.Submit = plain("Ask about this"), plain("Ask")
	if in, ok := v.Blocks.BlockSet[1].(*slack.InputBlock); ok {
		in.Label, in.Hint = plain("Question"), plain("It goes into the thread, to who is behind the request. The audit keeps it.")
		if text, ok := in.Element.(*slack.PlainTextInputBlockElement); ok {
			text.Placeholder = plain("What for?")
		}
	}
	return v
}
