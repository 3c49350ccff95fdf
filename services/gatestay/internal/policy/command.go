// Package policy is gatestay policy: it checks, tests, explains and pins the
// rules in a folder, without a running service.
package policy

import (
	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const help = `Work on the rules in a folder, offline. Nothing here changes what runs, except
'people confirm'.

  check     what is wrong, and what silently never applies
  test      run the cases in *_test.yaml
  explain   which rule decides a statement, and why
  pin       write a repository's ids into the rules that name it
  people    put a changed people map into force where nobody is left to approve it

The folder is --policies, else policy.dir of the configuration, else policies/ in
the folder of gatestay dev, else ./policies. Targets and issuers come from the
configuration: --config, else gatestay.yaml in the folder of gatestay dev, else
./gatestay.yaml.`

// Command returns gatestay policy.
func Command(env *cli.Env) *cobra.Command {
	w := &where{env: env}
	c := &cobra.Command{
		Use: "policy", Short: "Check, test, explain and pin the rules", Long: help,
		Example: "  gatestay policy check\n  gatestay policy test\n  gatestay policy explain --principal repository_id=1001,repository_owner_id=2002 --target prod-db 'DELETE FROM orders'",
	}
	c.PersistentFlags().StringVar(&w.policies, "policies", "", "folder of the rules")
	c.PersistentFlags().StringVar(&w.config, "config", "", "configuration file, for targets, issuers and masks")
	c.AddCommand(checkCommand(env, w), testCommand(env, w), explainCommand(env, w), pinCommand(env, w), peopleCommand(env, w))
	return c
}
