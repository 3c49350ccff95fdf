package kit

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/libs/seal"
)

// files are the configuration of every kit: gatestay.yaml is a template, the
// rest is copied.
//
//go:embed files
var files embed.FS

//go:embed target.sql
var targetSchema string

var people = []localissuer.Person{
	{Name: "dana", Title: "Dana", Subject: "local-dana", Email: "dana@acme.example"},
	{Name: "kim", Title: "Kim", Subject: "local-kim", Email: "kim@acme.example"},
	{Name: "riley", Title: "Riley", Subject: "local-riley", Email: "riley@acme.example"},
}

var slackUsers = []localslack.User{
	{ID: Dana, Name: "dana", RealName: "Dana"},
	{ID: Kim, Name: "kim", RealName: "Kim"},
	{ID: Riley, Name: "riley", RealName: "Riley"},
	{ID: Mallory, Name: "mallory", RealName: "Mallory"},
}

var slackChannels = []localslack.Channel{{ID: Channel, Name: "prod-approvals"}}

// configure writes keys, certificates and files.
func (g *Gatestay) configure() error {
	for _, name := range Services {
		if _, err := seal.LoadOrGenerate(g.path("keys", name)); err != nil {
			return fmt.Errorf("kit: %w", err)
		}
	}
	if err := g.certify(); err != nil {
		return err
	}
	root, err := Repository()
	if err != nil {
		return err
	}
	conf, err := os.ReadFile(filepath.Join(root, "deploy", "nats", "nats-server.conf"))
	if err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	// Waiting for the disk on every message buys nothing here: the machine does
	// not lose power in a test, and SIGKILL loses no write.
	conf = []byte(strings.Replace(string(conf), "sync_interval: always", "sync_interval: 2m", 1))
	if err := os.WriteFile(g.path("nats-server.conf"), conf, 0o600); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	return fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		to := g.path(filepath.FromSlash(strings.TrimPrefix(path, "files/")))
		if filepath.Base(path) != "gatestay.yaml" {
			return os.WriteFile(to, raw, 0o600)
		}
		return g.render(to, string(raw))
	})
}

// render fills in the addresses.
func (g *Gatestay) render(to, text string) error {
	var out strings.Builder
	err := template.Must(template.New("gatestay.yaml").Parse(text)).Execute(&out, map[string]any{
		"Bus": g.addresses.bus, "Gateway": g.addresses.gateway, "API": g.addresses.api, "Health": g.addresses.health,
		"ClickHouse": g.addresses.clickhouse, "Issuer": g.Issuer.URL(), "Slack": g.SlackURL,
		"Target": g.DB.Address, "TargetCA": g.DB.CA,
		"Team": g.Slack.TeamID(), "App": g.Slack.AppID(),
	})
	if err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	if err := os.WriteFile(to, []byte(out.String()), 0o600); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	return nil
}
