package approvals

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// Question was asked of who is behind an approval.
type Question struct {
	By       string    `json:"by"`
	To       string    `json:"to"`
	Question string    `json:"question"`
	Answer   string    `json:"answer"`
	At       time.Time `json:"at"`
}

// wordsCommand is ask, or answer.
func (t *tool) wordsCommand(name, short, long string, said func(*ui.Printer, Approval)) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID TEXT", Short: short, Long: long, Example: "  gatestay approvals " + name + ` apr_01J… "…"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 || strings.TrimSpace(args[1]) == "" {
				return errors.New("give one approval's id (apr_…), and the text in quotes")
			}
			return oneID(c, args[:1])
		},
		ValidArgsFunction: t.complete("waiting"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.Post(c.Context(), []string{"v1", "approvals", args[0], name}, map[string]string{"text": args[1]}, &raw); err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			return t.print(raw, func(a Approval) { said(ui.New(t.env, t.env.Stdout), a) })
		},
	}
}

func (t *tool) askCommand() *cobra.Command {
	return t.wordsCommand("ask", "Ask who is behind a held command", `Ask the person on whose behalf a held command is to run, or who started it. The
question goes into the thread of its Slack message; only they can answer, there, in
the inbox, or with 'gatestay approvals answer'. Both are kept, and are no votes.`,
		func(p *ui.Printer, a Approval) {
			if n := len(a.Questions); n > 0 {
				p.Line("asked " + approval.Visible(a.Questions[n-1].To) + ": " + approval.Visible(a.Questions[n-1].Question))
			}
		})
}

func (t *tool) answerCommand() *cobra.Command {
	return t.wordsCommand("answer", "Answer what you were asked about your command", `Answer the oldest question that an approver has asked you about a command that is
held for you. It is shown to the approvers, and is no vote.`,
		func(p *ui.Printer, _ Approval) { p.Line(p.Good("answered")) })
}

// questions says what was asked and answered.
func (t *tool) questions(p *ui.Printer, a Approval) {
	if len(a.Questions) > 0 {
		p.Line("")
	}
	for _, q := range a.Questions {
		p.Line("  " + approval.Visible(q.By) + " asked " + approval.Visible(q.To) + ": " + approval.Visible(q.Question))
		answer := "no answer yet"
		if q.Answer != "" {
			answer = approval.Visible(q.Answer)
		}
		p.Line("    " + answer)
	}
}
