package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const showLong = `Tell the story of a session: who, why, and command by command what was decided,
by whom it was approved and after how long, and how it ended.`

func (t *tool) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show SESSION", Short: "Tell the story of a session", Long: showLong,
		Example: "  gatestay audit show ses_01K8ZQ4T7M0V9X2C3B5N6M7K8J\n  gatestay audit show ses_01K8ZQ4T7M0V9X2C3B5N6M7K8J --output json",
		Args:    cobra.ExactArgs(1), Annotations: withCSV,
		RunE: func(c *cobra.Command, args []string) error { return t.show(c.Context(), args[0]) },
	}
}

func (t *tool) show(ctx context.Context, id string) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	var s session
	if err := c.Get(ctx, []string{"v1", "audit", "sessions", id}, nil, &s); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	switch t.env.Output {
	case "json":
		return t.env.PrintJSON(s) //nolint:wrapcheck // cli's own words
	case "csv":
		return printCSV(t.env, s.Commands)
	}
	(&story{session: &s, p: ui.New(t.env, t.env.Stdout), width: columns(t.env), now: t.now()}).tell()
	return nil
}

// story writes a session for somebody who reads it.
type story struct {
	*session
	p     *ui.Printer
	width int
	now   time.Time
}

// indent is what a step's details are indented by.
const indent = 10

func (s *story) tell() {
	s.head()
	if len(s.Commands) == 0 {
		s.p.Note("No command.")
	} else {
		s.p.Line("")
	}
	for i := range s.Commands {
		s.command(&s.Commands[i])
	}
	if s.Truncated {
		s.p.Note(s.p.Warn("The session has more commands than are shown; 'gatestay audit search --until …' lists them."))
	}
	s.trouble()
}

func (s *story) head() {
	state := approval.Visible(s.State)
	if s.Closed != nil && s.State != "refused" {
		state += " after " + short(s.Closed.Sub(s.Opened))
	}
	s.p.Line(s.p.Strong(approval.Visible(s.SessionID)) + "  " + s.p.Dim(state+" · "+count(int64(len(s.Commands)), "command")))
	s.p.Line("")
	target := approval.Visible(s.Target)
	if s.Database != "" {
		target += "/" + approval.Visible(s.Database)
	}
	opened := s.Opened.In(s.now.Location()).Format("2006-01-02 15:04:05 MST")
	if s.Remote != "" {
		opened += " from " + approval.Visible(s.Remote)
	}
	pairs := [][2]string{{"who", who(s.Principal)}}
	add := func(name, value string) {
		if value != "" {
			pairs = append(pairs, [2]string{name, approval.Visible(value)})
		}
	}
	add("repository", s.Principal.Repository)
	add("workflow", s.Principal.Workflow)
	add("job", first(s.Principal.URL, s.Principal.RunID))
	add("target", target)
	add("reason", s.Reason)
	add("opened", opened)
	if why := strings.TrimSpace(s.Code + " " + s.Ended); why != "ended" { // in order, as the first line says
		add("ended", why)
	}
	add("trace", s.TraceID)
	if len(s.Principal.Asserted) > 0 {
		add("only said", strings.Join(s.Principal.Asserted, ", "))
	}
	s.p.Pairs(pairs)
}

// command writes one step: the statement, what was decided, how it ended.
func (s *story) command(c *command) {
	mark := ui.Did
	switch {
	case c.Status == "refused" || c.Effect == "deny":
		mark = ui.Refused
	case c.Effect == "hold":
		mark = ui.Held
	}
	room := 0
	if s.width > 0 {
		room = max(s.width-indent, 20)
	}
	statement := wrap(strings.TrimSpace(approval.VisibleText(c.Statement)), room)
	title, details := statement[0], statement[1:]
	for i, p := range c.Parameters {
		details = append(details, s.p.Dim(fit(fmt.Sprintf("$%d = %s", i+1, approval.Visible(p)), room)))
	}
	verdict := decision(c)
	if c.Rule != "" {
		verdict += ", rule " + approval.Visible(c.Rule)
	}
	details = append(details, tone(s.p, c)(verdict))
	details = append(details, s.votes(c)...)
	end := ending(c)
	if c.Message != "" {
		end += ": " + approval.Visible(c.Message)
	}
	details = append(details, wrap(end, room)...)
	if len(c.Redacted) > 0 {
		details = append(details, s.p.Dim("redacted since: "+approval.Visible(strings.Join(c.Redacted, ", "))))
	}
	s.p.Step(c.Time.Sub(s.Opened).Seconds(), mark, title, details...)
}

// votes says who voted on a command's approval, and after how long.
func (s *story) votes(c *command) (lines []string) {
	for _, a := range s.Approvals {
		if a.CommandID != c.CommandID {
			continue
		}
		for _, v := range a.Votes {
			line := fmt.Sprintf("%s: %s after %s via %s", approval.Visible(v.Person), approval.Visible(v.Vote), short(v.At.Sub(a.Requested)), approval.Visible(v.Via))
			if v.Reason != "" {
				line += ": " + approval.Visible(v.Reason)
			}
			lines = append(lines, line)
		}
		if a.Outcome != "approved" && !a.Ended.IsZero() {
			lines = append(lines, fmt.Sprintf("%s after %s", approval.Visible(a.Outcome), short(a.Ended.Sub(a.Requested))))
		}
	}
	return lines
}

// trouble says what is wrong with the records themselves.
func (s *story) trouble() {
	if s.Missing > 0 {
		s.p.Note(s.p.Bad(fmt.Sprintf("Records of this session that are not there (still on their way, or removed): %d", s.Missing)))
	}
	if s.Unverified > 0 {
		s.p.Note(s.p.Bad(fmt.Sprintf("Records that claim to be of this session and do not verify, left out here: %d", s.Unverified)))
	}
}
