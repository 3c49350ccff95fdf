package plan

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// Plan is the gateway's answer.
type Plan struct {
	ID        string     `json:"id,omitempty"` // of the approval; empty where nobody was asked
	Target    string     `json:"target"`
	Database  string     `json:"database"`
	Tool      string     `json:"tool"`
	Steps     []Step     `json:"steps"`
	Keeping   []Step     `json:"bookkeeping"` // the tool's own statements
	Held      int        `json:"held"`
	Denied    int        `json:"denied"`
	Rules     []string   `json:"rules"`
	Approvers string     `json:"approvers"`
	Deadline  *time.Time `json:"deadline,omitempty"`
	Life      int64      `json:"life"` // seconds from its approval

	target string // as it was named
}

// Step is one statement and what is done with it.
type Step struct {
	Source    string   `json:"source"`
	Verb      string   `json:"verb"`
	Class     string   `json:"class"`
	Objects   []string `json:"objects"`
	Statement string   `json:"statement"`
	Effect    string   `json:"effect"`
	Rule      string   `json:"rule,omitempty"`
	Why       string   `json:"why,omitempty"`
	Warnings  []string `json:"warnings"`
}

var verdicts = map[string]string{"allow": "passes", "hold": "held", "deny": "denied"}

func (s *Step) what() string {
	what := strings.ToUpper(s.Verb)
	if len(s.Objects) > 0 {
		what += " " + strings.Join(s.Objects, ", ")
	}
	return approval.Visible(what)
}

func (p *Plan) headline() string {
	statements := "1 statement"
	if len(p.Steps) != 1 {
		statements = fmt.Sprintf("%d statements", len(p.Steps))
	}
	s := fmt.Sprintf("Plan of %s on %s, %d held", statements, approval.Visible(p.target), p.Held)
	if p.Denied > 0 {
		s += fmt.Sprintf(", %d denied", p.Denied)
	}
	return s
}

// print shows the plan to a person.
func (p *Plan) print(env *cli.Env) {
	out := ui.New(env, env.Stdout)
	out.Title(p.headline())
	rows := [][]string{{"", "where", "what", "verdict", "rule"}}
	for i, s := range p.Steps {
		rows = append(rows, []string{fmt.Sprint(i + 1), approval.Visible(s.Source), s.what(), verdicts[s.Effect], approval.Visible(s.Rule)})
	}
	for i, line := range out.Table(rows) {
		if i > 0 {
			switch p.Steps[i-1].Effect {
			case "hold":
				line = out.Warn(line)
			case "deny":
				line = out.Bad(line)
			}
		}
		out.Line("  " + strings.TrimRight(line, " "))
	}
	for i, s := range p.Steps {
		for _, w := range s.Warnings {
			out.Line(out.Warn(fmt.Sprintf("  ! %d: %s", i+1, approval.Visible(w))))
		}
		if s.Effect == "deny" {
			out.Line(out.Bad(fmt.Sprintf("  ! %d: %s", i+1, approval.Visible(s.Why))))
		}
	}
	for _, s := range p.Keeping {
		if s.Effect == "deny" {
			out.Line(out.Warn(fmt.Sprintf("  ! %s's own bookkeeping is denied: %s", p.Tool, approval.Visible(s.Statement))))
		}
	}
	switch {
	case p.Denied > 0:
		out.Note("Nobody was asked: what is denied cannot be approved. Ask the owners of " + approval.Visible(p.Target) + " for a rule.")
	case p.Held == 0 && len(p.Rules) == 0:
		out.Note("Nothing here needs an approval: run it without --plan.")
	case p.ID == "":
		out.Note("Nobody was asked. Who would be: " + approval.Visible(p.Approvers))
	default:
		out.Line("")
		out.Pairs([][2]string{
			{"approval", p.ID}, {"approvers", approval.Visible(p.Approvers)}, {"until", p.Deadline.Local().Format(time.DateTime)},
		})
		out.Note("Once it is approved, within " + approval.Span(time.Duration(p.Life)*time.Second) + " and in the same job:")
		out.Code(p.command())
	}
}

func (p *Plan) command() string {
	tool := map[string]string{
		toolGoose: "goose up", toolMigrate: "migrate -path migrations -database postgres://... up", toolFlyway: "flyway migrate", toolPrisma: "prisma migrate deploy",
	}[p.Tool]
	if tool == "" {
		tool = "psql -f FILE"
	}
	return "gatestay run " + approval.Visible(p.target) + " --plan " + p.ID + " -- " + tool
}

// comment writes the plan as Markdown. What others wrote stands in code, which
// nothing in it can end.
func (p *Plan) comment(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", escape(p.headline()))
	switch {
	case p.Denied > 0:
		b.WriteString("Nobody was asked: what is denied cannot be approved.\n\n")
	case p.ID != "":
		fmt.Fprintf(&b, "Waits for %s: `gatestay approvals approve %s`, or Slack, until %s.\n\n", escape(p.Approvers), p.ID, p.Deadline.UTC().Format("2006-01-02 15:04 UTC"))
	case p.Held > 0:
		fmt.Fprintf(&b, "Needs an approval from %s. Nobody has been asked yet.\n\n", escape(p.Approvers))
	default:
		b.WriteString("Nothing here needs an approval.\n\n")
	}
	b.WriteString("| | Where | What | Verdict | Rule |\n|---:|---|---|---|---|\n")
	for i, s := range p.Steps {
		verdict := verdicts[s.Effect]
		if s.Effect != "allow" {
			verdict = "**" + verdict + "**"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", i+1, escape(s.Source), escape(s.what()), verdict, escape(s.Rule))
	}
	for i, s := range p.Steps {
		if s.Effect == "deny" {
			fmt.Fprintf(&b, "\n%d: %s\n", i+1, escape(s.Why))
		}
		for _, warning := range s.Warnings {
			fmt.Fprintf(&b, "\n:warning: %d: %s\n", i+1, escape(warning))
		}
	}
	b.WriteString("\n<details><summary>The statements</summary>\n\n")
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%d. %s, %s\n\n", i+1, verdicts[s.Effect], escape(s.Source))
		for line := range strings.Lines(approval.VisibleText(s.Statement)) {
			b.WriteString("        " + strings.TrimRight(line, "\n") + "\n") // code within the list, whatever it holds
		}
		b.WriteString("\n")
	}
	b.WriteString("</details>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

// escape makes one line of text that Markdown takes as it is: no mention, link,
// markup or cell begins in it.
func escape(s string) string {
	var b strings.Builder
	for _, r := range approval.Visible(s) {
		switch {
		case strings.ContainsRune("\\`*_{}[]<>()#+!|~&@:$", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
