package dev

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const help = `Run the whole of Gatestay in one process: all five services on an embedded NATS
server, a real ClickHouse as a child process, a local OIDC issuer that mints job
tokens, and a local Slack workspace with the buttons that approvers click.

Everything is kept in --dir (default .gatestay) and listens on loopback only.
gatestay.yaml, policies/ and masking/ in it are read live: save a file, and it
acts within a second, without dropping a session. DIR/dev.json says where
everything listens.

With --sample a PostgreSQL 18 with a small shop in it comes along as prod-db.`

const example = `  gatestay dev --sample
  gatestay token --dev                       # a job's token, as a CI system would mint it
  gatestay run prod-db -- psql -c 'select name, email from customers limit 3'`

// Command returns gatestay dev.
func Command(env *cli.Env) *cobra.Command {
	var sample bool
	var level string
	c := &cobra.Command{
		Use: "dev", Short: "Run the whole of Gatestay on this machine, to try it and to develop",
		Long: help, Example: example, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			parsed, err := zerolog.ParseLevel(level)
			if err != nil {
				return fmt.Errorf("--log-level %q is not known: use debug, info, warn or error", level)
			}
			return run(c.Context(), env, sample, parsed)
		},
	}
	c.Flags().BoolVar(&sample, "sample", false, "bring a sample PostgreSQL 18 as target prod-db")
	c.Flags().StringVar(&level, "log-level", "warn", "what of the log is shown: debug, info, warn or error; all of it is in DIR/dev.log")
	return c
}

func run(ctx context.Context, env *cli.Env, sample bool, level zerolog.Level) error {
	log, closeLog, err := Log(env, level)
	if err != nil {
		return err
	}
	defer closeLog()
	p := ui.New(env, env.Stderr)
	i, err := Start(ctx, Options{Dir: env.Dir, Sample: sample, Log: log, Progress: p.Progress})
	if err != nil && ctx.Err() != nil {
		log.Info().Err(err).Msg("stopped before it was ready")
		p.Progress("stopped before it was ready")
		return nil
	}
	if err != nil {
		return err
	}
	if err := announce(env, i); err != nil {
		return errors.Join(err, i.Stop(context.WithoutCancel(ctx)))
	}
	failed := make(chan error, 1)
	go func() { failed <- i.Wait() }()
	select {
	case <-ctx.Done():
		p.Progress("stopping: running commands end, holds are withdrawn")
		return i.Stop(context.WithoutCancel(ctx))
	case err := <-failed:
		return errors.Join(err, i.Stop(context.WithoutCancel(ctx)))
	}
}

// Log writes everything to DIR/dev.log, and what concerns the person at the
// terminal, or is at or above level, to standard error.
func Log(env *cli.Env, level zerolog.Level) (zerolog.Logger, func(), error) {
	l := layout{env.Dir}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return zerolog.Nop(), nil, fmt.Errorf("dev: %w", err)
	}
	f, err := os.OpenFile(l.path("dev.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return zerolog.Nop(), nil, fmt.Errorf("dev: %w", err)
	}
	out := zerolog.MultiLevelWriter(f, newScreen(env, level))
	return zerolog.New(out).With().Timestamp().Logger(), func() { _ = f.Close() }, nil
}
