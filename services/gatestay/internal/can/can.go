// Package can is 'gatestay can': what this job or agent may do on a target,
// what would be held, and what is masked.
package can

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/run"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
)

const long = `Say what this job or agent may do on a target, what would wait for an approval
and by whom, what is refused, and what comes back masked.

Inside 'gatestay run' it asks with the run's own credential:

  gatestay run prod-db -- gatestay can prod-db

Elsewhere it exchanges a token of its own. A token works once: on GitHub Actions,
and beside gatestay dev, a fresh one is asked for; where the job has a single one
(GitLab's GATESTAY_ID_TOKEN, a file) it would be gone for 'gatestay run', so that
you must say --spend-token.`

const example = `  gatestay can prod-db
  gatestay can prod-db --output json`

// Capabilities is the gateway's answer.
type Capabilities struct {
	Target    string   `json:"target"`
	Principal string   `json:"principal"`
	Allowed   []string `json:"allowed"`
	Held      []string `json:"held"`
	Denied    []string `json:"denied"`
	Masked    []Masked `json:"masked"`
	Compared  []string `json:"compared"` // what may be asked of masked columns
	// Rules say the same to a program; empty from an older gateway.
	Rules []Rule `json:"rules"`
}

// Rule is what one rule does with one class of commands.
type Rule struct {
	Class          string   `json:"class"`  // read, write, ddl or admin
	Effect         string   `json:"effect"` // allow, hold or deny
	Rule           string   `json:"rule"`
	Description    string   `json:"description,omitempty"`
	When           string   `json:"when,omitempty"`   // what is left to be known; empty: always
	Hours          string   `json:"hours,omitempty"`  // when the rule is there, in words; empty: always
	Closed         bool     `json:"closed,omitempty"` // it is not there at the moment of the question
	Approvers      []string `json:"approvers,omitempty"`
	Approvals      int      `json:"approvals,omitempty"` // how many of them
	ReasonRequired bool     `json:"reason_required,omitempty"`
	RowLimit       int64    `json:"row_limit,omitempty"`
}

// Masked is a column that comes back masked.
type Masked struct {
	Column   string `json:"column"`             // or "DETECTOR anywhere"
	Detector string `json:"detector,omitempty"` // where it is no column
	Strategy string `json:"strategy"`
}

type flags struct {
	audience, tokenFile, agent, onBehalfOf, at string
	spend                                      bool
}

// Command returns 'gatestay can'.
func Command(env *cli.Env) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use: "can TARGET", Short: "Say what this job may do on a target", Long: long, Example: example, Args: cobra.ExactArgs(1),
		ValidArgsFunction: env.CompleteTarget,
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c.Context(), env, args[0]) },
	}
	c.Flags().StringVar(&f.audience, "audience", token.DefaultAudience, "audience of the token to ask for")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "read the job's token from this file")
	c.Flags().StringVar(&f.agent, "agent", "", "as 'gatestay run --agent' would say")
	c.Flags().StringVar(&f.onBehalfOf, "on-behalf-of", "", "as 'gatestay run --on-behalf-of' would say")
	c.Flags().StringVar(&f.at, "at", "", "as seen from this moment: 2026-12-24T18:00:00+01:00")
	c.Flags().BoolVar(&f.spend, "spend-token", false, "use up the job's only token")
	return c
}

func (f *flags) run(ctx context.Context, env *cli.Env, target string) error {
	target, _, _ = strings.Cut(target, "/") // what may be done is said of a target
	raw, inside, err := run.CanInside(ctx, env, target, f.at)
	if !inside {
		raw, err = f.ask(ctx, env, target)
	}
	if err != nil {
		return err //nolint:wrapcheck // a refusal speaks for itself
	}
	var c Capabilities
	if err := json.Unmarshal(raw, &c); err != nil {
		return errors.New("can: the gateway's answer cannot be read; is this gatestay older than the gateway?")
	}
	if env.JSON() {
		return env.PrintJSON(c.filled()) //nolint:wrapcheck // cli's own words
	}
	return print(env.Stdout, &c)
}

// ask exchanges a token for a credential, asks, and ends the run at once.
func (f *flags) ask(ctx context.Context, env *cli.Env, target string) (raw json.RawMessage, err error) {
	g, err := run.NewGateway(env)
	if err != nil {
		return nil, err //nolint:wrapcheck // says all there is to say
	}
	defer g.Close()
	found, err := token.Find(ctx, env, token.Options{Audience: f.audience, File: f.tokenFile})
	if err != nil {
		return nil, fmt.Errorf("can: %w", err)
	}
	if !found.Fresh && !f.spend {
		return nil, fmt.Errorf("can: %s is this job's only token and works once: asking would take it from 'gatestay run'. "+
			"Ask inside: 'gatestay run %s -- gatestay can %s', or say --spend-token", found.Source, target, target)
	}
	r, err := g.Exchange(ctx, run.ExchangeRequest{
		Token: found.Value, Target: target, Agent: f.agent, OnBehalfOf: f.onBehalfOf, Purpose: "can", TraceParent: env.Getenv("TRACEPARENT"),
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // a refusal speaks for itself
	}
	raw, err = g.Can(ctx, r.Credential, target, f.at)
	// Nothing was connected: a run that cannot be ended ends by itself.
	_ = g.End(context.WithoutCancel(ctx), r.Credential)
	return raw, err //nolint:wrapcheck // a refusal speaks for itself
}

// filled has empty lists in place of missing ones, for those who read JSON.
func (c *Capabilities) filled() *Capabilities {
	for _, list := range []*[]string{&c.Allowed, &c.Held, &c.Denied, &c.Compared} {
		if *list == nil {
			*list = []string{}
		}
	}
	if c.Masked == nil {
		c.Masked = []Masked{}
	}
	if c.Rules == nil {
		c.Rules = []Rule{}
	}
	return c
}

func print(w io.Writer, c *Capabilities) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s\n", c.Principal, c.Target)
	section(&b, "may", c.Allowed)
	section(&b, "waits for an approval to", c.Held)
	section(&b, "may not", c.Denied)
	masked := make([]string, len(c.Masked))
	for i, m := range c.Masked {
		masked[i] = m.Column
		if m.Strategy != "" {
			masked[i] += " (" + m.Strategy + ")"
		}
	}
	section(&b, "gets back masked", masked)
	section(&b, "may ask of masked columns by", c.Compared)
	if len(c.Allowed)+len(c.Held) == 0 {
		b.WriteString("\nNo rule lets this job do anything here. Ask the owners of the target for one.\n")
	}
	if _, err := io.WriteString(w, run.Clean(b.String())); err != nil {
		return fmt.Errorf("can: %w", err)
	}
	return nil
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, line := range lines {
		fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(line, "\n", " "))
	}
}
