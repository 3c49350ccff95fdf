package kit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Repository returns the folder with go.work, above the working directory.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("kit: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("kit: no go.work above the working directory: run inside the repository")
		}
		dir = parent
	}
}

// build compiles what the kit runs, from the sources as they are. Go's cache
// makes it quick when nothing has changed.
func (g *Gatestay) build(ctx context.Context) error {
	root, err := Repository()
	if err != nil {
		return err
	}
	g.natsServer = filepath.Join(root, "build", "e2e", "nats-server")
	if err := compile(ctx, root, "-o", g.natsServer, "github.com/nats-io/nats-server/v2"); err != nil {
		return err
	}
	if g.options.Bin != "" {
		return nil
	}
	flavour, flags := "e2e", []string{"-trimpath", "-tags", "netgo,osusergo"} // as `make build`, whose cache it shares
	if g.options.Race {
		flavour, flags = "e2e-race", []string{"-race"}
	}
	g.options.Bin = filepath.Join(root, "build", flavour)
	if err := os.MkdirAll(g.options.Bin, 0o750); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	arguments := append(flags, "-o", g.options.Bin+string(filepath.Separator))
	for _, name := range append([]string{"gatestay"}, Services...) {
		arguments = append(arguments, "./services/"+name+"/cmd/"+name)
	}
	return compile(ctx, root, arguments...)
}

func compile(ctx context.Context, root string, arguments ...string) error {
	command := exec.CommandContext(ctx, "go", append([]string{"build"}, arguments...)...)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kit: go build: %w\n%s", err, out)
	}
	return nil
}

// Binary returns the path of a built binary, gatestay included.
func (g *Gatestay) Binary(name string) string { return filepath.Join(g.options.Bin, name) }
