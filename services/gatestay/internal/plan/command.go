// Package plan is 'gatestay plan': what would be done with each statement of a
// migration, and one approval for all of them.
package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/run"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
)

const long = `Say what would be done with each statement of a migration, and ask for one
approval of all that would be held:

  gatestay plan prod-db -f migrations/ --wait
  gatestay run prod-db --plan apr_01J... -- goose up

Files are read as goose, golang-migrate, Flyway or Prisma does, in its order;
a plain file, or - for what a tool's dry run prints, is run as it stands. Nothing
is run: the gateway reads every statement with PostgreSQL's own parser, decides
it by the rules as they are now, and asks nobody where one is denied.

The run then passes exactly these statements, in this order, each once, together
with the tool's own bookkeeping in its own table. It may go on where an earlier
run of the plan stopped. It must be the same job at the same commit, begin within
an hour of the approval, and have the session settings that it was planned with.
Any other statement is decided by itself: a file that changed since is held.

Objects that earlier statements of the plan would make are not there yet: what
cannot be known of a statement for that reason is unknown to the rules.

Migrations that have run already are to be left out: --after VERSION.`

const example = `  gatestay plan prod-db -f migrate.sql --reason "release 42"
  gatestay plan prod-db -f migrations/ --after 20261101 --wait
  gatestay plan prod-db -f db/migration --output markdown | gh pr comment --edit-last --create-if-none -F -
  prisma migrate diff ... --script | gatestay plan prod-db -f - --dry-run`

const pollEvery = time.Second

// markdown is the output for a comment on a pull request.
const markdown = "markdown"

var withMarkdown = map[string]string{cli.Formats: "text json " + markdown}

type flags struct {
	files                                      []string
	settings                                   map[string]string
	tool, after                                string
	reason, agent, onBehalfOf, audience, token string
	dryRun, wait                               bool
}

// Command returns 'gatestay plan'.
func Command(env *cli.Env) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use: "plan TARGET -f FILE|FOLDER|-", Short: "Ask for one approval of a whole migration", Long: long, Example: example, Args: cobra.ExactArgs(1),
		Annotations:       withMarkdown,
		ValidArgsFunction: env.CompleteTarget,
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c.Context(), env, args[0]) },
	}
	c.Flags().StringArrayVarP(&f.files, "file", "f", nil, "a file, a folder, or - for stdin; several are run in this order")
	c.Flags().StringVar(&f.tool, "tool", "", "whose files they are: "+strings.Join(tools, ", ")+" (told by their names)")
	c.Flags().StringVar(&f.after, "after", "", "leave out migrations up to this version: they have run")
	c.Flags().StringToStringVar(&f.settings, "set", nil, "a setting that the tool's client begins with: TimeZone, DateStyle, IntervalStyle or search_path (NAME=VALUE)")
	c.Flags().StringVar(&f.reason, "reason", "", "why: reaches the approver and the audit")
	all := c.PersistentFlags()
	all.StringVar(&f.agent, "agent", "", "as 'gatestay run --agent' will say")
	all.StringVar(&f.onBehalfOf, "on-behalf-of", "", "as 'gatestay run --on-behalf-of' will say")
	all.StringVar(&f.audience, "audience", token.DefaultAudience, "audience of the token to ask for")
	all.StringVar(&f.token, "token-file", "", "read the job's token from this file")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "ask nobody")
	c.Flags().BoolVar(&f.wait, "wait", false, "wait for the decision; the exit code is 0 where it is approved")
	_ = c.MarkFlagRequired("file")
	c.MarkFlagsMutuallyExclusive("dry-run", "wait")
	c.AddCommand(f.showCommand(env))
	return c
}

func (f *flags) run(ctx context.Context, env *cli.Env, target string) error {
	scripts, tool, err := read(f.files, env.Stdin, f.tool, f.after)
	if err != nil {
		return err
	}
	g, r, err := f.exchange(ctx, env, target)
	if err != nil {
		return err
	}
	defer g.Close()
	// Nothing was connected: a run that cannot be ended ends by itself.
	defer func() { _ = g.End(context.WithoutCancel(ctx), r.Credential) }()
	_, database, _ := strings.Cut(target, "/")
	raw, err := g.Plan(ctx, r.Credential, map[string]any{"database": database, "tool": tool, "statements": scripts, "settings": f.settings, "dry_run": f.dryRun})
	if err != nil {
		return err //nolint:wrapcheck // a refusal speaks for itself
	}
	var p Plan
	if err := json.Unmarshal(raw, &p); err != nil {
		return errors.New("plan: the gateway's answer cannot be read; is this gatestay older than the gateway?")
	}
	if err := f.show(env, target, &p); err != nil {
		return err
	}
	if p.Denied > 0 {
		return cli.ExitError(1)
	}
	if !f.wait || p.ID == "" {
		return nil
	}
	return f.await(ctx, env, g, r, p.ID)
}

// exchange makes a run for the job, which connects to nothing.
func (f *flags) exchange(ctx context.Context, env *cli.Env, target string) (*run.Gateway, *run.Run, error) {
	g, err := run.NewGateway(env)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // says all there is to say
	}
	found, err := token.Find(ctx, env, token.Options{Audience: f.audience, File: f.token})
	if err != nil {
		g.Close()
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	name, _, _ := strings.Cut(target, "/")
	r, err := g.Exchange(ctx, run.ExchangeRequest{
		Token: found.Value, Target: name, Reason: f.reason, Agent: f.agent, OnBehalfOf: f.onBehalfOf, Purpose: "plan", TraceParent: env.Getenv("TRACEPARENT"),
	})
	if err != nil {
		g.Close()
		return nil, nil, err //nolint:wrapcheck // a refusal speaks for itself
	}
	return g, r, nil
}

// show prints the plan in the form that was asked for.
func (f *flags) show(env *cli.Env, target string, p *Plan) error {
	p.target = target
	switch {
	case env.JSON():
		return env.PrintJSON(p) //nolint:wrapcheck // cli's own words
	case env.Output == markdown:
		if d, err := env.Endpoints(); err == nil {
			p.page = link(d.Approvals, p.ID)
		}
		return p.markdown(env.Stdout)
	}
	p.print(env)
	return nil
}

// await waits for the decision.
func (f *flags) await(ctx context.Context, env *cli.Env, g *run.Gateway, r *run.Run, id string) error {
	fmt.Fprintln(env.Stderr, "gatestay: waiting for the approval of", id)
	for {
		raw, err := g.PlanState(ctx, r.Credential, id)
		if err != nil {
			return err //nolint:wrapcheck // a refusal speaks for itself
		}
		var st state
		if err := json.Unmarshal(raw, &st); err != nil {
			return errors.New("plan: the gateway's answer cannot be read; is this gatestay older than the gateway?")
		}
		switch st.State {
		case "waiting":
		case "approved":
			fmt.Fprintf(env.Stderr, "gatestay: approved by %s, until %s\n", run.Clean(strings.Join(st.Approvers, ", ")), st.Until.Local().Format(time.DateTime))
			return nil
		default:
			fmt.Fprintln(env.Stderr, "gatestay:", run.Clean(strings.TrimSpace(st.Message+"\n"+st.Detail)))
			return cli.ExitError(1)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("plan: %w; %s still waits", context.Cause(ctx), id)
		case <-time.After(pollEvery):
		}
	}
}

// state is where a plan's approval stands.
type state struct {
	State     string    `json:"state"`
	Message   string    `json:"message"`
	Detail    string    `json:"detail"`
	Approvers []string  `json:"approvers"`
	Until     time.Time `json:"until"`
}
