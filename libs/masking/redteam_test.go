package masking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const planted = "dana.secret@acme.example"

// What the catalog says counts, not what the result calls a column.
func TestRedteam13_AliasAndExpressionDoNotEscapeTheMask(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: public.customers.email, strategy: partial}\n  - {name: b, column: public.customers.city, strategy: clear}\n")
	email := Column{"public", "customers", "email"}
	for name, c := range map[string]ResultColumn{
		"alias of another column":           {Name: "city", Origin: email, Kind: KindText},
		"no name":                           {Name: "", Origin: email, Kind: KindText},
		"substring, tainted":                {Name: "substr", Tainted: true, Kind: KindText},
		"row_to_json, tainted":              {Name: "row_to_json", Tainted: true, Kind: KindJSON},
		"array, tainted, no text":           {Name: "array_agg", Tainted: true},
		"tainted under a clear column":      {Name: "city", Tainted: true, Origin: Column{"public", "customers", "city"}, Kind: KindText},
		"tainted bytes":                     {Name: "convert_to", Tainted: true, Kind: KindBytes, Binary: true},
		"tainted jsonb in binary":           {Name: "to_jsonb", Tainted: true, Kind: KindJSONB, Binary: true},
		"a partition's letters, other case": {Name: "x", Origin: Column{"PUBLIC", "Customers", "Email"}, Kind: KindText},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := e.Plan("prod-db", []ResultColumn{c})
			if err != nil {
				t.Fatal(err)
			}
			cell := []byte(planted)
			if c.Kind == KindJSONB && c.Binary {
				cell = []byte("\x01\"" + planted + "\"")
			}
			masked, changed := p.Mask(0, cell)
			if !changed || strings.Contains(string(masked), "secret") || strings.Contains(string(masked), "acme") {
				t.Errorf("got %s", masked)
			}
		})
	}
}

// A token that is written back is recognised as one: it must not pass for data.
func TestRedteam13_TokensAreRecognised(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: t.c, strategy: token}\n")
	token := string(e.keys.token([]byte(planted)))
	if !IsToken(token) || IsToken(token[:len(token)-1]) || IsToken("gst_"+strings.Repeat("a", 60)) || IsToken(planted) {
		t.Error("tokens are not told from other text")
	}
}

func TestRedteam14_EveryFormatIsMaskedOrRefused(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: t.c, strategy: redact}\n  - {name: b, detectors: [all], strategy: redact}\n")
	for _, origin := range []Column{{"s", "t", "c"}, {"s", "t", "other"}} {
		for _, kind := range []Kind{KindOther, KindText, KindJSON, KindJSONB, KindBytes, KindWordless} {
			for _, binary := range []bool{false, true} {
				p, err := e.Plan("x", []ResultColumn{{Origin: origin, Kind: kind, Binary: binary}})
				if err != nil {
					if !binary || kind != KindOther && (kind != KindWordless || origin.Name == "other") {
						t.Errorf("kind %d, binary %v: %v", kind, binary, err)
					}
					continue
				}
				if kind == KindOther && binary {
					t.Errorf("%v: what may hold text passes in binary", origin)
				}
				if (kind == KindWordless || kind == KindOther && !binary) && origin.Name == "other" {
					continue // numbers and dates are shown to no detector
				}
				plain := []byte(`"` + planted + `"`)
				cell := plain
				switch {
				case kind == KindJSONB && binary:
					cell = append([]byte{1}, plain...)
				case kind == KindBytes && !binary:
					cell = encode(kind, false, plain)
				}
				masked, changed := p.Mask(0, cell)
				shown, _ := decode(kind, binary, masked)
				if !changed || strings.Contains(string(shown), "secret") {
					t.Errorf("%v, kind %d, binary %v: %q", origin, kind, binary, masked)
				}
			}
		}
	}
}

func TestRedteam14_ErrorsAndNoticesCarryNoValue(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: customers.name, strategy: redact}\n")
	for _, text := range []string{
		"Key (name)=(Dana Secret) already exists.", `invalid input syntax for type integer: "Dana Secret"`, `relation "Dana Secret" does not exist`,
		"Failing row contains (7, Dana Secret).", `COPY customers, line 1, column id: "Dana Secret"`, "JSON data, line 1: Dana Secret", `value "Dana Secret" is out of range for type integer`,
		`invalid input value for enum mood: "Dana Secret"`, `time zone "Dana Secret" not recognized`, `role "Dana Secret" does not exist`, `unrecognized configuration parameter "Dana Secret"`,
		"Key (id, lower(name))=(7, Dana Secret) conflicts with existing key (id, lower(name))=(8, Dana Secret).",
	} {
		if got := e.ScrubError("x", text, "SELECT name::regclass FROM customers"); strings.Contains(got, "Dana") {
			t.Errorf("%s", got)
		}
	}
}

func TestRedteam15_SecretsInTextParametersAndErrorsAreNotRecorded(t *testing.T) {
	e := engine(t, "masks: []\n")
	for name, secret := range map[string]string{
		"e-mail": planted, "card": "4242 4242 4242 4242", "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "aws": "AKIAIOSFODNN7EXAMPLE",
		"jwt": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJkYW5hIn0.c2lnbmF0dXJl", "key": "-----BEGIN PRIVATE KEY-----\nMIIEsecret\n-----END PRIVATE KEY-----", "slack": "xoxb-123456789012-abcdefABCDEF",
	} {
		t.Run(name, func(t *testing.T) {
			read := &command.Facts{Verb: "select", Class: command.Read}
			for where, got := range map[string]string{
				"literal":       e.ScrubStatement("x", "SELECT '"+secret+"'", read),
				"unparsed":      e.ScrubStatement("x", "SELEC "+secret, nil),
				"comment":       e.ScrubStatement("x", "SELECT 1 /* "+secret+" */", read),
				"identifier":    e.ScrubStatement("x", `SELECT 1 AS "`+secret+`"`, read),
				"function body": e.ScrubStatement("x", "DO $$ BEGIN PERFORM f("+secret+"); END $$", &command.Facts{Verb: "do", Class: command.Unknown}),
				"connection":    e.ScrubStatement("x", "SELECT dblink('host=db password="+secret+"')", read),
				"parameter":     e.ScrubParameter("x", command.Parameter{Type: oidText, Value: []byte(secret)}, ""),
				"binary json":   e.ScrubParameter("x", command.Parameter{Type: oidJSONB, Format: 1, Value: []byte("\x01[\"" + strings.ReplaceAll(secret, "\n", "\\n") + "\"]")}, ""),
				"bytes":         e.ScrubParameter("x", command.Parameter{Type: oidBytes, Format: 1, Value: []byte(secret)}, ""),
				"error":         e.ScrubError("x", "boom: "+secret),
			} {
				if strings.Contains(got, secret) || strings.Contains(got, hex.EncodeToString([]byte(secret))) {
					t.Errorf("%s: %s", where, got)
				}
			}
		})
	}
}

// Who has the records and not the key cannot try all card numbers: neither tags
// nor hashes are plain digests, and a tag is too short to tell a guess by.
func TestRedteam17_ScrubbedCardCannotBeGuessedBack(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: t.card, strategy: hash}\n")
	const number = "4242424242424242"
	tag := e.scrubbed("text", number)
	p, err := e.Plan("x", []ResultColumn{{Origin: Column{"", "t", "card"}, Kind: KindText}})
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := p.Mask(0, []byte(number))
	plain := sha256.Sum256([]byte(number))
	keyless := hmac.New(sha256.New, nil)
	keyless.Write([]byte(number))
	for _, guess := range []string{hex.EncodeToString(plain[:3]), hex.EncodeToString(keyless.Sum(nil)[:3])} {
		if strings.Contains(tag, guess) || strings.Contains(string(hash), guess) {
			t.Errorf("a digest without a key shows: %s %s", tag, hash)
		}
	}
	if strings.Contains(string(hash), strings.Trim(strings.Split(tag, "#")[1], "›")) {
		t.Error("the tag is a part of the hash: whoever sees both joins them")
	}
	other, err := e.WithKey([32]byte{42})
	if err != nil {
		t.Fatal(err)
	}
	if other.scrubbed("text", number) == tag {
		t.Error("the tag does not depend on the key")
	}
}

// An attacker who plants text that looks masked must not silence a detector.
func TestRedteam15_LookingMaskedHidesNothing(t *testing.T) {
	for _, text := range []string{"[redacted:email]" + planted, "•••" + planted, "‹text 9 #a1b2c3›" + planted, "gst_" + planted, planted + "•••", "password=[redacted:password] password=dana@x.example"} {
		r := &eventv1.Record{Statement: text}
		if Deep(r); strings.Contains(r.Statement, planted) || strings.Contains(r.Statement, "dana@") {
			t.Errorf("%s", r.Statement)
		}
	}
	for _, prefix := range []string{"[redacted", "‹", "•", "<", "*", "%", "{"} {
		r := &eventv1.Record{Statement: fmt.Sprintf("password=%shunter2-long-enough", prefix)}
		if Deep(r); strings.Contains(r.Statement, "hunter2") {
			t.Errorf("a password that begins with %q is taken for a placeholder: %s", prefix, r.Statement)
		}
	}
}
