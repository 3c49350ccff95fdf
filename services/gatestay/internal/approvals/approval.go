package approvals

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// Approval is what is printed of an approval, as the approval service's API
// shows it.
type Approval struct {
	ID            string     `json:"id"`
	State         string     `json:"state"` // waiting, approved, denied, expired, cancelled
	Headline      string     `json:"headline"`
	Who           string     `json:"who"`
	RunURL        string     `json:"run_url"`
	Target        string     `json:"target"`
	Environment   string     `json:"environment"`
	Database      string     `json:"database"`
	Statement     string     `json:"statement"`
	Parameters    []string   `json:"parameters"`
	Reason        string     `json:"reason"`
	Rule          string     `json:"rule"`
	Description   string     `json:"rule_description"`
	PolicyVersion uint64     `json:"policy_version"`
	Warnings      []string   `json:"warnings"`
	Radius        []string   `json:"radius"`
	LookAlikes    []string   `json:"look_alikes"`
	Deadline      time.Time  `json:"deadline"`
	Approvers     string     `json:"approvers"`
	Needed        int        `json:"needed"`
	Missing       int        `json:"missing"`
	Unknown       []string   `json:"requesters_unknown"`
	Votes         []Vote     `json:"votes"`
	MayVote       bool       `json:"may_vote"`
	WhyNot        string     `json:"why_not"`
	Why           string     `json:"why"`
	Void          string     `json:"void"`
	SessionID     string     `json:"session_id"`
	SlackTrouble  string     `json:"slack_trouble"`
	Returned      bool       `json:"returned"`
	Offer         *Offer     `json:"offer"`
	Grant         *Grant     `json:"grant"`
	Latest        *Run       `json:"latest"`
	Review        *Review    `json:"review"` // of a break-glass
	RequestedAt   time.Time  `json:"requested_at"`
	Questions     []Question `json:"questions"`

	ReasonRequired bool `json:"reason_required"` // of an approval
	StepUp         bool `json:"step_up"`         // it is approved with the caller's passkey, on its page
}

// Run is how the command ended, or the latest of those that a grant let pass.
type Run struct {
	Status  string  `json:"status"`
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Rows    int64   `json:"rows"`
	Millis  float64 `json:"duration_ms"`
	Uses    uint32  `json:"uses"`
}

// Offer is what an approver may give beyond the command.
type Offer struct {
	Scopes  []string `json:"scopes"`
	Uses    uint32   `json:"uses"`
	Seconds int64    `json:"seconds"`
}

// Grant is what was given beyond the command.
type Grant struct {
	Scope     string     `json:"scope"`
	Covers    string     `json:"covers"`
	Uses      uint32     `json:"uses"`
	ExpiresAt time.Time  `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
	RevokedBy string     `json:"revoked_by"`
}

// Vote is one vote.
type Vote struct {
	Person string    `json:"person"`
	Vote   string    `json:"vote"`
	Reason string    `json:"reason"`
	Via    string    `json:"via"`
	At     time.Time `json:"at"`
	For    string    `json:"for,omitempty"` // in whose place they voted
}

// past is a vote in the past tense.
var past = map[string]string{approval.Approve: "approved", approval.Deny: "denied"}

// print hands an answer on as JSON, or to what prints it for a person.
func (t *tool) print(raw json.RawMessage, show func(Approval)) error {
	if t.env.JSON() {
		return t.env.PrintJSON(raw)
	}
	var a Approval
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("approvals: the answer cannot be read; is this gatestay older than the approval service? %w", err)
	}
	show(a)
	return nil
}

// whole shows one approval. What others wrote is made safe for a terminal, and
// nothing of it is cut.
func (t *tool) whole(a Approval) {
	p := ui.New(t.env, t.env.Stdout)
	p.Title(approval.Visible(a.Headline))
	pairs := [][2]string{
		{"state", t.state(p, a)},
		{"id", a.ID},
		{"who", approval.Visible(a.Who)},
		{"run", approval.Visible(a.RunURL)},
		{"target", place(a)},
		{"reason", approval.Visible(a.Reason)},
		{"rule", strings.TrimSpace(fmt.Sprintf("%s, policy version %d. %s", approval.Visible(a.Rule), a.PolicyVersion, approval.Visible(a.Description)))},
		{"approvers", approval.Visible(a.Approvers)},
		{"grant", t.granted(a.Grant)},
		{"outcome", ran(a.Latest, a.Grant)},
		{"session", a.SessionID},
	}
	for _, v := range a.Votes {
		pairs = append(pairs, [2]string{"vote", words(v)})
	}
	p.Pairs(filled(pairs))
	p.Line("")
	for _, l := range shownLines(a.Statement, a.Parameters) {
		p.Line("  " + p.Accent(l))
	}
	if len(a.Radius) > 0 {
		p.Line("")
		p.Line("  It would touch:")
	}
	for _, l := range a.Radius {
		p.Line("  " + approval.Visible(l))
	}
	t.questions(p, a)
	if a.Review != nil {
		t.reviewed(p, a.Review)
	}
	t.warn(p, a)
	switch {
	case a.State == "review" && a.Review != nil && a.Review.MayClose:
		p.Note("gatestay approvals close " + a.ID + ` --verdict justified|unjustified --note "what you found"`)
	case a.State != "waiting":
	case a.MayVote && a.StepUp:
		p.Note(onItsPage + "\ngatestay approvals deny " + a.ID + ` --reason "why"`)
	case a.MayVote:
		p.Note(approving(a) + "\ngatestay approvals deny " + a.ID + ` --reason "why"`)
	case a.WhyNot != "":
		p.Note("You may not vote: " + approval.Visible(a.WhyNot))
	}
}

// shownLines is a statement with its parameters, to the letter, and safe for a
// terminal.
func shownLines(statement string, parameters []string) []string {
	var lines []string
	for l := range strings.Lines(approval.VisibleText(statement)) {
		lines = append(lines, strings.TrimRight(l, "\n"))
	}
	for i, v := range parameters {
		lines = append(lines, fmt.Sprintf("$%d = %s", i+1, approval.Visible(v)))
	}
	return lines
}

// onItsPage says where what a terminal cannot approve is approved.
const onItsPage = "The rule asks whoever approves for their passkey: open its page in the web inbox and approve there"

// approving are the commands by which it may be approved: it alone, or with more
// where the rule offers that.
func approving(a Approval) string {
	why := ""
	if a.ReasonRequired {
		why = ` --reason "why"`
	}
	command := "gatestay approvals approve " + a.ID
	s := command + why
	if a.Offer == nil {
		return s
	}
	for _, scope := range a.Offer.Scopes {
		if scope != policy.ScopeReturn {
			s += fmt.Sprintf("\n%s --scope %s%s   # %s, at most %d in %s", command, scope, why, approval.GrantedTo(scope), a.Offer.Uses,
				approval.Span(time.Duration(a.Offer.Seconds)*time.Second))
		}
	}
	return s
}

// ran says how the command ended.
func ran(r *Run, g *Grant) string {
	if r == nil {
		return ""
	}
	e := approval.Ending{Status: r.Status, Code: r.Code, Message: r.Message, Rows: r.Rows, Took: time.Duration(r.Millis * float64(time.Millisecond))}
	if g != nil {
		e.Uses, e.Of = r.Uses, g.Uses
	}
	return e.String()
}

// granted says what a grant covers, and whether it still holds.
func (t *tool) granted(g *Grant) string {
	switch {
	case g == nil:
		return ""
	case g.RevokedAt != nil:
		return "revoked by " + approval.Visible(g.RevokedBy) + " at " + g.RevokedAt.Local().Format(time.DateTime)
	case !t.now().Before(g.ExpiresAt):
		return approval.Visible(g.Covers) + "; its time is over"
	}
	return fmt.Sprintf("%s, at most %d, until %s", approval.Visible(g.Covers), g.Uses, g.ExpiresAt.Local().Format(time.DateTime))
}

// warn shows what an approver should look at twice.
func (t *tool) warn(p *ui.Printer, a Approval) {
	lines := make([]string, 0, len(a.Warnings)+len(a.LookAlikes)+2)
	for _, w := range a.Warnings {
		lines = append(lines, approval.Visible(w))
	}
	for _, w := range a.LookAlikes {
		lines = append(lines, "looks like another name: "+approval.SpellOut(w))
	}
	if a.State == "waiting" && len(a.Unknown) > 0 {
		lines = append(lines, fmt.Sprintf("needs %d approvals, more than the rule asks: the people map does not know %s", a.Needed, approval.Visible(strings.Join(a.Unknown, ", "))))
	}
	if a.State == "waiting" && a.SlackTrouble != "" {
		lines = append(lines, "Slack does not show it yet: "+approval.Visible(a.SlackTrouble))
	}
	if len(lines) > 0 {
		p.Line("")
	}
	for _, l := range lines {
		p.Line(p.Warn("  ! " + l))
	}
}

// voted says what came of a vote.
func (t *tool) voted(vote string, a Approval) {
	p := ui.New(t.env, t.env.Stdout)
	head := fmt.Sprintf("%s on %s, for %s", approval.Visible(a.Headline), approval.Visible(a.Target), approval.Visible(a.Who))
	if a.State == "waiting" {
		p.Line(p.Warn("You "+past[vote]+" it; "+more(a.Missing)+" still needed") + ": " + head)
		return
	}
	p.Line(t.state(p, a) + ": " + head)
}

func (t *tool) state(p *ui.Printer, a Approval) string {
	switch a.State {
	case "waiting":
		return p.Warn(fmt.Sprintf("waiting for %s, %s left", more(max(a.Missing, 1)), t.left(a)))
	case approval.Approved:
		if a.Void != "" {
			return p.Bad("approved, not used: " + approval.Visible(a.Void))
		}
		return p.Good("approved")
	default:
		if a.Why != "" {
			return p.Bad(approval.Visible(a.State) + ": " + approval.Visible(a.Why))
		}
		return p.Bad(approval.Visible(a.State))
	}
}

func more(n int) string {
	if n == 1 {
		return "one more approval"
	}
	return fmt.Sprintf("%d more approvals", n)
}

// left is the time until the deadline.
func (t *tool) left(a Approval) string {
	if a.State != "waiting" {
		return ""
	}
	return max(a.Deadline.Sub(t.now()), 0).Round(time.Second).String()
}

func place(a Approval) string {
	s := approval.Visible(a.Target)
	if a.Environment != "" {
		s += " (" + approval.Visible(a.Environment) + ")"
	}
	if a.Database != "" {
		s += ", database " + approval.Visible(a.Database)
	}
	return s
}

func words(v Vote) string {
	who := approval.Visible(v.Person)
	if v.For != "" {
		who += ", for " + approval.Visible(v.For) + ","
	}
	s := fmt.Sprintf("%s %s at %s %s", who, past[v.Vote], v.At.Local().Format(time.TimeOnly),
		map[string]string{"cli": "from the terminal", "slack": "in Slack", "web": "on the web", "webhook": "by a webhook"}[v.Via])
	if v.Reason != "" {
		s += ": " + approval.Visible(v.Reason)
	}
	return s
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
