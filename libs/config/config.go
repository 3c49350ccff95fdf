// Package config reads gatestay.yaml, the one file that all services share.
// Each service uses its own section and the shared ones. Secrets are
// references (env:NAME, file:PATH), never literals.
package config

import (
	"fmt"
	"strings"
	"time"
)

// Config is the whole file. Relative paths are relative to the file's folder.
type Config struct {
	// Dir is the absolute folder of the file; not read from YAML.
	Dir string `yaml:"-"`
	// File is the path it was loaded from, for Watch; not read from YAML.
	File string `yaml:"-"`
	// Overlay sets what the running process decides itself (gatestay dev's
	// ports and keys); Reload applies it again. Not read from YAML.
	Overlay func(*Config) `yaml:"-"`

	Bus      Bus               `yaml:"bus"`
	Issuers  []Issuer          `yaml:"issuers"`
	People   SignIn            `yaml:"sign_in"`
	Targets  map[string]Target `yaml:"targets"`
	Trust    Trust             `yaml:"trust"`
	Gateway  Gateway           `yaml:"gateway"`
	Policy   Policy            `yaml:"policy"`
	Masking  Masking           `yaml:"masking"`
	Approval Approval          `yaml:"approval"`
	Archival Archival          `yaml:"archival"`
}

// Bus says where NATS is.
type Bus struct {
	URL         string `yaml:"url"`         // nats://host:port[,…]
	Credentials string `yaml:"credentials"` // path of a .creds file, optional
	Replicas    int    `yaml:"replicas"`    // of streams; default 1
}

// Issuer is one OIDC issuer whose job tokens are accepted.
type Issuer struct {
	Name      string `yaml:"name"`
	Preset    string `yaml:"preset"` // github-actions, gitlab-ci, generic
	Issuer    string `yaml:"issuer"` // exact URL
	Audience  string `yaml:"audience"`
	SingleUse *bool  `yaml:"single_use"` // default true
	CA        string `yaml:"ca"`         // PEM file for the issuer's HTTPS, optional
	// Loopback allows plain http to a loopback address (gatestay dev only).
	Loopback bool `yaml:"loopback"`
}

// SignIn is the OIDC provider at which people sign in.
type SignIn struct {
	Issuer   string   `yaml:"issuer"`
	ClientID string   `yaml:"client_id"`
	CA       string   `yaml:"ca"`
	Loopback bool     `yaml:"loopback"`
	Admins   []string `yaml:"admins"`   // persons of the people map
	Auditors []string `yaml:"auditors"` // persons who may read audits
	Web      Web      `yaml:"web"`
}

// Web is the client of the pages in a browser.
type Web struct {
	ClientID     string `yaml:"client_id"`     // default: that of sign_in
	ClientSecret Secret `yaml:"client_secret"` // where the provider wants one in spite of PKCE
}

// Trust lists the public key files of who signs what.
type Trust struct {
	Policy   []string `yaml:"policy"`
	Masking  []string `yaml:"masking"`
	Approval []string `yaml:"approval"`
	Records  []string `yaml:"records"` // every producer of batches
}

// Gateway is the gateway's section.
type Gateway struct {
	ID             string   `yaml:"id"`       // no dots, spaces or wildcards
	Postgres       Listener `yaml:"postgres"` // where clients connect
	API            Listener `yaml:"api"`      // token exchange, HTTPS
	Health         string   `yaml:"health"`   // host:port of /healthz, /readyz, /metrics
	Journal        string   `yaml:"journal"`  // folder
	JournalBytes   int64    `yaml:"journal_bytes"`
	Key            string   `yaml:"key"`             // signs batches
	MaskingKey     string   `yaml:"masking_key"`     // 32 random bytes: hashes, tokens, tags
	RunConnections int      `yaml:"run_connections"` // connections a run-bound credential opens; default 32
	RunLimit       Duration `yaml:"run_limit"`       // its hard limit; default 1h
	AdvertiseHost  string   `yaml:"advertise_host"`  // as in the certificate
	DrainTimeout   Duration `yaml:"drain_timeout"`   // default 10s
}

// Listener is an address with its certificate.
type Listener struct {
	Listen      string `yaml:"listen"`
	Certificate string `yaml:"certificate"` // PEM file
	Key         string `yaml:"key"`         // PEM file
	// Plaintext takes connections without TLS, too: credentials then cross the
	// network readable, so it is for loopback addresses only (a benchmark, a sidecar).
	Plaintext bool `yaml:"plaintext"`
	// Auth is how a PostgreSQL client is asked for its token: password (default),
	// which every client can, or oauthbearer, which is PostgreSQL 18's way. Each
	// client may choose the other one: options=-c gatestay.auth=oauthbearer.
	Auth string `yaml:"auth"`
	// OAuth is where an OAUTHBEARER client without a token is sent for one.
	OAuth OAuth `yaml:"oauth"`
}

// OAuth names an issuer, one of issuers, and the scope to ask it for.
type OAuth struct {
	Issuer string `yaml:"issuer"` // exact URL; empty: clients are not told
	Scope  string `yaml:"scope"`  // default openid
}

// Policy is the policy service's section.
type Policy struct {
	Dir      string `yaml:"dir"` // policies/
	Key      string `yaml:"key"` // signs bundles and leases
	Listen   string `yaml:"listen"`
	Instance string `yaml:"instance"` // tells replicas apart; default 1
	// PeopleChanges says what a change of people.yaml takes: second_person (default),
	// or file, where whoever may write the file may change who is who.
	PeopleChanges string `yaml:"people_changes"`
}

// What a change of the people map takes.
const (
	SecondPerson = "second_person"
	ByFile       = "file"
)

// Changes is PeopleChanges with its default filled in.
func (p *Policy) Changes() string {
	if p.PeopleChanges == "" {
		return SecondPerson
	}
	return p.PeopleChanges
}

// SecondPerson reports that a change of the people map takes a second person.
func (p *Policy) SecondPerson() bool { return p.PeopleChanges != ByFile }

// Masking is the masking service's section.
type Masking struct {
	Dir      string `yaml:"dir"` // masking/
	Key      string `yaml:"key"` // signs bundles, redactions and placeholders
	Listen   string `yaml:"listen"`
	Instance string `yaml:"instance"` // tells replicas apart; default 1
}

// Approval is the approval service's section.
type Approval struct {
	Key    string `yaml:"key"` // signs decisions
	Listen string `yaml:"listen"`
	URL    string `yaml:"url"` // as people reach it
	Slack  Slack  `yaml:"slack"`
	// Webhooks are further systems that are told of approvals, and pass votes on.
	Webhooks []Webhook `yaml:"webhooks"`
	// Instance tells replicas apart; default 1.
	Instance string `yaml:"instance"`
}

// Webhook is one system that is told of approvals (standardwebhooks.com).
type Webhook struct {
	Name   string   `yaml:"name"`   // part of its accounts in people.yaml
	URL    string   `yaml:"url"`    // https, or http on loopback
	Secret Secret   `yaml:"secret"` // 24 to 64 bytes of base64
	Events []string `yaml:"events"` // empty for all
}

// Slack says how to reach the workspace.
type Slack struct {
	Transport     string `yaml:"transport"` // socket (default), http, off
	BotToken      Secret `yaml:"bot_token"`
	AppToken      Secret `yaml:"app_token"`      // socket
	SigningSecret Secret `yaml:"signing_secret"` // http
	Channel       string `yaml:"channel"`        // default channel id
	APIURL        string `yaml:"api_url"`        // default Slack's own
	TeamID        string `yaml:"team_id"`
	AppID         string `yaml:"app_id"`
}

// Archival is the archival service's section.
type Archival struct {
	ClickHouse ClickHouse `yaml:"clickhouse"`
	Key        string     `yaml:"key"`
	Listen     string     `yaml:"listen"`
	Instance   string     `yaml:"instance"` // tells replicas apart; default 1
}

// ClickHouse says where the audit store is.
type ClickHouse struct {
	Address  string `yaml:"address"` // native protocol host:port
	Database string `yaml:"database"`
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	TLS      bool   `yaml:"tls"`
}

// Duration reads "15m", "1h30m".
type Duration time.Duration

// UnmarshalYAML parses a Go duration.
func (d *Duration) UnmarshalYAML(raw []byte) error {
	s := strings.TrimSpace(string(raw)) // with what follows the value: blank lines
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') {
		s = s[1 : len(s)-1]
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("not a duration: %q; write it like 90s, 15m or 1h30m", s)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes it as a Go duration.
func (d Duration) MarshalYAML() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Or returns the duration, or def where it is zero.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}
