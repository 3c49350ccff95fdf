// Package gatestay is the command line for pipelines, approvers and SREs, and
// gatestay dev, which runs the whole product in one process.
package gatestay

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/gatestay/internal/approvals"
	"github.com/gatestay/gatestay/services/gatestay/internal/audit"
	"github.com/gatestay/gatestay/services/gatestay/internal/can"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/demo"
	"github.com/gatestay/gatestay/services/gatestay/internal/dev"
	"github.com/gatestay/gatestay/services/gatestay/internal/initialise"
	"github.com/gatestay/gatestay/services/gatestay/internal/keys"
	"github.com/gatestay/gatestay/services/gatestay/internal/login"
	"github.com/gatestay/gatestay/services/gatestay/internal/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/run"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
)

// Command returns the root command.
func Command(env *cli.Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "gatestay",
		Short:         "Let CI/CD jobs and AI agents touch production safely",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	if d := env.Getenv("GATESTAY_DIR"); d != "" {
		env.Dir = d
	}
	root.PersistentFlags().StringVar(&env.Dir, "dir", env.Dir, "folder of gatestay dev (GATESTAY_DIR)")
	root.PersistentFlags().StringVarP(&env.Output, "output", "o", env.Output, "text or json")
	root.AddCommand(
		run.Command(env), can.Command(env), token.Command(env),
		login.Command(env), login.Logout(env), approvals.Command(env), audit.Command(env),
		initialise.Command(env), policy.Command(env), keys.Command(env),
		dev.Command(env), demo.Command(env),
	)
	return root
}

// Main runs the process's own command line and returns its exit code: 0 on
// success, 1 on an error, the child's own code from gatestay run.
func Main() (int, error) {
	ctx, stop := service.Signals()
	defer stop()
	err := Command(cli.System()).ExecuteContext(ctx)
	var exit cli.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return int(exit), nil
	default:
		return 1, err
	}
}
