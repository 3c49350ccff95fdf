package dev

import (
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// announce says how to connect.
func announce(env *cli.Env, i *Instance) error {
	if env.JSON() {
		return env.PrintJSON(i.Dev)
	}
	p := ui.New(env, env.Stdout)
	p.Title(fmt.Sprintf("Gatestay is ready (%d ms)", i.Ready.Milliseconds()))
	p.Pairs([][2]string{
		{"PostgreSQL", i.Dev.Gateway.Postgres + "  (TLS, CA " + i.Dev.Gateway.CA + ")"},
		{"Slack", i.Dev.Slack},
		{"Approvals", i.Dev.Approvals},
		{"Audit", i.Dev.Console},
		{"ClickHouse", i.Dev.ClickHouse.Native + "  http://" + i.Dev.ClickHouse.HTTP},
		{"NATS", address(i.Dev.NATS) + "  (user and password in " + i.layout.dev() + ")"},
		{"Configuration", i.layout.config() + ", policies/, masking/  (read live)"},
	})
	tries(p, i.Dev, i.layout.config(), i.parts.sample != nil)
	return nil
}

// tries are commands to paste: on the sample's own tables where it is there,
// else on whatever target there is.
func tries(p *ui.Printer, d cli.Dev, config string, sample bool) {
	if len(d.Targets) == 0 {
		p.Note("There is no target yet: add one under targets in " + config + ", or start with --sample.")
		return
	}
	p.Note("Try, in another terminal in this folder:")
	t := d.Targets[0]
	if sample && slices.Contains(d.Targets, sampleTarget) {
		t = sampleTarget
		p.Code("gatestay run " + t + " -- psql -c 'select name, email from customers limit 3'")
		p.Code("gatestay run " + t + " -- psql -c \"update customers set tier = 'gold'\"   # then click in Slack, or in the inbox at " + d.Approvals)
	} else {
		p.Code("gatestay can " + t)
		p.Code("gatestay run " + t + " -- psql -c 'select 1'")
	}
	p.Note("Or with any client, one connection a token:")
	_, port, _ := net.SplitHostPort(d.Gateway.Postgres)
	p.Code(fmt.Sprintf("PGPASSWORD=$(gatestay token --dev) psql 'host=127.0.0.1 port=%s dbname=%s user=me sslmode=verify-full sslrootcert=%s gssencmode=disable'",
		port, t, d.Gateway.CA))
}

// address is a URL without its secret.
func address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}
