package service

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/config"
)

// Process is what a service's binary hands to its constructor.
type Process struct {
	Config *config.Config
	Log    zerolog.Logger
}

// Runner is a service: Run blocks until ctx ends and returns nil then.
type Runner interface {
	Run(ctx context.Context) error
}

// Main is the command line of a service's binary: flags, configuration,
// logging and signals. It returns the exit code.
func Main(name, help string, build func(Process) (Runner, error)) int {
	var path, level, ask string
	root := &cobra.Command{
		Use: name, Short: "Gatestay's " + name + " service", Long: help, Version: Version(),
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if ask != "" {
				return probe(c.Context(), ask)
			}
			parsed, err := zerolog.ParseLevel(level)
			if err != nil {
				return fmt.Errorf("--log-level %q is not known: use debug, info, warn or error", level)
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			runner, err := build(Process{Config: cfg, Log: Logger(os.Stderr, name, parsed)})
			if err != nil {
				return err
			}
			return runner.Run(c.Context())
		},
	}
	root.Flags().StringVar(&path, "config", "gatestay.yaml", "configuration file")
	root.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	root.Flags().StringVar(&ask, "probe", "", "ask a running service's URL, e.g. http://127.0.0.1:9090/readyz, and exit 0 if it answers 200")
	ctx, stop := Signals()
	defer stop()
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// Version returns the version of this program, as its build stamped it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
