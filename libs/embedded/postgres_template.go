package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// copyTemplate fills data with a fresh cluster. initdb takes seconds, so its
// result is kept, per version and account, beside the packages and copied.
func copyTemplate(ctx context.Context, template, bin string, a account, data string) error {
	if _, err := os.Stat(template); err != nil {
		unlock, err := lock(ctx, template+".lock", nil)
		if err != nil {
			return err
		}
		defer unlock()
		if _, err := os.Stat(template); err != nil {
			if err := makeTemplate(ctx, bin, a, template); err != nil {
				return err
			}
		}
	}
	partial := data + ".partial" // a copy cut short must not look like data
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	if err := os.CopyFS(partial, os.DirFS(template)); err != nil {
		return fmt.Errorf("embedded: postgres: copy template: %w", err)
	}
	if err := os.Chmod(partial, 0o700); err != nil { //nolint:gosec // a folder
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	if err := a.own(partial); err != nil {
		return err
	}
	if err := os.Rename(partial, data); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	return nil
}

func makeTemplate(ctx context.Context, bin string, a account, template string) error {
	partial := template + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	if err := os.Mkdir(partial, 0o700); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	if err := a.own(partial); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", partial, "--username="+superuser, "--encoding=UTF8", //nolint:gosec // our own binary
		"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
		"--auth=reject", "--wal-segsize=1", "--no-sync", "--no-instructions")
	if err := a.run(cmd, ""); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	if err := os.Rename(partial, template); err != nil {
		return fmt.Errorf("embedded: postgres: %w", err)
	}
	return nil
}
