package approvals

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// Review is of a break-glass.
type Review struct {
	Commands []struct {
		Statement string    `json:"statement"`
		Reason    string    `json:"reason"`
		At        time.Time `json:"at"`
		Status    string    `json:"status"`
		Rows      int64     `json:"rows"`
		Message   string    `json:"message"`
	} `json:"commands"`
	Count    uint32    `json:"count"`
	Uses     uint32    `json:"uses"`
	Until    time.Time `json:"until"`
	Forged   bool      `json:"forged"`
	Verdict  string    `json:"verdict"`
	Verdicts []struct {
		Person  string    `json:"person"`
		Verdict string    `json:"verdict"`
		Note    string    `json:"note"`
		At      time.Time `json:"at"`
	} `json:"verdicts"`
	Needed   int  `json:"needed"`
	MayClose bool `json:"may_close"`
}

func (t *tool) reviewsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reviews", Short: "The break-glasses that nobody has closed yet", Args: cobra.NoArgs,
		Long: `List break-glasses: commands that ran without an approval (gatestay run
--break-glass). Each stays open until people who may approve under its rule, and
are not behind its run, have said whether it was justified.`,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.Get(c.Context(), []string{"v1", "reviews"}, nil, &raw); err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			if t.env.JSON() {
				return t.env.PrintJSON(raw)
			}
			var answer struct {
				Reviews []Approval `json:"reviews"`
			}
			if err := json.Unmarshal(raw, &answer); err != nil {
				return fmt.Errorf("approvals: the answer cannot be read; is this gatestay older than the approval service? %w", err)
			}
			t.printReviews(answer.Reviews)
			return nil
		},
	}
}

func (t *tool) printReviews(list []Approval) {
	p := ui.New(t.env, t.env.Stdout)
	if len(list) == 0 {
		p.Line("No break-glass is open.")
		return
	}
	for i, a := range list {
		if i > 0 {
			p.Line("")
		}
		p.Title("Break-glass on " + approval.Visible(a.Target))
		p.Pairs(filled([][2]string{
			{"id", a.ID},
			{"who", approval.Visible(a.Who)},
			{"reason", approval.Visible(a.Reason)},
			{"passed", passed(a.Review)},
			{"since", a.RequestedAt.Local().Format(time.DateTime)},
			{"review", reviewable(a)},
		}))
	}
	p.Note("gatestay approvals show ID, close ID --verdict justified|unjustified --note \"…\"")
}

func passed(r *Review) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%d of at most %d commands", r.Count, r.Uses)
}

func reviewable(a Approval) string {
	if a.Review != nil && a.Review.MayClose {
		return "yours"
	}
	return approval.Visible(a.WhyNot)
}

// reviewed says what passed, and what people say of it.
func (t *tool) reviewed(p *ui.Printer, r *Review) {
	p.Line("")
	p.Title("Passed without an approval: " + passed(r))
	if r.Forged {
		p.Line(p.Bad("The rule does not allow this, which is a sign of tampering."))
	}
	for i, c := range r.Commands {
		end := approval.Visible(c.Status)
		switch c.Status {
		case "":
			end = "runs, or its end was not told"
		case "ok":
			end = fmt.Sprintf("%d rows", c.Rows)
		case "error":
			end = "failed: " + approval.Visible(c.Message)
		}
		p.Line(fmt.Sprintf("%3d  %s  %s", i+1, c.At.Local().Format(time.TimeOnly), approval.Visible(c.Statement)))
		p.Line("     " + p.Dim(end))
	}
	for _, v := range r.Verdicts {
		p.Line(approval.Visible(v.Person) + ": " + approval.Visible(v.Verdict) + ", " + approval.Visible(v.Note))
	}
	if r.Verdict != "" {
		p.Line("Reviewed: " + approval.Visible(r.Verdict))
	}
}

func (t *tool) closeCommand() *cobra.Command {
	var verdict, note string
	c := &cobra.Command{
		Use: "close ID", Short: "Close the review of a break-glass", Args: oneID,
		Example: "  gatestay approvals close apr_01J… --verdict justified --note \"orders were stuck, INC-2041\"",
		Long: `Say whether a break-glass was justified, and what you found. Closing ends what
still runs by it. Nobody closes what they asked for.`,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.Post(c.Context(), []string{"v1", "approvals", args[0], "close"}, map[string]string{"verdict": verdict, "note": note}, &raw); err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			return t.print(raw, func(a Approval) {
				p := ui.New(t.env, t.env.Stdout)
				if a.State != "reviewed" {
					p.Line("Your verdict is counted; it takes " + fmt.Sprint(a.Review.Needed) + " reviewers.")
					return
				}
				p.Line(p.Good("closed") + " as " + approval.Visible(a.Review.Verdict) + ": " + approval.Visible(a.Headline) + ", for " + approval.Visible(a.Who))
			})
		},
	}
	c.Flags().StringVar(&verdict, "verdict", "", "justified or unjustified")
	c.Flags().StringVar(&note, "note", "", "what you found; the audit keeps it")
	_ = c.MarkFlagRequired("verdict")
	_ = c.MarkFlagRequired("note")
	cli.CompleteFlag(c, "verdict", func() []string { return []string{"justified", "unjustified"} })
	return c
}
