package masking

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
)

const tokenMasks = `masks:
  - {name: email, column: public.customers.email, strategy: token, translate: true}
  - {name: phone, column: public.customers.phone, strategy: token}
  - {name: note, column: public.customers.note, strategy: partial}
`

func updating(column string) *command.Facts {
	return &command.Facts{Verb: "update", Class: command.Write, ParameterColumns: []string{column}}
}

// TestRedteam13_WhatAMaskMadeIsNotWrittenBack in any form or place.
func TestRedteam13_WhatAMaskMadeIsNotWrittenBack(t *testing.T) {
	e := engine(t, tokenMasks)
	token := string(e.keys.token([]byte("ada@example.com")))
	hash := string(e.keys.hash([]byte("ada@example.com")))
	for name, tc := range map[string]struct {
		column, value string
		refused       bool
	}{
		"a token":                     {"email", token, true},
		"for another column":          {"name", token, true},
		"for a column not known":      {"", token, true},
		"inside a text":               {"name", "mail " + token + ", please", true},
		"inside JSON":                 {"doc", `{"email":"` + token + `"}`, true},
		"a hash":                      {"name", hash, true},
		"a hint":                      {"email", "a•••@•••.example", true},
		"a card's hint":               {"note", "•••• 4242", true},
		"a constant":                  {"email", "[redacted]", true},
		"a detector's constant":       {"note", "paid with [redacted:card]", true},
		"no check":                    {"email", TokenPrefix + strings.Repeat("a", 40), false},
		"a cut token":                 {"email", token[:len(token)-1], false},
		"a word that begins like one": {"email", "gst_rate", false},
		"a hint elsewhere":            {"name", "a•••@•••.example", false},
		"a constant elsewhere":        {"name", "[redacted]", false},
		"an address":                  {"email", "ada@example.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := updating(tc.column)
			for format := range int16(2) {
				r := e.WrittenBack("x", "UPDATE customers SET x = $1", []command.Parameter{{Type: 25, Format: format, Value: []byte(tc.value)}}, f, nil)
				if (r != nil) != tc.refused || r != nil && r.Code != refusal.MaskWrittenBack {
					t.Errorf("as a parameter: %v", r)
				}
			}
			for _, quoted := range []string{"'" + tc.value + "'", "E'" + strings.ReplaceAll(tc.value, "gst_", `gst\x5f`) + "'", "$a$" + tc.value + "$a$"} {
				text := "UPDATE customers SET x = " + quoted
				f := &command.Facts{Verb: "update", Class: command.Write, Literals: []command.Literal{{Start: 25, End: len(text), Column: tc.column, Text: true}}}
				if r := e.WrittenBack("x", text, nil, f, nil); (r != nil) != tc.refused {
					t.Errorf("as %s: %v", quoted, r)
				}
				f.Class = command.Read
				if r := e.WrittenBack("x", text, nil, f, nil); r != nil {
					t.Errorf("in a read: %v", r)
				}
			}
		})
	}
}

func TestRedteam13_TokensAreTranslatedInOneEqualityOnly(t *testing.T) {
	e := engine(t, tokenMasks)
	token := e.keys.token([]byte("ada@example.com"))
	other, err := (&Engine{rules: e.rules, targets: e.targets}).WithKey([32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	email, phone := command.Column{Schema: "public", Table: "customers", Name: "email"}, command.Column{Schema: "public", Table: "customers", Name: "phone"}
	compared := func(use command.Use, mask command.Column, alone bool) []command.Compared {
		return []command.Compared{{Comparison: command.Comparison{Column: mask, Use: use, Parameter: 1, Alone: alone}, Mask: mask, Same: true}}
	}
	for name, tc := range map[string]struct {
		verb      string
		parameter command.Parameter
		compared  []command.Compared
		want      bool
	}{
		"text":            {"select", command.Parameter{Value: token}, compared(command.Equality, email, true), true},
		"binary text":     {"select", command.Parameter{Type: 25, Format: 1, Value: token}, compared(command.Equality, email, true), true},
		"in a write":      {"update", command.Parameter{Value: token}, compared(command.Equality, email, true), true},
		"binary bytea":    {"select", command.Parameter{Type: 17, Format: 1, Value: token}, compared(command.Equality, email, true), false},
		"elsewhere, too":  {"select", command.Parameter{Value: token}, compared(command.Equality, email, false), false},
		"not said":        {"select", command.Parameter{Value: token}, compared(command.Equality, phone, true), false},
		"a range":         {"select", command.Parameter{Value: token}, compared(command.Range, email, true), false},
		"a plan shows it": {"explain", command.Parameter{Value: token}, compared(command.Equality, email, true), false},
		"part of a text":  {"select", command.Parameter{Value: append([]byte("x"), token...)}, compared(command.Equality, email, true), false},
		"another key's":   {"select", command.Parameter{Value: other.keys.token([]byte("x"))}, compared(command.Equality, email, true), false},
		"not compared":    {"select", command.Parameter{Value: token}, nil, false},
		"a value":         {"select", command.Parameter{Value: []byte("ada@example.com")}, compared(command.Equality, email, true), false},
		"NULL":            {"select", command.Parameter{}, compared(command.Equality, email, true), false},
	} {
		t.Run(name, func(t *testing.T) {
			var want map[int][]byte
			if tc.want {
				want = map[int][]byte{0: []byte("ada@example.com")}
			}
			got := e.Translate("x", []command.Parameter{tc.parameter}, &command.Facts{Verb: tc.verb, Compared: tc.compared})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	lenient := engine(t, tokenMasks+"  - {name: e2, column: customers.email, strategy: token}\n")
	if got := lenient.Translate("x", []command.Parameter{{Value: token}}, &command.Facts{Verb: "select", Compared: compared(command.Equality, email, true)}); got != nil {
		t.Error("one of two masks says nothing of translating")
	}
}

// TestTokensAreToldFromText: what nobody's mask made is no token.
func TestTokensAreToldFromText(t *testing.T) {
	e := engine(t, tokenMasks)
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		token := e.keys.token(value)
		before, after := rapid.StringN(0, 9, -1).Draw(t, "before"), rapid.SampledFrom([]string{"", " ", ",", `"`, "_"}).Draw(t, "after")
		if !holdsToken([]byte(before + string(token) + after)) {
			t.Fatalf("%s is not found", token)
		}
		token[len(TokenPrefix)+rapid.IntRange(0, len(token)-len(TokenPrefix)-2).Draw(t, "at")] ^= 1
		if holdsToken(token) {
			t.Fatalf("%s is damaged and found", token)
		}
	})
}
