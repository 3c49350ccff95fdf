// Package gatestay is the command line for pipelines, approvers and SREs, and
// gatestay dev, which runs the whole product in one process.
package gatestay

import (
	"errors"
	"fmt"

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
	"github.com/gatestay/gatestay/services/gatestay/internal/masking"
	"github.com/gatestay/gatestay/services/gatestay/internal/plan"
	"github.com/gatestay/gatestay/services/gatestay/internal/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/run"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
)

const example = `  gatestay demo                              # the whole story, in half a minute
  gatestay dev --sample                      # all of it on this machine, to try
  gatestay run prod-db -- psql -f migrate.sql`

// Command returns the root command.
func Command(env *cli.Env) *cobra.Command {
	cobra.EnableCommandSorting = false // the order below is the order of use
	root := &cobra.Command{
		Use:           "gatestay",
		Short:         "Let CI/CD jobs and AI agents touch production safely",
		Example:       example,
		Version:       service.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	if d := env.Getenv("GATESTAY_DIR"); d != "" {
		env.Dir = d
	}
	root.PersistentFlags().StringVar(&env.Dir, "dir", env.Dir, "folder of gatestay dev (GATESTAY_DIR)")
	group := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("job", "A job or an agent:", run.Command(env), plan.Command(env), can.Command(env), token.Command(env))
	group("person", "A person:", login.Command(env), login.Logout(env), approvals.Command(env), audit.Command(env))
	group("owner", "Who owns the rules:", initialise.Command(env), policy.Command(env), masking.Command(env), keys.Command(env))
	group("local", "On this machine:", demo.Command(env), dev.Command(env))
	group("more", "More:", versionCommand(env, root.Version))
	root.SetCompletionCommandGroupID("more")
	root.SetHelpCommandGroupID("more")
	cli.Conventions(env, root)
	return root
}

func versionCommand(env *cli.Env, version string) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if env.JSON() {
				return env.PrintJSON(map[string]string{"version": version}) //nolint:wrapcheck // cli's own words
			}
			_, err := fmt.Fprintln(env.Stdout, "gatestay", version)
			return err //nolint:wrapcheck // a failed write to the terminal
		},
	}
}

// Main runs the process's own command line and returns its exit code: 0 on
// success, 1 on an error, the child's own code from gatestay run.
func Main() (int, error) {
	ctx, stop := service.Signals()
	defer stop()
	env := cli.System()
	return outcome(env, Command(env).ExecuteContext(ctx))
}

func outcome(env *cli.Env, err error) (int, error) {
	var exit cli.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return int(exit), nil
	default:
		return 1, errors.New(env.Typed(cli.Words(err).Error()))
	}
}
