package dev

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

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

// Log writes everything to DIR/dev.log, and what is at or above level to
// standard error.
func Log(env *cli.Env, level zerolog.Level) (zerolog.Logger, func(), error) {
	l := layout{env.Dir}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return zerolog.Nop(), nil, fmt.Errorf("dev: %w", err)
	}
	f, err := os.OpenFile(l.path("dev.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return zerolog.Nop(), nil, fmt.Errorf("dev: %w", err)
	}
	screen := env.Stderr
	if env.Color(env.Stderr) {
		screen = zerolog.ConsoleWriter{Out: env.Stderr, TimeFormat: time.TimeOnly}
	}
	out := zerolog.MultiLevelWriter(f, &zerolog.FilteredLevelWriter{Writer: zerolog.LevelWriterAdapter{Writer: screen}, Level: level})
	return zerolog.New(out).With().Timestamp().Logger(), func() { _ = f.Close() }, nil
}

// announce says how to connect.
func announce(env *cli.Env, i *Instance) error {
	if env.JSON() {
		return env.PrintJSON(i.Dev)
	}
	p := ui.New(env, env.Stdout)
	p.Title(fmt.Sprintf("Gatestay is ready (%d ms)", i.Ready.Milliseconds()))
	p.Pairs([][2]string{
		{"PostgreSQL", i.Dev.Gateway.Postgres + "  (TLS, CA " + i.Dev.Gateway.CA + ")"},
		{"Slack", i.Dev.Slack},
		{"Approvals", i.Dev.Approvals},
		{"Audit", i.Dev.Console},
		{"ClickHouse", i.Dev.ClickHouse.Native + "  http://" + i.Dev.ClickHouse.HTTP},
		{"NATS", address(i.Dev.NATS) + "  (user and password in " + i.layout.dev() + ")"},
		{"Configuration", i.layout.config() + ", policies/, masking/  (read live)"},
	})
	if len(i.Dev.Targets) == 0 {
		p.Note("There is no target yet: add one under targets in " + i.layout.config() + ", or start with --sample.")
		return nil
	}
	t, dir := i.Dev.Targets[0], ""
	if env.Dir != ".gatestay" {
		dir = "--dir " + env.Dir + " "
	}
	p.Note("Try, in another terminal:")
	p.Code("gatestay " + dir + "run " + t + " -- psql -c 'select name, email from customers limit 3'")
	p.Code("gatestay " + dir + "run " + t + " -- psql -c \"update customers set tier = 'gold'\"   # then click in Slack")
	p.Note("Or with any client, one connection a token:")
	p.Code(fmt.Sprintf("PGPASSWORD=$(gatestay %stoken --dev) psql 'host=127.0.0.1 port=%s dbname=%s user=me sslmode=verify-full sslrootcert=%s gssencmode=disable'",
		dir, port(i.Dev.Gateway.Postgres), t, i.Dev.Gateway.CA))
	return nil
}

func port(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == ':' {
			return address[i+1:]
		}
	}
	return address
}

// address is a URL without its secret.
func address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}
