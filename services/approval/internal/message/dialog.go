package message

import (
	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// The ids of the dialog that asks for a reason.
const (
	DialogCallback = "gatestay_reason"
	DialogBlock    = "reason"
	DialogAction   = "text"
)

const maxReason = 1000 // characters, as the desk keeps

// Dialog asks for the reason of a vote. metadata comes back with its submission.
func Dialog(r *eventv1.ApprovalRequest, vote, metadata string, required bool) slack.ModalViewRequest {
	plain := func(s string) *slack.TextBlockObject {
		return &slack.TextBlockObject{Type: slack.PlainTextType, Text: s}
	}
	title, submit, hint := "Deny this?", "Deny", "The requester reads it, and the audit keeps it."
	if vote == approval.Approve {
		title, submit = "Approve this?", "Approve"
	}
	headline, _ := cut(approval.Headline(r.Verb, r.Objects), maxHeader)
	input := slack.NewPlainTextInputBlockElement(plain("Why?"), DialogAction).WithMultiline(true).WithMaxLength(maxReason)
	if required {
		input = input.WithMinLength(1)
	}
	reason := slack.NewInputBlock(DialogBlock, plain("Reason"), plain(hint), input)
	reason.Optional = !required
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: DialogCallback, PrivateMetadata: metadata,
		Title: plain(title), Submit: plain(submit), Close: plain("Back"),
		Blocks: slack.Blocks{BlockSet: []slack.Block{section("*" + inline(headline) + "* on *" + code(r.Target) + "*\n" + approvalFor(r)), reason}},
	}
}

// ReviewDialog asks for the note of a verdict.
func ReviewDialog(r *eventv1.ApprovalRequest, verdict, metadata string) slack.ModalViewRequest {
	v := Dialog(r, approval.Deny, metadata, true)
	plain := func(s string) *slack.TextBlockObject {
		return &slack.TextBlockObject{Type: slack.PlainTextType, Text: s}
	}
	v.Title, v.Submit = plain("Was it justified?"), plain("Justified")
	if verdict == machine.Unjustified {
		v.Submit = plain("Not justified")
	}
	if in, ok := v.Blocks.BlockSet[1].(*slack.InputBlock); ok {
		in.Label, in.Hint = plain("What did you find?"), plain("The audit keeps it. Closing ends what still runs.")
	}
	return v
}

func approvalFor(r *eventv1.ApprovalRequest) string {
	return link(r.GetPrincipal().GetUrl(), approval.Describe(r.Principal)) + " · `" + r.Id + "`"
}
