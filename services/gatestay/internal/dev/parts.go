package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const stopLimit = 10 * time.Second

// parts are what the services stand on: bus, audit store, and the local
// stand-ins for an OIDC provider and Slack.
type parts struct {
	nats       *embedded.NATSServer
	clickhouse *embedded.ClickHouseServer
	issuer     *localissuer.Issuer
	slack      *localslack.Workspace
	slackAt    net.Listener
	sample     *sample
}

func startParts(ctx context.Context, l layout, o Options) (*parts, error) {
	p := &parts{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { // the slowest of all: beside the others
		p.clickhouse, err = embedded.ClickHouse(groupCtx, embedded.ClickHouseOptions{
			Dir: l.data("clickhouse"), Log: o.Log, Progress: o.Progress, Native: preferred(portClickHouse), HTTP: preferred(portClickHouseHTTP),
		})
		return err
	})
	group.Go(func() (err error) {
		p.nats, err = embedded.NATS(groupCtx, embedded.NATSOptions{Dir: l.data("nats"), Log: o.Log, Listen: true, Address: preferred(portNATS), Password: rand.Text()})
		return err
	})
	group.Go(func() error { return p.standIns(l, o) })
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, p.stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

func (p *parts) standIns(l layout, o Options) (err error) {
	if p.issuer, err = localissuer.New(localissuer.Options{
		Dir: l.path("keys"), Listen: or(preferred(portIssuer), "127.0.0.1:0"),
		People: []localissuer.Person{
			{Name: "dana", Title: "Dana Okafor", Subject: "local-dana", Email: "dana@acme.example"},
			{Name: "kim", Title: "Kim Lindqvist", Subject: "local-kim", Email: "kim@acme.example"},
			{Name: "riley", Title: "Riley Tan", Subject: "local-riley", Email: "riley@acme.example"},
		},
	}); err != nil {
		return fmt.Errorf("dev: local issuer: %w", err)
	}
	if p.slackAt, err = net.Listen("tcp", or(preferred(portSlack), "127.0.0.1:0")); err != nil {
		return fmt.Errorf("dev: local Slack: %w", err)
	}
	tokens, err := slackTokens(l)
	if err != nil {
		return err
	}
	if p.slack, err = localslack.New(localslack.Options{
		Users: []localslack.User{
			{ID: "U0DANA", Name: "dana", RealName: "Dana Okafor", Title: "Database owner", Email: "dana@acme.example"},
			{ID: "U0KIM", Name: "kim", RealName: "Kim Lindqvist", Title: "Database owner", Email: "kim@acme.example"},
			{ID: "U0RILEY", Name: "riley", RealName: "Riley Tan", Title: "Shop team", Email: "riley@acme.example"},
			{ID: "U0GUEST", Name: "guest", RealName: "Robin Guest", Title: "Contractor", SingleChannelGuest: true},
		},
		Channels: []localslack.Channel{{ID: "C0PROD", Name: "prod-approvals", Topic: "Commands on production that wait for a click"}},
		BotToken: tokens.bot, AppToken: tokens.app, Log: o.Log,
	}); err != nil {
		return fmt.Errorf("dev: local Slack: %w", err)
	}
	return nil
}

// run serves the stand-ins until ctx ends.
func (p *parts) run(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return p.issuer.Serve(ctx) })
	group.Go(func() error { return p.slack.Serve(ctx, p.slackAt) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-p.clickhouse.Done():
			return errors.New("dev: ClickHouse ended by itself; its log is in the data folder")
		}
	})
}

func (p *parts) slackURL() string { return "http://" + p.slackAt.Addr().String() }

// overlay is what the running process decides itself; the user's file holds
// targets and whatever it wants to say beyond.
func (p *parts) overlay(l layout) func(*config.Config) {
	return func(c *config.Config) {
		c.Bus = config.Bus{URL: address(p.nats.URL)}
		c.Issuers = append(p.issuer.JobIssuers(), c.Issuers...)
		if c.People.Issuer == "" {
			c.People = config.SignIn{
				Issuer: p.issuer.URL(), ClientID: "gatestay-cli", Loopback: true,
				Admins: []string{"dana"}, Auditors: []string{"dana", "kim", "riley"},
			}
		}
		pub := func(name string) []string { return []string{l.key(name) + ".pub"} }
		c.Trust = config.Trust{
			Policy: pub("policy.pem"), Masking: pub("masking.pem"), Approval: pub("approval.pem"),
			Records: []string{
				l.key("gateway.pem") + ".pub", l.key("policy.pem") + ".pub", l.key("masking.pem") + ".pub",
				l.key("approval.pem") + ".pub", l.key("archival.pem") + ".pub",
			},
		}
		tls := func(listen string) config.Listener {
			return config.Listener{Listen: or(listen, "127.0.0.1:0"), Certificate: l.path("tls", "server.pem"), Key: l.path("tls", "server.key")}
		}
		g := &c.Gateway
		g.ID, g.Journal, g.Key, g.MaskingKey = "gw1", l.data("journal"), l.key("gateway.pem"), l.key("masking.key")
		g.Postgres, g.API, g.Health = tls(preferred(portPostgres)), tls(preferred(portAPI)), "127.0.0.1:0"
		c.Policy = config.Policy{
			Dir: l.path("policies"), Key: l.key("policy.pem"), Listen: "127.0.0.1:0",
			PeopleChanges: or(c.Policy.PeopleChanges, config.ByFile), // one developer, who edits it live
		}
		c.Masking = config.Masking{Dir: l.path("masking"), Key: l.key("masking.pem"), Listen: "127.0.0.1:0"}
		c.Approval = config.Approval{
			Key: l.key("approval.pem"), Listen: or(preferred(portApproval), "127.0.0.1:0"), URL: c.Approval.URL,
			Slack: config.Slack{
				Transport: "socket", BotToken: config.Secret("file:" + l.key("slack-bot")), AppToken: config.Secret("file:" + l.key("slack-app")),
				Channel: "C0PROD", APIURL: p.slackURL() + "/api/", TeamID: p.slack.TeamID(), AppID: p.slack.AppID(),
			},
		}
		c.Archival = config.Archival{
			ClickHouse: config.ClickHouse{Address: p.clickhouse.Native, Database: "gatestay", User: "default"},
			Key:        l.key("archival.pem"), Listen: or(preferred(portConsole), "127.0.0.1:0"),
		}
	}
}

// describe is dev.json.
func (p *parts) describe(l layout, s *services, cfg *config.Config) cli.Dev {
	d := cli.Dev{Issuer: p.issuer.URL(), Slack: p.slackURL(), NATS: p.nats.URL, Approvals: "http://" + s.approval.Addr(), Console: "http://" + s.archival.Addr()}
	d.Gateway.Postgres, d.Gateway.API, d.Gateway.CA = s.gateway.PostgresAddr(), "https://"+s.gateway.APIAddr(), l.path("tls", "ca.pem")
	d.ClickHouse.Native, d.ClickHouse.HTTP = p.clickhouse.Native, p.clickhouse.HTTP
	d.Targets = slices.Sorted(maps.Keys(cfg.Targets))
	return d
}

// stop ends the servers, the bus last.
func (p *parts) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	var errs []error
	if p.slack != nil {
		p.slack.Close()
	}
	if p.clickhouse != nil {
		errs = append(errs, p.clickhouse.Stop(ctx))
	}
	if p.nats != nil {
		errs = append(errs, p.nats.Stop(ctx))
	}
	if p.sample != nil {
		errs = append(errs, p.sample.server.Stop(ctx))
	}
	return errors.Join(errs...)
}

type tokens struct{ bot, app string }

// slackTokens keeps the local workspace's tokens over restarts, as references
// need files.
func slackTokens(l layout) (tokens, error) {
	read := func(name, prefix string) (string, error) {
		path := l.key(name)
		if raw, err := os.ReadFile(path); err == nil { //nolint:gosec // below the dev folder
			return string(raw), nil
		}
		secret := prefix + randomHex()
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			return "", fmt.Errorf("dev: %w", err)
		}
		return secret, nil
	}
	bot, err := read("slack-bot", "xoxb-local-")
	if err != nil {
		return tokens{}, err
	}
	app, err := read("slack-app", "xapp-local-")
	return tokens{bot, app}, err
}
