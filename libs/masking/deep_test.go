package masking

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestDeepFindsWhatIsHidden(t *testing.T) {
	token := "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
	b64 := base64.StdEncoding.EncodeToString([]byte("token " + token))
	for name, tc := range map[string]struct{ text, want string }{
		"as written":            {"x " + token, "x [redacted:github-token]"},
		"joined pieces":         {"SELECT 'ghp_' || 'abcdefghijklmnopqrstuvwxyz0123456789'", "SELECT '[redacted:github-token]'"},
		"joined over lines":     {"SELECT 'dana' ||\n 'acme' || E'@acme.example'", "SELECT '[redacted:email]'"},
		"zero width":            {"dana\u200b@acme\u200d.example", "[redacted:email]"},
		"soft hyphen in a card": {"4242\u00ad4242\u00ad4242\u00ad4242", "[redacted:card]"},
		"percent":               {"user=dana%40acme.example", "user=[redacted:email]"},
		"escapes":               {`E'dana\x40acme.example' and {"m":"dana\u0040acme.example"}`, `E'[redacted:email]' and {"m":"[redacted:email]"}`},
		"base64":                {"decode('" + b64 + "','base64')", "decode('[redacted:github-token]','base64')"},
		"base64 for URLs":       {base64.RawURLEncoding.EncodeToString([]byte("??? " + token)), "[redacted:github-token]"},
		"hex":                   {`'\x` + hex.EncodeToString([]byte("dana@acme.example")) + "'", `'\[redacted:email]'`},
		"next to another":       {"AKIAIOSFODNN7EXAMPLE" + token, "[redacted:aws-key][redacted:github-token]"},
		"LIKE patterns":         {"LIKE '%dana%'", "LIKE '%dana%'"},
		"a digest":              {strings.Repeat("0a1b2c3d", 8), strings.Repeat("0a1b2c3d", 8)},
		"a path":                {"/usr/local/lib/python3/site-packages/x", "/usr/local/lib/python3/site-packages/x"},
		"what was scrubbed":     {"'‹text 17 #a1b2c3›' [redacted:email] d•••@•••.example", "'‹text 17 #a1b2c3›' [redacted:email] d•••@•••.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &eventv1.Record{Statement: tc.text}
			redactions := Deep(r)
			if r.Statement != tc.want {
				t.Errorf("got %s, want %s", r.Statement, tc.want)
			}
			if (len(redactions) > 0) != (tc.text != tc.want) {
				t.Errorf("redactions %v", redactions)
			}
		})
	}
}

func TestDeepLooksAtEveryTextField(t *testing.T) {
	r := &eventv1.Record{
		Statement: "a 4242424242424242", Parameters: []string{"1", "'dana@acme.example'"}, Reason: "ticket by dana@acme.example",
		Message: "password=hunter2", Details: map[string]string{"application_name": "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "account": "oidc:dana@acme.example"},
	}
	got := Deep(r)
	want := []Redaction{
		{"statement", []string{"card"}},
		{"parameters.1", []string{"email"}},
		{"reason", []string{"email"}},
		{"message", []string{"password"}},
		{"details.application_name", []string{"github-token"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Details["account"] != "oidc:dana@acme.example" {
		t.Error("an account in the details names a person, and stays")
	}
	if r.Parameters[0] != "1" || r.Parameters[1] != "'[redacted:email]'" {
		t.Errorf("parameters %v", r.Parameters)
	}
}

func TestDeepAcrossBorders(t *testing.T) {
	for name, tc := range map[string]struct{ in, want []string }{
		"a card in four":   {[]string{"'4242'", "'4242'", "'4242'", "'4242'"}, []string{"'[redacted:card]'", "'[redacted:card]'", "'[redacted:card]'", "'[redacted:card]'"}},
		"a token in two":   {[]string{"'key ghp_abcdefghijklmnop'", "'qrstuvwxyz0123456789 ok'"}, []string{"'key [redacted:github-token]'", "'[redacted:github-token] ok'"}},
		"an e-mail in two": {[]string{"dana@", "acme.example"}, []string{"[redacted:email]", "[redacted:email]"}},
		"a key in two":     {[]string{"'-----BEGIN PRIVATE KEY-----\nMIIE'", "'bcde\n-----END PRIVATE KEY-----\n'", "'x'"}, []string{"'[redacted:private-key]'", "'[redacted:private-key]\n'", "'x'"}},
		"with one empty":   {[]string{"dana@", "''", "acme.example"}, []string{"[redacted:email]", "''", "[redacted:email]"}},
		"nothing":          {[]string{"'a'", "42"}, []string{"'a'", "42"}},
	} {
		r := &eventv1.Record{Parameters: tc.in}
		Deep(r)
		if diff := cmp.Diff(tc.want, r.Parameters); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	r := &eventv1.Record{Reason: "ghp_abcdefghijklmnop", Message: "qrstuvwxyz0123456789"}
	if got := Deep(r); len(got) != 2 {
		t.Errorf("over fields: %v", got)
	}
}

func TestExposedNamesWhatCannotBeRedacted(t *testing.T) {
	r := &eventv1.Record{
		Objects: []*eventv1.Object{{Schema: "public", Name: "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}}, Database: "shop",
		Actor: "dana@acme.example", Principal: &eventv1.Principal{OnBehalfOf: "dana@acme.example", Agent: "AKIAIOSFODNN7EXAMPLE"},
	}
	want := []Redaction{{"objects.0", []string{"github-token"}}, {"principal.agent", []string{"aws-key"}}}
	if diff := cmp.Diff(want, Exposed(r)); diff != "" {
		t.Error(diff)
	}
}
