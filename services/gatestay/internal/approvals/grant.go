package approvals

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

func (t *tool) grantsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "grants", Short: "The grants in force, newest first", Args: cobra.NoArgs,
		Long: `List approvals that still let commands pass: for the rest of a run, for a job, or
for a command's return.`,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.Get(c.Context(), []string{"v1", "grants"}, nil, &raw); err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			if t.env.JSON() {
				return t.env.PrintJSON(raw)
			}
			var answer struct {
				Grants []Approval `json:"grants"`
			}
			if err := json.Unmarshal(raw, &answer); err != nil {
				return fmt.Errorf("approvals: the answer cannot be read; is this gatestay older than the approval service? %w", err)
			}
			t.printGrants(answer.Grants)
			return nil
		},
	}
}

func (t *tool) printGrants(grants []Approval) {
	p := ui.New(t.env, t.env.Stdout)
	if len(grants) == 0 {
		p.Line("No grant is in force.")
		return
	}
	for i, a := range grants {
		if i > 0 {
			p.Line("")
		}
		p.Title(approval.Visible(a.Headline))
		p.Pairs(filled([][2]string{
			{"id", a.ID}, {"who", approval.Visible(a.Who)}, {"target", place(a)}, {"grant", t.granted(a.Grant)},
		}))
	}
	p.Note("gatestay approvals revoke ID   # at once, on every gateway")
}

func (t *tool) revokeCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "revoke ID", Short: "End a grant at once, on every gateway", Args: oneID, Example: "  gatestay approvals revoke apr_01J… --reason \"wrong release\"",
		Long:              "End a grant. Whoever may approve it may, its requesters may, and administrators.",
		ValidArgsFunction: t.complete("decided"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.Post(c.Context(), []string{"v1", "approvals", args[0], "revoke"}, map[string]string{"reason": reason}, &raw); err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			return t.print(raw, func(a Approval) {
				p := ui.New(t.env, t.env.Stdout)
				when := t.now()
				if a.Grant != nil && a.Grant.RevokedAt != nil {
					when = *a.Grant.RevokedAt
				}
				p.Line(p.Good("revoked") + " at " + when.Local().Format(time.DateTime) + ": " + approval.Visible(a.Headline) + ", for " + approval.Visible(a.Who))
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the audit keeps it")
	return c
}
