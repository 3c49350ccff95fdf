package masking

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// secrets draws a secret that some detector must find anywhere in a text.
func secrets() *rapid.Generator[string] {
	alpha := func(n int) *rapid.Generator[string] { return rapid.StringMatching(fmt.Sprintf("[A-Za-z0-9]{%d}", n)) }
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 0:
			return rapid.StringMatching(`[a-z]{3,9}\.[a-z]{2,9}@[a-z]{3,9}\.example`).Draw(t, "email")
		case 1:
			return card(t)
		case 2:
			return "ghp_" + alpha(36).Draw(t, "github")
		case 3:
			return "AKIA" + rapid.StringMatching("[A-Z2-7]{16}").Draw(t, "aws")
		case 4:
			return "eyJhbGciOiJSUzI1NiJ9.eyJ" + alpha(20).Draw(t, "jwt") + "." + alpha(20).Draw(t, "signature")
		case 5:
			return "-----BEGIN PRIVATE KEY-----\n" + alpha(64).Draw(t, "key") + "\n-----END PRIVATE KEY-----"
		case 6:
			return "glpat-" + alpha(20).Draw(t, "gitlab")
		case 7:
			return "sk_live_" + alpha(24).Draw(t, "stripe")
		default:
			return "AIza" + alpha(35).Draw(t, "google")
		}
	})
}

// card draws a Visa number with a right check digit.
func card(t *rapid.T) string {
	d := []byte("4" + rapid.StringMatching("[0-9]{14}").Draw(t, "card"))
	for c := byte('0'); c <= '9'; c++ {
		if luhn(append(d, c)) {
			return string(append(d, c))
		}
	}
	panic("no check digit")
}

// around draws text that neither ends nor begins with a letter or digit, so
// that what stands next to it keeps its borders.
func around() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		inner := rapid.StringMatching(`[a-zäß •,;:/=\-0-9]{0,20}`).Draw(t, "around")
		return " " + inner + " "
	})
}

func TestNoSecretSurvivesInAnyKind(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, detectors: [all], strategy: redact}\n")
	p, err := e.Plan("x", []ResultColumn{{Kind: KindText}, {Kind: KindJSON}, {Kind: KindJSONB, Binary: true}, {Kind: KindBytes}, {Kind: KindBytes, Binary: true}})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		secret := secrets().Draw(t, "secret")
		text := around().Draw(t, "before") + secret + around().Draw(t, "after")
		doc, err := json.Marshal(map[string]any{"k": []string{"x", text}, "n": 1})
		if err != nil {
			t.Fatal(err)
		}
		for i, cell := range [][]byte{[]byte(text), doc, append([]byte{1}, doc...), encode(KindBytes, false, []byte(text)), []byte(text)} {
			before := bytes.Clone(cell)
			masked, changed := p.Mask(i, cell)
			if !changed || bytes.Contains(masked, []byte(secret)) {
				t.Fatalf("column %d: %s", i, masked)
			}
			if !bytes.Equal(before, cell) {
				t.Fatal("the input was altered")
			}
			switch i {
			case 0:
				if again, changed := p.Mask(0, masked); changed {
					t.Fatalf("masking twice: %s, then %s", masked, again)
				}
			case 1, 2:
				if !json.Valid(masked[i-1:]) {
					t.Fatalf("no JSON any more: %s", masked)
				}
			case 3:
				if plain, ok := unescape(masked); !ok || bytes.Contains(plain, []byte(secret)) {
					t.Fatalf("bytea: %s", masked)
				}
			}
		}
	})
}

// Whatever the JSON is, it stays JSON, and what is clean keeps its bytes.
func TestJSONStaysJSON(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, detectors: [all], strategy: redact}\n")
	p, err := e.Plan("x", []ResultColumn{{Kind: KindJSON}})
	if err != nil {
		t.Fatal(err)
	}
	value := rapid.OneOf(rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(secrets(), func(s string) any { return s }), rapid.Map(rapid.Float64(), func(f float64) any { return f }))
	rapid.Check(t, func(t *rapid.T) {
		doc, err := json.MarshalIndent(map[string]any{rapid.String().Draw(t, "key"): rapid.SliceOf(value).Draw(t, "values"), "password": value.Draw(t, "password")}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		masked, changed := p.Mask(0, doc)
		if !json.Valid(masked) {
			t.Fatalf("from %s\nto %s", doc, masked)
		}
		if !changed && !bytes.Equal(doc, masked) {
			t.Fatal("changed without saying so")
		}
	})
}

func TestTokensRoundTripAndNothingElseDoes(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: t.c, strategy: token}\n")
	other, err := e.WithKey([32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan("x", []ResultColumn{{Kind: KindText, Origin: Column{"", "t", "c"}}})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		token, _ := p.Mask(0, value)
		again, _ := p.Mask(0, value)
		if !bytes.Equal(token, again) || !IsToken(string(token)) {
			t.Fatalf("token %s, then %s", token, again)
		}
		back, err := e.Detokenise(string(token))
		if err != nil || !bytes.Equal(back, value) {
			t.Fatalf("back: %q, %v", back, err)
		}
		if _, err := other.Detokenise(string(token)); !errors.Is(err, ErrToken) {
			t.Fatal("another key opened it")
		}
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		forged := bytes.Clone(token)
		forged[at] = "abcdefghijklmnopqrstuvwxyz234567"[(int(forged[at])+rapid.IntRange(1, 31).Draw(t, "by"))%32]
		if bytes.Equal(forged, token) {
			return
		}
		if got, err := e.Detokenise(string(forged)); err == nil && !bytes.Equal(got, value) {
			t.Fatalf("a forged token opened: %s", forged)
		}
	})
}

// A scrubbed statement never holds the literal, wherever it stands and whether
// or not the statement could be parsed.
func TestScrubbedStatementHoldsNoLiteral(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, column: public.customers.email, strategy: redact}\n")
	rapid.Check(t, func(t *rapid.T) {
		value := "s€cret-" + rapid.StringMatching(`[a-zäöß' \\"0-9-]{4,20}`).Draw(t, "value")
		literal := "'" + strings.ReplaceAll(value, "'", "''") + "'"
		if rapid.Bool().Draw(t, "dollar") && !strings.Contains(value, "$") {
			literal = "$q$" + value + "$q$"
		}
		prefix := rapid.StringMatching(`SELECT [a-zäöü]{1,8} FROM customers WHERE ([a-z]{1,5} = 4[0-9]{1,3} AND )?email (=|<>) `).Draw(t, "prefix")
		text := prefix + literal + rapid.SampledFrom([]string{"", " -- it's ok", " /* ' */", " AND true"}).Draw(t, "suffix")
		facts := &command.Facts{
			Verb: "select", Class: command.Read, Columns: []command.Column{{Name: "email"}},
			Literals: []command.Literal{{Start: len(prefix), End: len(prefix) + len(literal), Text: true, Column: rapid.SampledFrom([]string{"", "email"}).Draw(t, "column")}},
		}
		for name, f := range map[string]*command.Facts{"parsed": facts, "unparsed": nil, "offsets that do not fit": {
			Verb: "select", Class: command.Read, Literals: []command.Literal{{Start: len(prefix) + 3, End: len(text) + 9, Text: true}},
		}} {
			got := e.ScrubStatement("x", text, f)
			if strings.Contains(got, "s€cret") || strings.Contains(got, value[len("s€cret-"):]) && len(value) > 14 {
				t.Fatalf("%s: %s\nfrom %s", name, got, text)
			}
		}
	})
}

func TestDeepIsIdempotent(t *testing.T) {
	text := rapid.OneOf(secrets(), around(), rapid.String(), rapid.SampledFrom([]string{"password=", "'", "4242", "ghp_", "dana", "@acme.example", "%40", "\\u0040", "||"}))
	rapid.Check(t, func(t *rapid.T) {
		join := func(label string) string { return strings.Join(rapid.SliceOfN(text, 0, 4).Draw(t, label), "") }
		r := &eventv1.Record{
			Statement: join("statement"), Reason: join("reason"), Message: join("message"),
			Parameters: []string{join("p0"), join("p1")}, Details: map[string]string{"a": join("a"), "b": join("b")},
		}
		Deep(r)
		first := r.String()
		if again := Deep(r); len(again) != 0 {
			t.Fatalf("again: %v\n%s\n%s", again, first, r.String())
		}
	})
}
