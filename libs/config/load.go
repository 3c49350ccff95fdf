package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/gatestay/gatestay/libs/loopback"
)

// Load reads and validates a file. Unknown keys are errors. Every error names
// the file, the line or the YAML path, and the remedy.
func Load(path string) (*Config, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("config: %w; write one with 'gatestay init' or name it with --config", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	c, err := Parse(raw, path, filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	c.File = abs
	return c, nil
}

// Reload loads the same file again, with the same overlay.
func (c *Config) Reload() (*Config, error) {
	next, err := Load(c.File)
	if err != nil {
		return nil, err
	}
	if c.Overlay != nil {
		c.Overlay(next)
		next.Overlay = c.Overlay
	}
	return next, nil
}

// Parse is Load for bytes at hand; name appears in errors.
func Parse(raw []byte, name, dir string) (*Config, error) {
	c := &Config{}
	decoder := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict())
	if err := decoder.Decode(c); err != nil {
		return nil, fmt.Errorf("config: %s: %s", name, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	c.Dir = dir
	c.override()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("config: %s:\n%w", name, err)
	}
	return c, nil
}

// override lets the environment set the addresses that differ per deployment.
func (c *Config) override() {
	for name, field := range map[string]*string{
		"GATESTAY_BUS_URL":         &c.Bus.URL,
		"GATESTAY_BUS_CREDENTIALS": &c.Bus.Credentials,
		"GATESTAY_GATEWAY_ID":      &c.Gateway.ID,
		"CLICKHOUSE_ADDR":          &c.Archival.ClickHouse.Address,
	} {
		if v := os.Getenv(name); v != "" {
			*field = v
		}
	}
}

// Path returns p, made absolute against the file's folder; empty stays empty.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Dir, p)
}

// Paths is Path for a list.
func (c *Config) Paths(ps []string) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = c.Path(p)
	}
	return out
}

var token = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Validate reports all problems at once, each with its YAML path and remedy.
func (c *Config) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("  $.%s: %s", path, fmt.Sprintf(format, args...)))
	}
	if c.Gateway.ID != "" && !token.MatchString(c.Gateway.ID) {
		bad("gateway.id", "%q may hold letters, digits, - and _ only (it becomes part of a bus subject)", c.Gateway.ID)
	}
	if c.Gateway.ID == "policy" {
		bad("gateway.id", "policy is what the policy service asks for approvals as; give the gateway another name, e.g. gw1")
	}
	if p := c.Policy.PeopleChanges; p != "" && p != SecondPerson && p != ByFile {
		bad("policy.people_changes", "%q is not known; known: second_person (default), file", p)
	}
	if l := c.Gateway.Postgres; l.Plaintext && !loopback.Host(l.Listen) {
		bad("gateway.postgres.plaintext", "credentials would cross the network readable; listen on a loopback address, e.g. 127.0.0.1:6432, or take it out")
	}
	c.validateAuth(bad)
	if c.Gateway.API.Plaintext {
		bad("gateway.api.plaintext", "the API is HTTPS only; take it out")
	}
	seen := map[string]int{}
	for i, is := range c.Issuers {
		path := fmt.Sprintf("issuers[%d]", i)
		if is.Issuer == "" {
			bad(path+".issuer", "missing; write the exact URL in the token's iss claim")
		}
		if is.Audience == "" {
			bad(path+".audience", "missing; write the audience your jobs ask for, e.g. gatestay")
		}
		if !strings.HasPrefix(is.Issuer, "https://") && !is.Loopback && is.Issuer != "" {
			bad(path+".issuer", "keys would travel over plain HTTP; use https://")
		}
		if j, dup := seen[is.Issuer]; dup {
			bad(path+".issuer", "the same issuer as issuers[%d]; name each once", j)
		}
		seen[is.Issuer] = i
	}
	names := make([]string, 0, len(c.Targets))
	for name := range c.Targets {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		c.Targets[name].validate("targets."+name, name, bad)
	}
	for path, s := range map[string]Secret{
		"approval.slack.bot_token": c.Approval.Slack.BotToken, "approval.slack.app_token": c.Approval.Slack.AppToken,
		"approval.slack.signing_secret": c.Approval.Slack.SigningSecret, "archival.clickhouse.password": c.Archival.ClickHouse.Password,
		"sign_in.web.client_secret": c.People.Web.ClientSecret,
	} {
		if s != "" && !s.Valid() {
			bad(path, "secrets are references: write env:NAME or file:PATH")
		}
	}
	return errors.Join(errs...)
}

// validateAuth checks how clients are asked for their token.
func (c *Config) validateAuth(bad report) {
	l := c.Gateway.Postgres
	switch l.Auth {
	case "", "password", "oauthbearer":
	default:
		bad("gateway.postgres.auth", "%q is not known; known: password, oauthbearer", l.Auth)
	}
	if i := l.OAuth.Issuer; i != "" && !slices.ContainsFunc(c.Issuers, func(is Issuer) bool { return is.Issuer == i }) {
		bad("gateway.postgres.oauth.issuer", "no token of %q would be accepted; name one of issuers, by its exact URL", i)
	}
	if l.OAuth.Issuer == "" && l.OAuth.Scope != "" {
		bad("gateway.postgres.oauth.scope", "has no effect without oauth.issuer; name the issuer, or take it out")
	}
	if a := c.Gateway.API; a.Auth != "" || a.OAuth != (OAuth{}) {
		bad("gateway.api.auth", "auth and oauth are for gateway.postgres; take them out here")
	}
}
