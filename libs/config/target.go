package config

import (
	"slices"
	"strings"
)

// Target is one protected system.
type Target struct {
	Protocol    string `yaml:"protocol"` // postgres
	Environment string `yaml:"environment"`
	Address     string `yaml:"address"`  // host:port
	Database    string `yaml:"database"` // default database
	User        string `yaml:"user"`
	Password    Secret `yaml:"password"`
	TLS         string `yaml:"tls"` // disable, require, verify-ca, verify-full (default)
	CA          string `yaml:"ca"`
	// TLSNegotiation is how TLS begins: postgres (default) asks for it first,
	// direct starts with it and names the protocol by ALPN.
	TLSNegotiation string `yaml:"tls_negotiation"`
	// Certificate and Key are what the gateway proves itself with: a PEM file,
	// and a reference to its private key, PEM too.
	Certificate string `yaml:"certificate"`
	Key         Secret `yaml:"key"`
	// ChannelBinding ties the password's proof to the target's certificate:
	// prefer (default) does where the target can, require demands it.
	ChannelBinding string `yaml:"channel_binding"`
	// RequireAuth are the methods by which the target may ask who the gateway is:
	// scram-sha-256, md5, password, none (it lets in without asking). Where empty:
	// the first three under verified TLS, else scram-sha-256 alone; none where a
	// certificate is the proof.
	RequireAuth []string `yaml:"require_auth"`
	// SessionLimit is the hard limit of one session; default 1h.
	SessionLimit Duration `yaml:"session_limit"`
	// Databases that target/otherdb may name; empty allows the default only, "*" any.
	Databases []string `yaml:"databases"`
}

// Verified reports that the target proves who it is before it is told anything.
func (t Target) Verified() bool {
	return t.TLS == "" || t.TLS == "verify-ca" || t.TLS == "verify-full"
}

// report takes a problem: its YAML path and what to do about it.
type report func(path, format string, args ...any)

func (t Target) validate(path, name string, bad report) {
	if !token.MatchString(name) {
		bad(path, "a target's name may hold letters, digits, - and _ only")
	}
	if t.Protocol != "postgres" {
		bad(path+".protocol", "%q is not known; known: postgres", t.Protocol)
	}
	if t.Address == "" {
		bad(path+".address", "missing; write host:port")
	}
	if t.User == "" {
		bad(path+".user", "missing; the account the gateway logs in with")
	}
	t.validateTLS(path, bad)
	t.validateLogin(path, bad)
}

func (t Target) validateTLS(path string, bad report) {
	switch t.TLS {
	case "", "disable", "require", "verify-ca", "verify-full":
	case "allow", "prefer":
		bad(path+".tls", "%q goes on in plain text whenever somebody on the wire says so; write verify-full, or disable where plain text is meant", t.TLS)
	default:
		bad(path+".tls", "%q is not known; known: disable, require, verify-ca, verify-full", t.TLS)
	}
	switch t.TLSNegotiation {
	case "", "postgres", "direct":
	default:
		bad(path+".tls_negotiation", "%q is not known; known: postgres, direct", t.TLSNegotiation)
	}
	if t.TLS != "disable" {
		return
	}
	for field, set := range map[string]bool{
		"tls_negotiation": t.TLSNegotiation == "direct", "certificate": t.Certificate != "", "channel_binding": t.ChannelBinding == "require", "ca": t.CA != "",
	} {
		if set {
			bad(path+"."+field, "has no effect with tls: disable; write tls: verify-full, or take it out")
		}
	}
}

func (t Target) validateLogin(path string, bad report) {
	if t.Password != "" && !t.Password.Valid() {
		bad(path+".password", "secrets are references: write env:NAME or file:PATH")
	}
	if t.Key != "" && !t.Key.Valid() {
		bad(path+".key", "secrets are references: write file:PATH or env:NAME")
	}
	if (t.Certificate == "") != (t.Key == "") {
		bad(path+".certificate", "certificate and key belong together; write both, or neither")
	}
	switch t.ChannelBinding {
	case "", "prefer", "require":
	default:
		bad(path+".channel_binding", "%q is not known; known: prefer, require", t.ChannelBinding)
	}
	for i, method := range t.RequireAuth {
		switch {
		case !slices.Contains(loginMethods, method):
			bad(path+".require_auth", "%q is not known; known: %s", method, strings.Join(loginMethods, ", "))
		case slices.Contains(t.RequireAuth[:i], method):
			bad(path+".require_auth", "%q is there twice", method)
		case method == "password" && !t.Verified():
			bad(path+".require_auth", "password would go to whoever answers, readable; write tls: verify-full, or take it out")
		}
	}
	if t.Password == "" && t.Certificate == "" && !slices.Contains(t.RequireAuth, "none") {
		bad(path+".password", "missing; write env:NAME or file:PATH, or a certificate and key; or require_auth: [none] where the target trusts the gateway's address")
	}
}

var loginMethods = []string{"scram-sha-256", "md5", "password", "none"}
