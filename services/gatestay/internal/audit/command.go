// Package audit is 'gatestay audit': search what was done, and show a session's
// story.
package audit

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/login"
)

const long = `Ask the audit: who did what, when, and why.

Sign in first ('gatestay login'); operators list auditors in gatestay.yaml. Every
look at the audit is itself on record.`

// withCSV: spreadsheets are what auditors hand on.
var withCSV = map[string]string{cli.Formats: "text json csv"}

// tool is what the commands share.
type tool struct {
	env   *cli.Env
	token func(*cli.Env) (string, error) // of who is signed in
	now   func() time.Time               // in the location that times are read and written in
}

// Command returns 'gatestay audit'.
func Command(env *cli.Env) *cobra.Command {
	return (&tool{env: env, token: login.Token, now: time.Now}).command()
}

func (t *tool) command() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Ask who did what, when and why", Long: long}
	c.AddCommand(t.searchCommand(), t.showCommand())
	return c
}
