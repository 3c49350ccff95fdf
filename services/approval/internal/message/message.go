// Package message renders an approval as a Slack message. It is pure: the
// same state gives the same message, whichever replica asks.
//
// Whatever comes from outside (names, statements, reasons) is shown so that it
// can neither pose as markup nor hide a part of itself. What does not fit is
// not offered for approval here: the message names the command that shows it
// whole.
package message

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// The ids of the buttons. Their value is the approval's id and nothing else.
const (
	ActionApprove    = "gatestay_approve"
	ActionApproveRun = "gatestay_approve_run"
	ActionApproveJob = "gatestay_approve_job"
	ActionDeny       = "gatestay_deny"
	ActionRevoke     = "gatestay_revoke"
)

// MetadataType marks our messages, so that one whose answer was lost is found.
const MetadataType = "gatestay_approval"

const (
	maxHeader    = 150
	maxField     = 1800
	maxFallback  = 300
	maxWarnings  = 10
	maxLookAlike = 5
)

// Input is all that a message is made from.
type Input struct {
	State   *machine.State
	Request *eventv1.ApprovalRequest
	People  electorate.People
	// Tally is what the votes so far amount to; Attainable what they could.
	Tally, Attainable electorate.Tally
	// Earlier is what was decided before about the same statement, newest first.
	Earlier []Earlier
	// Inbox is where the approval's page is, empty where there is none.
	Inbox string
	// Asked reports that somebody is known who can be asked about it.
	Asked bool
	// Admits says whether an account may vote; nil admits all.
	Admits func(account string) bool
}

// Earlier is a decision about the same statement, with whatever values.
type Earlier struct {
	Status machine.Status
	By     []string // persons
	At     time.Time
}

// Content is a rendered message.
type Content struct {
	Text   string // of notifications
	Blocks []slack.Block
	// Approvable says whether it has an Approve button: all of it was shown.
	Approvable bool
	// ID identifies the content.
	ID string
}

// Render returns the message for a state.
func Render(in Input) (Content, error) {
	r := in.Request
	headline, _ := cut(approval.Headline(r.Verb, r.Objects), maxHeader)
	c := Content{Text: fallback(in, headline)}
	if in.State.Glass != nil {
		in.glass(&c)
		return c.complete(in)
	}
	add := func(b ...slack.Block) { c.Blocks = append(c.Blocks, b...) }
	header := slack.NewHeaderBlock(&slack.TextBlockObject{Type: slack.PlainTextType, Text: headline})
	add(header, section(who(r)))
	whole := c.statement(r, in.Inbox)
	add(fields(r))
	for _, l := range approval.Measured(r) { // what is measured of its effects
		shown, _ := cut(l, maxField/4)
		add(section(":bar_chart: " + inline(shown)))
	}
	if w := warnings(r); w != "" {
		add(section(w))
	}
	if in.State.Done() {
		add(slack.NewDividerBlock(), section(in.outcome()))
		if g := in.State.Grant; g != nil && !g.Over && g.Revoked.IsZero() {
			add(slack.NewActionBlock("gatestay", button(ActionRevoke, in.State.ID, "Revoke").WithStyle(slack.StyleDanger)))
		}
	} else {
		c.Approvable = whole && in.Attainable.Met() && !stepUp(r)
		if s := in.earlier(); s != "" {
			add(slack.NewContextBlock("", markup(s)))
		}
		add(in.waiting())
		if s := in.questions(); s != "" {
			add(section(s))
		}
		if s := in.stepUp(); s != "" {
			add(section(s))
		}
		if s := offers(r); s != "" && c.Approvable {
			add(slack.NewContextBlock("", markup(s)))
		}
		add(in.buttons(c.Approvable))
	}
	return c.complete(in)
}

// complete adds the foot, and what identifies the content.
func (c Content) complete(in Input) (Content, error) {
	c.Blocks = append(c.Blocks, slack.NewContextBlock("", markup(in.footer())))
	raw, err := json.Marshal(c.Blocks)
	if err != nil {
		return Content{}, fmt.Errorf("message: %w", err)
	}
	sum := sha256.Sum256(append(raw, c.Text...))
	c.ID = hex.EncodeToString(sum[:8])
	return c, nil
}

// Approvable reports whether a request can be shown whole in a message.
func Approvable(r *eventv1.ApprovalRequest) bool {
	c := Content{}
	return c.statement(r, "")
}

// markup turns off what Slack would guess from plain text: links, mentions.
func markup(s string) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.MarkdownType, Text: s, Verbatim: true}
}

func section(s string) *slack.SectionBlock {
	b := slack.NewSectionBlock(markup(s), nil, nil)
	b.Expand = true // a folded statement is a hidden one
	return b
}

// who says who asks for what against what.
func who(r *eventv1.ApprovalRequest) string {
	if r.People != nil {
		return inline(approval.Describe(r.Principal)) + " has changed who is who, and who may approve. It comes into force when approved:"
	}
	s := link(r.GetPrincipal().GetUrl(), approval.Describe(r.Principal)) + "\nwants to run this on *" + code(r.Target) + "*"
	if r.Environment != "" {
		s += " (" + inline(r.Environment) + ")"
	}
	if r.Database != "" {
		s += ", database " + span(r.Database)
	}
	return s + ":"
}

// code is inline text that goes well with bold.
func code(s string) string {
	if plain(approval.Visible(s)) {
		return inline(s)
	}
	return span(s)
}

// withheld is what stands for a value that a mask keeps from everybody.
var withheld = regexp.MustCompile(`‹[a-z]+ \d+( #[0-9a-f]+)?›`)

// statement adds the statement and its parameters and reports whether all of
// it is there.
func (c *Content) statement(r *eventv1.ApprovalRequest, inbox string) bool {
	blocks, whole := fence(r.Statement, maxSections)
	if len(r.Parameters) > 0 {
		var b strings.Builder
		for i, p := range r.Parameters {
			fmt.Fprintf(&b, "$%d = %s\n", i+1, approval.Visible(p))
		}
		values, fits := fence(b.String(), maxSections-len(blocks)+1)
		blocks = append(blocks, "with the parameters\n"+values[0])
		blocks = append(blocks, values[1:]...)
		whole = whole && fits
	}
	for _, b := range blocks {
		c.Blocks = append(c.Blocks, section(b))
	}
	if withheld.MatchString(r.Statement + strings.Join(r.Parameters, " ")) {
		c.Blocks = append(c.Blocks, slack.NewContextBlock("", markup("`‹kind length #tag›` stands for a value that is hidden here too. Equal tags are equal values.")))
	}
	if !whole {
		where := "with `gatestay approvals show " + r.Id + "`"
		if inbox != "" {
			where = "<" + escape(inbox) + "|in the inbox>, or " + where
		}
		c.Blocks = append(c.Blocks, section(":warning: *This is not all of it.* It is too long to be shown whole here, so it cannot be approved here. "+
			"Read and decide it "+where))
	}
	return whole
}

func fields(r *eventv1.ApprovalRequest) slack.Block {
	reason := "_none given_"
	if strings.TrimSpace(r.Reason) != "" {
		shown, _ := cut(approval.Visible(r.Reason), maxField/2)
		reason = inline(shown)
	}
	rule := span(r.Rule) + fmt.Sprintf(", policy version %d", r.PolicyVersion)
	if r.RuleDescription != "" {
		shown, _ := cut(approval.Visible(r.RuleDescription), maxField/3)
		rule += "\n" + inline(shown)
	}
	return slack.NewSectionBlock(nil, []*slack.TextBlockObject{markup("*Reason*\n" + reason), markup("*Rule*\n" + rule)}, nil)
}

// warnings are the gateway's, and what this package sees by itself.
func warnings(r *eventv1.ApprovalRequest) string {
	var lines []string
	for _, w := range r.Warnings {
		shown, _ := cut(approval.Visible(w), 200)
		lines = append(lines, ":warning: "+inline(shown))
	}
	words := []string{r.Statement}
	words = append(words, r.Parameters...)
	for _, o := range r.Objects {
		words = append(words, o.GetSchema(), o.GetName())
	}
	for i, w := range approval.LookAlikes(strings.Join(words, " ")) {
		if i == maxLookAlike {
			break
		}
		shown, _ := cut(approval.SpellOut(w), 120)
		lines = append(lines, ":warning: looks like another name: "+span(shown))
	}
	if strings.Contains(approval.VisibleText(r.Statement), "‹U+") && !strings.Contains(r.Statement, "‹U+") {
		lines = append(lines, ":warning: holds invisible characters, shown as ‹U+…›")
	}
	if n := len(lines) - maxWarnings; n > 0 {
		lines = append(lines[:maxWarnings], fmt.Sprintf(":warning: and %d more", n))
	}
	return strings.Join(lines, "\n")
}

func (in Input) buttons(approvable bool) slack.Block {
	id := in.State.ID
	deny := button(ActionDeny, id, "Deny").WithStyle(slack.StyleDanger)
	last := []slack.BlockElement{deny}
	if in.Request != nil && in.Asked {
		last = append(last, button(ActionAsk, id, "Ask…"))
	}
	if !approvable {
		return slack.NewActionBlock("gatestay", last...)
	}
	elements := []slack.BlockElement{button(ActionApprove, id, "Approve").WithStyle(slack.StylePrimary)}
	if machine.Offered(in.Request, policy.ScopeRun) {
		elements = append(elements, button(ActionApproveRun, id, "Approve for this run"))
	}
	if machine.Offered(in.Request, policy.ScopeJob) {
		elements = append(elements, button(ActionApproveJob, id, "Approve for this job"))
	}
	return slack.NewActionBlock("gatestay", append(elements, last...)...)
}

func button(action, id, label string) *slack.ButtonBlockElement {
	return slack.NewButtonBlockElement(action, id, &slack.TextBlockObject{Type: slack.PlainTextType, Text: label})
}

// offers says what the wider buttons would let pass.
func offers(r *eventv1.ApprovalRequest) string {
	o := r.GetOffer()
	var lines []string
	limit := fmt.Sprintf("at most %d in %s", o.GetUses(), inline(approval.Span(o.GetLife().AsDuration())))
	for _, scope := range o.GetScopes() {
		switch scope {
		case policy.ScopeRun:
			lines = append(lines, "*For this run*: "+approval.GrantedTo(scope)+", "+limit)
		case policy.ScopeJob:
			lines = append(lines, "*For this job*: "+approval.GrantedTo(scope)+", "+limit)
		}
	}
	return strings.Join(lines, "\n")
}

// earlier says what became of the same statement before.
func (in Input) earlier() string {
	var parts []string
	for _, e := range in.Earlier {
		var names []string
		for _, person := range e.By {
			names = append(names, in.person(person))
		}
		sign := ":white_check_mark: approved"
		if e.Status == machine.Denied {
			sign = ":no_entry: denied"
		}
		if len(names) > 0 {
			sign += " by " + strings.Join(names, " and ")
		}
		parts = append(parts, sign+" "+date(e.At))
	}
	if len(parts) == 0 {
		return ""
	}
	return "The same statement before, with these or other values: " + strings.Join(parts, "; ")
}

func (in Input) footer() string {
	s := "`" + in.State.ID + "`"
	if in.Inbox != "" {
		s = "<" + escape(in.Inbox) + "|" + in.State.ID + ">"
	}
	if !in.State.Done() {
		return "Expires " + date(in.Request.Deadline.AsTime()) + " · " + s
	}
	return s
}

// date shows a time in the reader's own zone.
func date(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} at {time}|%s>", t.Unix(), t.UTC().Format("2006-01-02 15:04 UTC"))
}

// fallback is what a notification says.
func fallback(in Input, headline string) string {
	state := "Approval needed"
	switch in.State.Status {
	case machine.Approved:
		state = "Approved"
	case machine.Denied:
		state = "Denied"
	case machine.Expired:
		state = "Expired"
	case machine.Cancelled:
		state = "Cancelled"
	case machine.InReview:
		state = "BREAK-GLASS"
	case machine.Reviewed:
		state = "Break-glass reviewed"
	case machine.Waiting:
	}
	s, _ := cut(state+": "+headline+" on "+approval.Visible(in.Request.Target)+", for "+approval.Describe(in.Request.Principal), maxFallback)
	return escape(s)
}
