package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Formats is the annotation of a command that knows more output formats than
// text and json: all of them, separated by spaces.
const Formats = "gatestay.formats"

// Conventions gives every command below root what all have in common: an
// unknown subcommand, a wrong number of arguments and an unknown output format
// are errors that show the right way, and none is taken for a success.
func Conventions(env *Env, root *cobra.Command) {
	root.PersistentFlags().StringVarP(&env.Output, "output", "o", env.Output, "text or json")
	_ = root.RegisterFlagCompletionFunc("output", func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return formats(c), cobra.ShellCompDirectiveNoFileComp
	})
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return env.format(c) }
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err) })
	// A group is runnable only to explain itself: one line says how it is used.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .HasAvailableSubCommands}}\n  {{.CommandPath}} [command]{{end}}", "", 1))
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	follow(root)
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Args = func(_ *cobra.Command, args []string) error { return topic(root, args) }
		}
	}
}

// topic checks that there is something to explain.
func topic(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil || len(rest) == 0 {
		return err //nolint:wrapcheck // cobra's, on its way to the terminal
	}
	return subcommand(c, rest)
}

func follow(c *cobra.Command) {
	if !c.Runnable() {
		c.Args, c.RunE, c.DisableFlagsInUseLine = cobra.ArbitraryArgs, subcommand, true
		c.Use += " COMMAND"
	} else if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error { return usage(c, check(c, args)) }
	}
	for _, sub := range c.Commands() {
		follow(sub)
	}
}

// subcommand is what a group of commands does by itself: without a word it
// explains itself; a word that is no command of it is an error.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help() //nolint:wrapcheck // a failed write to the terminal
	}
	var known []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2
	}
	text := fmt.Sprintf("there is no '%s %s'", c.CommandPath(), args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("%s; did you mean '%s %s'?", text, c.CommandPath(), near[0])
	}
	return fmt.Errorf("%s; it knows %s", text, strings.Join(known, ", "))
}

// usage adds to a mistake on the command line what would be right.
func usage(c *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	message := err.Error()
	switch {
	case strings.HasPrefix(message, "accepts 1 arg(s), received 0"):
		message = "something is missing behind '" + c.CommandPath() + "'"
	case strings.HasPrefix(message, "accepts"):
		message = "too many arguments for '" + c.CommandPath() + "'"
	case strings.HasPrefix(message, "unknown command"): // an argument of a command that takes none
		message = "'" + c.CommandPath() + "' takes no arguments"
	}
	message += "\nusage:   " + c.UseLine()
	if example, _, _ := strings.Cut(strings.ReplaceAll(c.Example, " \\\n   ", ""), "\n"); example != "" {
		message += "\nexample: " + strings.TrimSpace(example)
	}
	return errors.New(message)
}

// formats are the output formats that a command knows.
func formats(c *cobra.Command) []string {
	if more := c.Annotations[Formats]; more != "" {
		return strings.Fields(more)
	}
	return []string{"text", "json"}
}

func (e *Env) format(c *cobra.Command) error {
	known := formats(c)
	if slices.Contains(known, e.Output) {
		return nil
	}
	last := len(known) - 1
	return fmt.Errorf("--output %q is not known here: use %s or %s", e.Output, strings.Join(known[:last], ", "), known[last])
}

// Words says in words what the framework says about flags that exclude each
// other.
func Words(err error) error {
	_, list, found := strings.Cut(err.Error(), "none of the others can be; [")
	names, _, ended := strings.Cut(list, "] were all set")
	if !found || !ended {
		return err
	}
	flags := strings.Fields(names)
	return fmt.Errorf("--%s exclude each other: give one of them", strings.Join(flags, " and --"))
}
