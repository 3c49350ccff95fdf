package approvals

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// Approval is an approval as the approval service's API shows it.
type Approval struct {
	ID            string     `json:"id"`
	State         string     `json:"state"` // waiting, approved, denied, expired, cancelled
	Headline      string     `json:"headline"`
	Who           string     `json:"who"`
	RunURL        string     `json:"run_url,omitempty"`
	Target        string     `json:"target"`
	Environment   string     `json:"environment,omitempty"`
	Database      string     `json:"database,omitempty"`
	Statement     string     `json:"statement"`
	Parameters    []string   `json:"parameters"`
	Reason        string     `json:"reason,omitempty"`
	Rule          string     `json:"rule"`
	Description   string     `json:"rule_description,omitempty"`
	PolicyVersion uint64     `json:"policy_version"`
	Warnings      []string   `json:"warnings"`
	LookAlikes    []string   `json:"look_alikes,omitempty"`
	RequestedAt   time.Time  `json:"requested_at"`
	Deadline      time.Time  `json:"deadline"`
	EndedAt       *time.Time `json:"ended_at,omitempty"`
	Approvers     string     `json:"approvers"`
	Missing       int        `json:"missing"`
	Votes         []Vote     `json:"votes"`
	MayVote       bool       `json:"may_vote"`
	WhyNot        string     `json:"why_not,omitempty"`
	Why           string     `json:"why,omitempty"`
	Void          string     `json:"void,omitempty"`
	SessionID     string     `json:"session_id"`
}

// Vote is one vote.
type Vote struct {
	Person string    `json:"person"`
	Vote   string    `json:"vote"`
	Reason string    `json:"reason,omitempty"`
	Via    string    `json:"via"`
	At     time.Time `json:"at"`
}

// past is a vote in the past tense.
var past = map[string]string{"approve": "approved", "deny": "denied"}

// none says that a list is empty.
var none = map[string]string{"waiting": "Nothing waits for you.", "decided": "Nothing was decided yet.", "all": "There is nothing yet."}

func (t *tool) printList(state string, list []Approval) {
	p := ui.New(t.env, t.env.Stdout)
	if len(list) == 0 {
		p.Line(none[state])
		return
	}
	rows := [][]string{{"id", "state", "command", "target", "who", "left"}}
	for _, a := range list {
		rows = append(rows, []string{a.ID, a.State, short(approval.Visible(a.Headline), 44), a.Target, short(approval.Visible(a.Who), 56), t.left(a)})
	}
	for _, l := range p.Table(rows) {
		p.Line(l)
	}
	if state == "waiting" {
		p.Note("gatestay approvals show ID, approve ID, deny ID --reason \"why\"")
	}
}

// left is the time until the deadline.
func (t *tool) left(a Approval) string {
	if a.State != "waiting" {
		return ""
	}
	return max(a.Deadline.Sub(t.now()), 0).Round(time.Second).String()
}

// print shows one approval. What others wrote is made safe for a terminal.
func (t *tool) print(a Approval) error {
	if t.env.JSON() {
		return t.env.PrintJSON(a)
	}
	p := ui.New(t.env, t.env.Stdout)
	p.Title(approval.Visible(a.Headline))
	pairs := [][2]string{
		{"state", t.state(p, a)},
		{"who", approval.Visible(a.Who)},
		{"run", approval.Visible(a.RunURL)},
		{"target", a.Target + " (" + a.Environment + "), database " + approval.Visible(a.Database)},
		{"reason", approval.Visible(a.Reason)},
		{"rule", fmt.Sprintf("%s, policy version %d. %s", a.Rule, a.PolicyVersion, approval.Visible(a.Description))},
		{"approvers", approval.Visible(a.Approvers)},
		{"session", a.SessionID},
	}
	for _, v := range a.Votes {
		text := fmt.Sprintf("%s %s at %s via %s", approval.Visible(v.Person), past[v.Vote], v.At.Local().Format(time.TimeOnly), v.Via)
		if v.Reason != "" {
			text += ": " + approval.Visible(v.Reason)
		}
		pairs = append(pairs, [2]string{"vote", text})
	}
	p.Pairs(filled(pairs))
	p.Line("")
	for l := range strings.Lines(approval.VisibleText(a.Statement)) {
		p.Code(strings.TrimRight(l, "\n"))
	}
	for i, v := range a.Parameters {
		p.Code(fmt.Sprintf("$%d = %s", i+1, approval.Visible(v)))
	}
	for _, w := range append(a.Warnings, a.LookAlikes...) {
		p.Line(p.Warn("  ! " + approval.Visible(w)))
	}
	if a.State == "waiting" && !a.MayVote && a.WhyNot != "" {
		p.Note("You may not vote: " + approval.Visible(a.WhyNot))
	}
	return nil
}

func (t *tool) state(p *ui.Printer, a Approval) string {
	switch a.State {
	case "waiting":
		return p.Warn(fmt.Sprintf("waiting for %d more, %s left", max(a.Missing, 1), t.left(a)))
	case "approved":
		if a.Void != "" {
			return p.Bad("approved, not used: " + approval.Visible(a.Void))
		}
		return p.Good("approved")
	default:
		if a.Why != "" {
			return p.Bad(a.State + ": " + approval.Visible(a.Why))
		}
		return p.Bad(a.State)
	}
}

func filled(pairs [][2]string) [][2]string {
	var out [][2]string
	for _, p := range pairs {
		if p[1] != "" {
			out = append(out, p)
		}
	}
	return out
}

func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
