package dev

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

func TestTries(t *testing.T) {
	for name, c := range map[string]struct {
		targets []string
		sample  bool
		want    []string
		not     string
	}{
		"none":                    {nil, false, []string{"no target yet"}, "Try"},
		"the sample alone":        {[]string{"prod-db"}, true, []string{"build/bin/gatestay run prod-db", "customers"}, "select 1"},
		"a target sorts before":   {[]string{"alpha", "prod-db"}, true, []string{"run prod-db", "from customers", "dbname=prod-db"}, "alpha"},
		"the sample taken out":    {[]string{"alpha"}, true, []string{"run alpha -- psql -c 'select 1'", "dbname=alpha"}, "customers"},
		"a prod-db of one's own":  {[]string{"prod-db"}, false, []string{"run prod-db -- psql -c 'select 1'"}, "customers"},
		"the token's own command": {[]string{"prod-db"}, true, []string{"$(build/bin/gatestay token --dev)", "port=6432"}, "$(gatestay"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			env := &cli.Env{Stdout: &out, Getenv: func(string) string { return "" }, Dir: ".gatestay", Program: "build/bin/gatestay"}
			d := cli.Dev{Targets: c.targets}
			d.Gateway.Postgres = "127.0.0.1:6432"
			tries(ui.New(env, &out), d, "gatestay.yaml", c.sample)
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), c.not) {
				t.Errorf("%q should not be in:\n%s", c.not, out.String())
			}
		})
	}
}
