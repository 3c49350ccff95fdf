package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTyped(t *testing.T) {
	running := filepath.Join(t.TempDir(), "it's here")
	if err := os.MkdirAll(running, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(running, "dev.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := "'" + filepath.Dir(running) + `/it'\''s here'`
	for name, c := range map[string]struct {
		env        Env
		text, want string
	}{
		"on the PATH":       {Env{Dir: ".gatestay"}, "run 'gatestay login'", "run 'gatestay login'"},
		"by a path":         {Env{Dir: ".gatestay", Program: "build/bin/gatestay"}, "run 'gatestay login'", "run 'build/bin/gatestay login'"},
		"a dollar":          {Env{Dir: ".gatestay", Program: "/$1/gatestay"}, "gatestay login", "/$1/gatestay login"},
		"inside another":    {Env{Dir: ".gatestay", Program: "./gatestay"}, "gatestay run db -- gatestay can db", "./gatestay run db -- ./gatestay can db"},
		"in a substitution": {Env{Dir: ".gatestay", Program: "./gatestay"}, "PGPASSWORD=$(gatestay token --dev) psql", "PGPASSWORD=$(./gatestay token --dev) psql"},
		"every line":        {Env{Dir: ".gatestay", Program: "./gatestay"}, "  gatestay dev\ngatestay can", "  ./gatestay dev\n./gatestay can"},
		"prose":             {Env{Dir: ".gatestay", Program: "./gatestay"}, "beside a running gatestay dev, gatestay.yaml", "beside a running gatestay dev, gatestay.yaml"},
		"another folder":    {Env{Dir: running}, "run 'gatestay login'", "run 'gatestay --dir " + elsewhere + " login'"},
		"nothing runs":      {Env{Dir: filepath.Dir(running)}, "run 'gatestay login'", "run 'gatestay login'"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.env.Typed(c.text); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	if got := program("build/bin/gatestay"); got != "build/bin/gatestay" {
		t.Errorf("not on the PATH: %s", got)
	}
	if got := program("gatestay"); got != "gatestay" {
		t.Errorf("found by the PATH: %s", got)
	}
	onPath := t.TempDir()
	if err := os.Symlink(self, filepath.Join(onPath, "gatestay")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", onPath)
	if got := program("build/bin/gatestay"); got != "gatestay" {
		t.Errorf("the PATH leads to it: %s", got)
	}
}
