package chat

import (
	"encoding/json"

	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

// input is what somebody did with one of our buttons or dialogs.
type input struct {
	ballot    desk.Ballot
	revoke    bool
	verdict   string // of a review
	action    string
	ask       bool
	submitted bool // a dialog: the reason is given
}

// origin is what a dialog remembers of the button that opened it. It is no
// secret and proves nothing: a vote is checked as any other.
type origin struct {
	Approval string `json:"approval"`
	Action   string `json:"action"`
	Channel  string `json:"channel"`
	TS       string `json:"ts"`
}

// verdicts are what the buttons of a review say.
var verdicts = map[string]string{message.ActionJustified: machine.Justified, message.ActionUnjustified: machine.Unjustified}

// votes is what each button says.
var votes = map[string]desk.Ballot{
	message.ActionApprove:    {Vote: approval.Approve},
	message.ActionApproveRun: {Vote: approval.Approve, Scope: policy.ScopeRun},
	message.ActionApproveJob: {Vote: approval.Approve, Scope: policy.ScopeJob},
	message.ActionDeny:       {Vote: approval.Deny},
}

// read reads our button or dialog out of an interaction; nil where it is neither.
func read(i *slack.InteractionCallback) *input {
	if i.User.ID == "" {
		return nil
	}
	switch i.Type { //nolint:exhaustive // the others are not ours
	case slack.InteractionTypeBlockActions:
		if len(i.ActionCallback.BlockActions) != 1 || i.Channel.ID == "" || i.Container.MessageTs == "" {
			return nil
		}
		a := i.ActionCallback.BlockActions[0]
		if a.Type != "button" {
			return nil
		}
		return about(i.User.ID, origin{Approval: a.Value, Action: a.ActionID, Channel: i.Channel.ID, TS: i.Container.MessageTs})
	case slack.InteractionTypeViewSubmission:
		var o origin
		if i.View.CallbackID != message.DialogCallback || i.View.State == nil || json.Unmarshal([]byte(i.View.PrivateMetadata), &o) != nil {
			return nil
		}
		in := about(i.User.ID, o)
		if in == nil || in.revoke || o.Channel == "" || o.TS == "" {
			return nil
		}
		in.submitted, in.ballot.Reason = true, i.View.State.Values[message.DialogBlock][message.DialogAction].Value
		return in
	}
	return nil
}

func about(user string, o origin) *input {
	b, ok := votes[o.Action]
	revoke := o.Action == message.ActionRevoke
	verdict := verdicts[o.Action]
	ask := o.Action == message.ActionAsk
	if !ok && !revoke && verdict == "" && !ask {
		return nil
	}
	b.Approval, b.Account, b.Via, b.Channel, b.TS = o.Approval, "slack:"+user, "slack", o.Channel, o.TS
	return &input{ballot: b, revoke: revoke, verdict: verdict, action: o.Action, ask: ask}
}

// metadata is the origin of a button, for the dialog that it opens.
func (in *input) metadata() string {
	raw, err := json.Marshal(origin{Approval: in.ballot.Approval, Action: in.action, Channel: in.ballot.Channel, TS: in.ballot.TS})
	if err != nil { // strings only
		return ""
	}
	return string(raw)
}
