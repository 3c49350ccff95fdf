// Package approvals is gatestay approvals: what Slack's buttons do, from a
// terminal.
package approvals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/login"
	"github.com/gatestay/gatestay/services/gatestay/internal/remote"
)

const help = `See commands that wait for an approval, and vote, as whoever 'gatestay login'
signed in. The same rules hold as in Slack: only those whom the rule names may
vote, nobody approves what they asked for, and one person counts once.`

// tool is what the commands share.
type tool struct {
	env   *cli.Env
	token func(*cli.Env) (string, error)
	now   func() time.Time
}

// Command returns gatestay approvals.
func Command(env *cli.Env) *cobra.Command {
	return (&tool{env: env, token: login.Token, now: time.Now}).command()
}

func (t *tool) command() *cobra.Command {
	c := &cobra.Command{
		Use: "approvals", Short: "See what waits for an approval, and vote", Long: help,
		Example: "  gatestay approvals list\n  gatestay approvals show apr_01J…\n  gatestay approvals approve apr_01J…\n  gatestay approvals deny apr_01J… --reason \"not on a Friday\"",
	}
	c.AddCommand(t.listCommand(), t.showCommand(), t.voteCommand("approve"), t.voteCommand("deny"), t.grantsCommand(), t.revokeCommand(), t.reviewsCommand(), t.closeCommand(), t.askCommand(), t.answerCommand(), t.verifyCommand(), t.watchCommand())
	return c
}

// oneID takes one approval's id, and says where to find it.
func oneID(_ *cobra.Command, args []string) error {
	if len(args) != 1 || !strings.HasPrefix(args[0], "apr_") || strings.ContainsAny(args[0], "/?#%.") {
		return errors.New("give one approval's id (apr_…); 'gatestay approvals list' shows them")
	}
	return nil
}

func (t *tool) client() (*remote.Client, error) {
	c, err := remote.New(t.env, remote.Approvals, t.token)
	if err != nil {
		return nil, fmt.Errorf("approvals: %w", err)
	}
	return c, nil
}

func (t *tool) listCommand() *cobra.Command {
	var state string
	c := &cobra.Command{
		Use: "list", Short: "What waits, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return t.list(c.Context(), state) },
	}
	c.Flags().StringVar(&state, "state", "waiting", "waiting, decided or all")
	cli.CompleteFlag(c, "state", func() []string { return []string{"waiting", "decided", "all"} })
	return c
}

// complete offers the ids of approvals, with what each is about: to a shell,
// which does not wait long, and to who is signed in.
func (t *tool) complete(state string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		client, err := t.client()
		if err != nil || len(args) > 0 {
			return nil, none
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), time.Second)
		defer cancel()
		var answer struct {
			Approvals []Approval `json:"approvals"`
		}
		if err := client.Get(ctx, []string{"v1", "approvals"}, url.Values{"state": {state}}, &answer); err != nil {
			return nil, none
		}
		var ids []string
		for _, a := range answer.Approvals {
			ids = append(ids, cobra.CompletionWithDesc(a.ID, approval.Visible(a.Headline)+" on "+approval.Visible(a.Target)))
		}
		return ids, none
	}
}

func (t *tool) list(ctx context.Context, state string) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	if _, known := none[state]; !known {
		return fmt.Errorf("approvals: --state %q is not known: use waiting, decided or all", state)
	}
	var raw json.RawMessage
	if err := c.Get(ctx, []string{"v1", "approvals"}, url.Values{"state": {state}}, &raw); err != nil {
		return fmt.Errorf("approvals: %w", err)
	}
	if t.env.JSON() {
		return t.env.PrintJSON(raw) // all that the service says
	}
	var answer struct {
		Approvals []Approval `json:"approvals"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("approvals: the answer cannot be read; is this gatestay older than the approval service? %w", err)
	}
	t.printList(state, answer.Approvals)
	return nil
}

func (t *tool) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "One approval, whole", Args: oneID, Example: "  gatestay approvals show apr_01J…",
		ValidArgsFunction: t.complete("all"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := client.Get(c.Context(), []string{"v1", "approvals", args[0]}, nil, &raw); err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			return t.print(raw, t.whole)
		},
	}
}

func (t *tool) voteCommand(vote string) *cobra.Command {
	var reason, scope string
	var uses uint32
	var life time.Duration
	c := &cobra.Command{
		Use: vote + " ID", Short: strings.ToUpper(vote[:1]) + vote[1:] + " a held command", Args: oneID, Example: "  gatestay approvals " + vote + " apr_01J…",
		ValidArgsFunction: t.complete("waiting"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			body := map[string]any{"vote": vote, "reason": reason}
			if scope != "" || uses > 0 || life > 0 {
				body["scope"], body["uses"], body["seconds"] = scope, uses, int64(life.Seconds())
			}
			if err := client.Post(c.Context(), []string{"v1", "approvals", args[0], "vote"}, body, &raw); err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			return t.print(raw, func(a Approval) { t.voted(vote, a) })
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the requester and the audit see it")
	if vote == approval.Approve {
		c.Flags().StringVar(&scope, "scope", "", "more than this command, where the rule lets: run or job; the same statement with any values")
		c.Flags().Uint32Var(&uses, "uses", 0, "with --scope: at most so many commands, this one included (default: as the rule says)")
		c.Flags().DurationVar(&life, "for", 0, "with --scope: at most so long, e.g. 30m (default: as the rule says)")
		cli.CompleteFlag(c, "scope", func() []string { return []string{policy.ScopeRun, policy.ScopeJob} })
	}
	return c
}
