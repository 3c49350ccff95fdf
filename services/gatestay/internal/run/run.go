package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
)

const endTimeout = 10 * time.Second

const long = `Run a command that reaches a target through the gateway, without a credential
of the target and without one in its environment.

  gatestay run prod-db -- psql -f migrate.sql

finds the OIDC token of this job ('gatestay token --help' says where), exchanges
it once at the gateway for a credential that lives in memory only and ends with
this step, and starts the command with PGHOST, PGPORT, PGUSER, PGPASSWORD and
PGDATABASE set, so that psql, pg_dump -j, pools and pgbench -c connect by
themselves, as often as they like (up to the gateway's limit).

Ways to the gateway
  (default)  a Unix socket in a new folder that only this user can enter; the
             peer's user id is checked too
  --tcp      a port on 127.0.0.1 with a random password of this run, for clients
             that know no Unix sockets (JDBC)
  --direct   no proxy: the command connects to the gateway itself with
             PGSSLMODE=verify-full. The run's credential is then PGPASSWORD in
             the command's environment

The CI system's token variables (ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN,
GATESTAY_ID_TOKEN, CI_JOB_JWT*, and any variable that holds an OIDC token for the
same audience) are not passed on; CI_JOB_TOKEN is: it opens GitLab's own API only.
The command finds its run's id in GATESTAY_RUN; 'gatestay can' works inside.

Signals are passed on, and the command's exit code is ours (128 + n where signal
n ended it, 127 where it was not found). Nothing is left behind: the sockets are
removed, and the gateway is told that the run has ended, which ends its sessions.

Holds
  A command that needs an approval waits for it on its connection, or, where its
  rule says hold: return or with --no-wait, is refused at once with the approval's
  id. Approved, that very command then passes once when the same job runs again
  at the same commit. With --plan the statements of an approved plan pass, each
  once and in its order ('gatestay plan --help').
  --break-glass, for an emergency, does not wait where the rule says break_glass:
  allow. It needs a --reason. The approvers are told as each command passes, and it
  stays open until one of them, who is not behind this run, has reviewed it.

What this does not contain: another process of the same user. It can read the
command's memory and environment and enter the folder of the socket, as it could
read a password file. Use a user or a container per job where that matters.

Where the gateway is: GATESTAY_GATEWAY (https://host:port of its API),
GATESTAY_POSTGRES (host:port) and GATESTAY_CA (PEM file, where it is not a public
CA), or a running gatestay dev.`

const example = `  gatestay run prod-db --reason "INC-2041: refund duplicate orders" -- psql -f refund.sql
  gatestay run prod-db/reports -- psql --csv -f report.sql -o report.csv
  gatestay run prod-db --agent claude --on-behalf-of dana@acme.example -- npm run migrate
  gatestay run prod-db --plan apr_01J... -- goose up
  gatestay run prod-db --tcp -- ./gradlew flywayMigrate`

type flags struct {
	reason, agent, onBehalfOf, audience, tokenFile string
	plan                                           string
	tcp, direct, quiet, wait, noWait, breakGlass   bool
}

// Command returns 'gatestay run'.
func Command(env *cli.Env) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use: "run TARGET -- COMMAND [ARGUMENT...]", Short: "Run a command with access to a target", Long: long, Example: example,
		Args: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() != 1 || len(args) < 2 {
				return errors.New("name a target, then -- and the command that is to reach it")
			}
			return nil
		},
		ValidArgsFunction: env.CompleteTarget,
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c.Context(), env, args[0], args[1:]) },
	}
	c.Flags().StringVar(&f.reason, "reason", "", "why: reaches the approver and the audit")
	c.Flags().StringVar(&f.agent, "agent", "", "the AI agent that runs the command (said, not proved: it can only restrict)")
	c.Flags().StringVar(&f.onBehalfOf, "on-behalf-of", "", "the person behind it, e.g. an e-mail address (said, not proved)")
	c.Flags().StringVar(&f.audience, "audience", token.DefaultAudience, "audience of the token to ask for")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "read the job's token from this file")
	c.Flags().BoolVar(&f.tcp, "tcp", false, "give the command a loopback port and a password instead of a Unix socket")
	c.Flags().BoolVar(&f.direct, "direct", false, "let the command connect to the gateway itself")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "do not print the run's id")
	c.Flags().BoolVar(&f.wait, "wait", false, "keep the connection while an approval is pending, also where a rule says hold: return")
	c.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait for approvals: a held command is refused with the approval's id, and passes when this job runs again, where its rule lets it")
	c.Flags().StringVar(&f.plan, "plan", "", "id of an approved plan ('gatestay plan'): its statements pass, each once and in its order")
	c.Flags().BoolVar(&f.breakGlass, "break-glass", false, "an emergency: do not wait for approvals where the rules allow that; needs --reason, tells the approvers, and is reviewed")
	c.MarkFlagsMutuallyExclusive("tcp", "direct")
	c.MarkFlagsMutuallyExclusive("break-glass", "no-wait")
	c.MarkFlagsMutuallyExclusive("wait", "no-wait")
	return c
}

func (f *flags) hold() string {
	switch {
	case f.wait:
		return "wait"
	case f.noWait:
		return "no-wait"
	}
	return ""
}

func (f *flags) run(ctx context.Context, env *cli.Env, target string, command []string) error {
	if target == "" || strings.ContainsAny(target, " \t\r\n\x00=") {
		return fmt.Errorf("run: %q is no target; write its name, or name/database", target)
	}
	if f.breakGlass && strings.TrimSpace(f.reason) == "" {
		return errors.New("run: --break-glass needs a reason, which the approvers read at once: --reason \"INC-2041: …\"")
	}
	// Before the token is used up.
	if _, err := exec.LookPath(command[0]); err != nil {
		code, err := startFailed(command[0], err)
		fmt.Fprintln(env.Stderr, "gatestay:", err)
		return cli.ExitError(code)
	}
	g, err := NewGateway(env)
	if err != nil {
		return err
	}
	defer g.Close()
	found, err := token.Find(ctx, env, token.Options{Audience: f.audience, File: f.tokenFile})
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	name, _, _ := strings.Cut(target, "/")
	r, err := g.Exchange(ctx, ExchangeRequest{
		Token: found.Value, Target: name, Reason: f.reason, Agent: f.agent, OnBehalfOf: f.onBehalfOf, TraceParent: env.Getenv("TRACEPARENT"),
		Hold: f.hold(), Plan: f.plan, BreakGlass: f.breakGlass,
	})
	if err != nil {
		return err
	}
	defer f.end(ctx, env, g, r)
	if !f.quiet {
		fmt.Fprintf(env.Stderr, "gatestay: %s on %s, trace %s\n", Clean(r.ID), target, Clean(r.TraceID))
	}
	code, err := f.with(ctx, env, g, r, target, found.Value, command)
	if err != nil {
		fmt.Fprintln(env.Stderr, "gatestay:", err)
	}
	if code != 0 {
		return cli.ExitError(code)
	}
	return nil
}

// with runs the command on its way to the gateway.
func (f *flags) with(ctx context.Context, env *cli.Env, g *Gateway, r *Run, target, secret string, command []string) (int, error) {
	var variables map[string]string
	if f.direct {
		var err error
		if variables, err = direct(target, r, g); err != nil {
			return 1, fmt.Errorf("run: %w", err)
		}
	} else {
		w, err := openWay(ctx, g, r, target, f.tcp)
		if err != nil {
			return 1, err
		}
		defer w.close()
		variables = w.variables
	}
	c := &child{
		args: command, environment: childEnvironment(os.Environ(), variables, secret, f.audience),
		stdin: env.Stdin, stdout: env.Stdout, stderr: env.Stderr,
	}
	return c.run()
}

// end tells the gateway, also after ^C: the command has ended, whatever ended it.
func (f *flags) end(ctx context.Context, env *cli.Env, g *Gateway, r *Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := g.End(ctx, r.Credential); err != nil {
		fmt.Fprintf(env.Stderr, "gatestay: the gateway could not be told that the run has ended (%[2]s).\n"+
			"A gateway that starts again knows no run of before; otherwise this one ends by itself within %[1]s.\n",
			time.Duration(r.ExpiresIn)*time.Second, Clean(err.Error()))
	}
}
