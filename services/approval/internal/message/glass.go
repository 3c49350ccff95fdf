package message

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// The ids of the buttons of a review.
const (
	ActionJustified   = "gatestay_justified"
	ActionUnjustified = "gatestay_unjustified"
)

const (
	maxGlassLines = 12  // commands that the message names; the newest ones
	maxGlassLine  = 180 // characters of a statement
)

// glass renders a break-glass: one message, kept up to date, for all that its run
// does.
func (in Input) glass(c *Content) {
	r, g := in.Request, in.State.Glass
	add := func(b ...slack.Block) { c.Blocks = append(c.Blocks, b...) }
	headline, _ := cut("🚨 BREAK-GLASS on "+approval.Visible(r.Target), maxHeader)
	add(slack.NewHeaderBlock(&slack.TextBlockObject{Type: slack.PlainTextType, Text: headline}))
	add(section("*Nobody approved this.* " + link(r.GetPrincipal().GetUrl(), approval.Describe(r.Principal)) + " runs commands on *" + code(r.Target) + "* that wait for an approval otherwise" + in.place() + "."))
	shown, _ := cut(approval.Visible(r.Reason), maxField/2)
	add(section("*Reason*\n" + inline(shown)))
	add(section(in.passed()))
	rule := "*Rule* " + span(r.Rule) + fmt.Sprintf(", policy version %d", r.PolicyVersion)
	if g.Forged {
		rule += "\n:rotating_light: *The rule does not allow this, which is a sign of tampering.* Show it to whoever runs Gatestay."
	}
	add(section(rule), slack.NewDividerBlock())
	if s := in.verdicts(); s != "" {
		add(section(s))
	}
	if in.State.Status == machine.Reviewed {
		sign := ":white_check_mark: *Reviewed: justified*"
		if g.Verdict == machine.Unjustified {
			sign = ":no_entry: *Reviewed: not justified*"
		}
		add(section(sign + ", " + date(in.State.Ended)))
		return
	}
	add(section(in.reviewers()), slack.NewActionBlock("gatestay",
		button(ActionJustified, in.State.ID, "Justified…"), button(ActionUnjustified, in.State.ID, "Not justified…").WithStyle(slack.StyleDanger)))
}

func (in Input) place() string {
	s := ""
	if in.Request.Environment != "" {
		s += " (" + inline(in.Request.Environment) + ")"
	}
	if in.Request.Database != "" {
		s += ", database " + span(in.Request.Database)
	}
	return s
}

// passed lists the commands, the newest ones where there are many.
func (in Input) passed() string {
	g := in.State.Glass
	lines := []string{fmt.Sprintf("*%s*, of at most %d until %s", count(int64(g.Count), "command"), in.Request.GetBreakGlass().GetUses(), date(in.Request.GetBreakGlass().GetUntil().AsTime()))}
	list := g.Commands
	if n := len(list) - maxGlassLines; n > 0 {
		lines = append(lines, fmt.Sprintf("_%d earlier ones_", n))
		list = list[n:]
	}
	for _, c := range list {
		shown, _ := cut(approval.Visible(c.Statement), maxGlassLine)
		line := span(shown)
		switch c.Status {
		case "":
			line = ":hourglass_flowing_sand: " + line
		case "ok":
			line = ":white_check_mark: " + line + " " + count(c.Rows, "row")
		default:
			line = ":x: " + line + " " + inline(c.Status)
		}
		if c.Reason != "" {
			why, _ := cut(approval.Visible(c.Reason), maxGlassLine/2)
			line += " — " + inline(why)
		}
		lines = append(lines, line)
	}
	if n := int(g.Count) - len(g.Commands); n > 0 {
		lines = append(lines, fmt.Sprintf("_and %d later ones: the audit has them all_", n))
	}
	return strings.Join(lines, "\n")
}

func (in Input) verdicts() string {
	var lines []string
	for _, v := range in.State.Glass.Verdicts {
		sign, word := ":white_check_mark:", "justified"
		if v.Verdict == machine.Unjustified {
			sign, word = ":no_entry:", "not justified"
		}
		note, _ := cut(approval.Visible(v.Note), maxField/3)
		lines = append(lines, sign+" "+in.voter(machine.Vote{Person: v.Person, Account: v.Account, Via: v.Via})+": "+word+" — "+inline(note))
	}
	return strings.Join(lines, "\n")
}

// reviewers mentions who is to review it.
func (in Input) reviewers() string {
	names := either(in.approvers())
	if names == "" {
		names = "nobody who is left; an administrator"
	}
	s := ":mag: It stays open until it is reviewed, by " + names
	if n := in.Tally.Needed; n > 1 {
		s += fmt.Sprintf("; %d of them, because the people map does not know %s", n, in.unplaced())
	}
	return s + ". Closing it ends what still runs."
}

// Note renders a message in the thread of another.
func Note(in Input, n machine.Note) Content {
	if n.Kind == machine.NoteEscalation {
		text := fmt.Sprintf(":rotating_light: This has waited since %s without a decision: %s may approve it now, too.", date(in.Request.GetRequestedAt().AsTime()), either(in.escalated()))
		return Content{Text: text, Blocks: []slack.Block{section(text)}, ID: n.ID}
	}
	if n.Kind == machine.NoteQuestion {
		return in.question(n)
	}
	days := max(1, int(n.At.Sub(in.State.Received)/(24*time.Hour)))
	text := fmt.Sprintf(":alarm_clock: This break-glass is open for %s. It is to be reviewed by %s.", count(int64(days), "day"), either(in.approvers()))
	return Content{Text: text, Blocks: []slack.Block{section(text)}, ID: n.ID}
}
