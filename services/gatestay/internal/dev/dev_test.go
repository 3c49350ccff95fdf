package dev

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

func TestMain(m *testing.M) {
	embedded.MaybeChild() // in the ClickHouse child process this never returns
	os.Exit(m.Run())
}

func testEnv(dir string) (*cli.Env, *bytes.Buffer) {
	var out bytes.Buffer
	return &cli.Env{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, Dir: dir, Output: "text"}, &out
}

// A fresh folder without the sample becomes ready, and dev.json follows what
// is written into gatestay.yaml.
func TestFreshFolder(t *testing.T) {
	env, _ := testEnv(filepath.Join(t.TempDir(), "gatestay"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	i, err := Start(ctx, Options{Dir: env.Dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			if err := i.Stop(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
		}
	}
	defer stop()
	targets := func() []string {
		d, err := env.ReadDev()
		if err != nil {
			t.Fatal(err)
		}
		return d.Targets
	}
	if got := targets(); len(got) > 0 {
		t.Fatalf("targets in a fresh folder: %v", got)
	}
	for _, want := range [][]string{{"mine"}, {"mine", "other"}, {}} {
		text := "targets: {}\n"
		if len(want) > 0 {
			text = "targets:\n"
		}
		for _, name := range want {
			text += "  " + name + `: {protocol: postgres, environment: staging, address: "127.0.0.1:5432", database: app, user: app, password: "env:X", tls: disable}` + "\n"
		}
		if err := os.WriteFile(filepath.Join(env.Dir, "gatestay.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		await(ctx, t, func() bool { return slices.Equal(targets(), want) })
	}
	stop()
	if _, err := env.ReadDev(); err == nil {
		t.Error("dev.json outlives what it describes")
	}
}

func await(ctx context.Context, t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal("it does not come to pass")
		case <-tick.C:
		}
	}
}

// Rules of one's own are not joined by the starter's.
func TestStarterRules(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  bool
	}{
		"nothing there":      {nil, true},
		"people and tests":   {[]string{"people.yaml", "shop_test.yaml"}, true},
		"rules of one's own": {[]string{"people.yaml", "mine.yaml"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := layout{t.TempDir()}
			if err := os.MkdirAll(l.path("policies"), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, f := range c.files {
				if err := os.WriteFile(l.path("policies", f), []byte("people: []\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.prepare(nil); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(l.path("policies", "rules.yaml")); (err == nil) != c.want {
				t.Errorf("the starter: %v", err)
			}
		})
	}
}

func TestInterruptedStart(t *testing.T) {
	env, out := testEnv(filepath.Join(t.TempDir(), "gatestay"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, env, false, zerolog.WarnLevel); err != nil {
		t.Errorf("an interrupt is no failure: %v", err)
	}
	if !strings.Contains(out.String(), "stopped before it was ready") || strings.Contains(out.String(), "canceled") {
		t.Errorf("it says: %s", out.String())
	}
}
