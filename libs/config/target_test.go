package config_test

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/config"
)

// TestRedteam11_TargetConfiguration refuses what would hand the target's
// credential to whoever answers, or what would only look safe.
func TestRedteam11_TargetConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		fields string
		want   []string // of the error; none: it is taken
	}{
		"the least":                        {"password: 'env:P'", nil},
		"no proof at all":                  {"", []string{"t.password", "require_auth: [none]"}},
		"trust, said so":                   {"require_auth: [none], tls: disable", nil},
		"trust, and a password":            {"password: 'env:P', require_auth: [none, scram-sha-256]", nil},
		"prefer":                           {"password: 'env:P', tls: prefer", []string{"t.tls", "plain text", "verify-full"}},
		"allow":                            {"password: 'env:P', tls: allow", []string{"t.tls", "plain text"}},
		"a certificate":                    {"certificate: c.pem, key: 'file:k.pem'", nil},
		"a certificate without its key":    {"certificate: c.pem", []string{"t.certificate", "both"}},
		"a key in the file":                {"certificate: c.pem, key: '-----BEGIN PRIVATE KEY-----'", []string{"t.key", "file:PATH"}},
		"a certificate, no TLS":            {"tls: disable, certificate: c.pem, key: 'file:k.pem'", []string{"t.certificate", "no effect"}},
		"binding":                          {"password: 'env:P', channel_binding: require", nil},
		"binding, no TLS":                  {"password: 'env:P', channel_binding: require, tls: disable", []string{"t.channel_binding", "no effect"}},
		"binding, misspelt":                {"password: 'env:P', channel_binding: required", []string{"t.channel_binding", "prefer, require"}},
		"direct":                           {"password: 'env:P', tls_negotiation: direct", nil},
		"direct, no TLS":                   {"password: 'env:P', tls_negotiation: direct, tls: disable", []string{"t.tls_negotiation", "no effect"}},
		"direct, misspelt":                 {"password: 'env:P', tls_negotiation: Direct", []string{"t.tls_negotiation", "postgres, direct"}},
		"a CA, no TLS":                     {"password: 'env:P', tls: disable, ca: ca.pem", []string{"t.ca", "no effect"}},
		"a method, misspelt":               {"password: 'env:P', require_auth: [scram]", []string{"t.require_auth", "scram-sha-256, md5"}},
		"a method twice":                   {"password: 'env:P', require_auth: [md5, md5]", []string{"t.require_auth", "twice"}},
		"the password to anybody":          {"password: 'env:P', tls: require, require_auth: [password]", []string{"t.require_auth", "verify-full"}},
		"the password in the clear":        {"password: 'env:P', tls: disable, require_auth: [password]", []string{"t.require_auth", "verify-full"}},
		"the password to a checked target": {"password: 'env:P', tls: verify-ca, require_auth: [password]", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse([]byte("targets:\n  t: {protocol: postgres, address: 'h:1', user: u, "+c.fields+"}\n"), "gatestay.yaml", t.TempDir())
			if (err == nil) != (c.want == nil) {
				t.Fatal(err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error does not say %q:\n%v", w, err)
				}
			}
		})
	}
}
