package cli

import "github.com/spf13/cobra"

// CompleteTarget completes the first argument with the targets of a running
// gatestay dev. Other deployments do not tell a shell what their targets are.
func (e *Env) CompleteTarget(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	dev, err := e.ReadDev()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return dev.Targets, cobra.ShellCompDirectiveNoFileComp
}

// CompleteFlag completes a flag's value with these, or what they return.
func CompleteFlag(c *cobra.Command, flag string, values func() []string) {
	_ = c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	}) // it fails where there is no such flag, which its help would show
}
