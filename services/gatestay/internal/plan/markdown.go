package plan

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
)

// maxComment is how long a comment is, in bytes: GitHub takes 65,536 characters,
// GitLab more.
const maxComment = 60_000

// markdown writes the plan as a comment for a pull or merge request. What others
// wrote stands in code, or with all that is markup written as entities. What does not
// fit is left out from the end, statements first, and said to be.
func (p *Plan) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s\n\n", escape(p.headline()), p.standing())
	const table = "| | Where | What | Verdict | Rule |\n|---:|---|---|---|---|\n"
	b.WriteString(table)
	rows, left := 0, maxComment-b.Len()-1000 // room for what says that something is left out
	for i, s := range p.Steps {
		row := s.row(i + 1)
		if left -= len(row); left < 0 {
			break
		}
		b.WriteString(row)
		rows++
	}
	said := true
	for i, s := range p.Steps[:rows] {
		for _, line := range s.said(i + 1) {
			if left -= len(line); left < 0 {
				said = false
				break
			}
			b.WriteString(line)
		}
	}
	shown := p.statements(&b, rows, left)
	if rows < len(p.Steps) || !said || shown < len(p.Steps) {
		fmt.Fprintf(&b, "\n**This is not all of it:** %d of %d statements are listed, %d shown. %s\n", rows, len(p.Steps), shown, p.where())
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

// where says where the whole plan can be read.
func (p *Plan) where() string {
	if p.ID == "" {
		return "`gatestay plan` without `--output markdown` prints it whole."
	}
	s := "`gatestay approvals show " + p.ID + "` shows it whole"
	if p.page != "" {
		s += ", as does [its page](" + p.page + ")"
	}
	return s + "."
}

// link makes an address one that Markdown cannot end; empty where it is none.
func link(base, id string) string {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || id == "" {
		return ""
	}
	return strings.NewReplacer("(", "%28", ")", "%29", "<", "%3C", ">", "%3E").Replace(u.JoinPath("approvals", id).String())
}

// standing says where the approval stands.
func (p *Plan) standing() string {
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	switch {
	case p.Denied > 0:
		return "Nobody was asked: what is denied cannot be approved."
	case p.state != nil && p.state.State == "approved":
		return fmt.Sprintf(":white_check_mark: **Approved** by %s. To be run by the same job until %s: `gatestay run … --plan %s`", escape(strings.Join(p.state.Approvers, ", ")), at(p.state.Until), p.ID)
	case p.state != nil && p.state.State != "waiting":
		s := fmt.Sprintf(":no_entry: **%s**", escape(strings.ToUpper(p.state.State[:1])+p.state.State[1:]))
		if p.state.Detail != "" {
			s += ". " + escape(p.state.Detail)
		}
		return s
	case p.ID != "":
		s := fmt.Sprintf(":hourglass: Waits for %s: `gatestay approvals approve %s`, Slack", escape(p.Approvers), p.ID)
		if p.page != "" {
			s += ", or [its page](" + p.page + ")"
		}
		return s + ", until " + at(*p.Deadline) + "."
	case p.Held > 0:
		return fmt.Sprintf("Needs an approval from %s. Nobody has been asked yet.", escape(p.Approvers))
	}
	return "Nothing here needs an approval."
}

func (s *Step) row(n int) string {
	verdict := verdicts[s.Effect]
	if s.Effect != "allow" {
		verdict = "**" + verdict + "**"
	}
	return fmt.Sprintf("| %d | %s | %s | %s | %s |\n", n, escape(s.Source), escape(s.what()), verdict, escape(s.Rule))
}

// said are the lines about a statement below the table.
func (s *Step) said(n int) []string {
	var out []string
	if s.Effect == "deny" {
		out = append(out, fmt.Sprintf("\n%d: %s\n", n, escape(s.Why)))
	}
	for _, l := range s.Radius {
		out = append(out, fmt.Sprintf("\n:bar_chart: %d: %s\n", n, escape(l)))
	}
	for _, w := range s.Warnings {
		out = append(out, fmt.Sprintf("\n:warning: %d: %s\n", n, escape(w)))
	}
	return out
}

// statements writes those of the first steps that fit, folded, and returns how many.
func (p *Plan) statements(b *strings.Builder, rows, left int) int {
	b.WriteString("\n<details><summary>The statements</summary>\n\n")
	shown := 0
	for i, s := range p.Steps[:rows] {
		var one strings.Builder
		fmt.Fprintf(&one, "%d. %s, %s\n\n", i+1, verdicts[s.Effect], escape(s.Source))
		for line := range strings.Lines(approval.VisibleText(s.Statement)) {
			one.WriteString("        " + strings.TrimRight(line, "\n") + "\n") // code within the list, whatever it holds
		}
		one.WriteString("\n")
		if left -= one.Len(); left < 0 {
			break
		}
		b.WriteString(one.String())
		shown++
	}
	b.WriteString("</details>\n")
	return shown
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
