package plan

import (
	"fmt"
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
	page   string // address of its page; empty where it is not known
	state  *state // nil right after it was asked for
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
	Radius    []string `json:"radius,omitempty"` // what it would touch
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
		for _, l := range s.Radius {
			out.Line(out.Dim(fmt.Sprintf("  · %d: %s", i+1, approval.Visible(l))))
		}
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
