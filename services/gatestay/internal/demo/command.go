// Package demo is gatestay demo: the main job of Gatestay, played on real
// parts and shown as a timeline.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/dev"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const help = `Play the main story on real parts: a real PostgreSQL 18, a real ClickHouse, the
five services, a local OIDC issuer and a local Slack workspace, all on free
loopback ports of this machine and gone afterwards.

An agent's job gets a token, reads customers and gets masked rows; it runs an
UPDATE without WHERE, which pauses until somebody clicks Approve in Slack; a
DROP TABLE is refused with the remedy; then ClickHouse answers who, what, when
and why. On a terminal it waits for your click, or for Enter; without one it
clicks the real button itself.`

// Command returns gatestay demo.
func Command(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Play the main story on real parts, as a timeline", Long: help, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return play(c.Context(), env) },
	}
}

func play(ctx context.Context, env *cli.Env) (err error) {
	dir, err := os.MkdirTemp("", "gatestay-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL runs as another user when we are root; nobody may list it
		return fmt.Errorf("demo: %w", err)
	}
	own := *env
	own.Dir = filepath.Join(dir, "gatestay")
	log, closeLog, err := dev.Log(&own, zerolog.ErrorLevel)
	if err != nil {
		return err
	}
	defer closeLog()
	p := ui.New(env, env.Stdout)
	p.Title("Gatestay: a job touches production, and somebody knows")
	i, err := dev.Start(ctx, dev.Options{Dir: own.Dir, Sample: true, Log: log, Progress: p.Progress})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Stop(context.WithoutCancel(ctx))) }()
	s := newStory(&own, p, i.Dev)
	s.ready(i.Ready)
	return s.tell(ctx)
}
