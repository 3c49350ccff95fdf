package masking

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/refusal"
)

const planRules = `masks:
  - {name: redact, column: t.redact, strategy: redact}
  - {name: partial, column: t.partial, strategy: partial}
  - {name: hash, column: t.hash, strategy: hash}
  - {name: token, column: t.token, strategy: token}
  - {name: nothing, column: t.nothing, strategy: null}
  - {name: clear, column: t.clear, strategy: clear}
  - {name: found, detectors: [email, password, card], strategy: redact}
`

func column(name string, kind Kind, binary bool) ResultColumn {
	return ResultColumn{Name: name, Origin: Column{"public", "t", name}, Kind: kind, Binary: binary}
}

func hexed(s string) string { return `\x` + hex.EncodeToString([]byte(s)) }

func TestPlanMasksByKindAndFormat(t *testing.T) {
	e := engine(t, planRules)
	hash, token := string(e.keys.hash([]byte("Dana"))), string(e.keys.token([]byte("Dana")))
	for name, tc := range map[string]struct {
		column   ResultColumn
		in, want string // want NULL: no value
	}{
		"redact text":                   {column("redact", KindText, false), "Dana", "[redacted]"},
		"redact text, binary":           {column("redact", KindText, true), "Dana", "[redacted]"},
		"redact empty":                  {column("redact", KindText, false), "", "[redacted]"},
		"redact json":                   {column("redact", KindJSON, false), `{"a":1}`, `"[redacted]"`},
		"redact jsonb, binary":          {column("redact", KindJSONB, true), "\x01{}", "\x01\"[redacted]\""},
		"redact bytea":                  {column("redact", KindBytes, false), `\x00`, hexed("[redacted]")},
		"redact bytea, binary":          {column("redact", KindBytes, true), "\x00", "[redacted]"},
		"redact number":                 {column("redact", KindOther, false), "42", "NULL"},
		"partial e-mail":                {column("partial", KindText, false), "dana@acme.example", "d•••@•••.example"},
		"partial e-mail of one letter":  {column("partial", KindText, false), "d@acme.example", "•••@•••.example"},
		"partial card":                  {column("partial", KindText, false), "4242 4242 4242 4242", "•••• 4242"},
		"partial phone":                 {column("partial", KindText, false), "+49 (170) 123-4567", "•••67"},
		"partial name":                  {column("partial", KindText, false), "Dana Smith", "D•••"},
		"partial name beyond ASCII":     {column("partial", KindText, false), "Ängström", "Ä•••"},
		"partial of little":             {column("partial", KindText, false), "Bo", "•••"},
		"partial json":                  {column("partial", KindJSON, false), `"Dana"`, `"[redacted]"`},
		"partial number":                {column("partial", KindOther, false), "42", "NULL"},
		"hash text":                     {column("hash", KindText, false), "Dana", hash},
		"hash jsonb, binary":            {column("hash", KindJSONB, true), "\x01Dana", "\x01\"" + hash + `"`},
		"hash number":                   {column("hash", KindOther, false), "42", "NULL"},
		"token text":                    {column("token", KindText, true), "Dana", token},
		"token bytea":                   {column("token", KindBytes, false), hexed("Dana"), hexed(token)},
		"null text":                     {column("nothing", KindText, false), "Dana", "NULL"},
		"null number, binary":           {column("nothing", KindOther, true), "\x00\x00\x00\x2a", "NULL"},
		"clear beats detectors":         {column("clear", KindText, false), "dana@acme.example", "dana@acme.example"},
		"detector in text":              {column("note", KindText, false), "ask dana@acme.example now", "ask [redacted:email] now"},
		"detector in clean text":        {column("note", KindText, false), "nothing here", "nothing here"},
		"detector skips numbers":        {column("note", KindOther, false), "4242424242424242", "4242424242424242"},
		"detector in json string":       {column("doc", KindJSON, false), `{ "m" : "dana@acme.example", "n":1 }`, `{ "m" : "[redacted:email]", "n":1 }`},
		"detector in json number":       {column("doc", KindJSON, false), `[4242424242424242,7]`, `["[redacted:card]",7]`},
		"detector in json key":          {column("doc", KindJSON, false), `{"dana@acme.example":1}`, `{"[redacted:email]":1}`},
		"detector by json key":          {column("doc", KindJSON, false), `{"password":"hunter2","user":"x"}`, `{"password":"[redacted:password]","user":"x"}`},
		"detector through json escapes": {column("doc", KindJSON, false), `["dana\u0040acme.example"]`, `["[redacted:email]"]`},
		"detector in jsonb, binary":     {column("doc", KindJSONB, true), "\x01[\"dana@acme.example\"]", "\x01[\"[redacted:email]\"]"},
		"jsonb of another version":      {column("doc", KindJSONB, true), "\x02[]", "NULL"},
		"detector in bytea":             {column("blob", KindBytes, false), hexed("x dana@acme.example"), hexed("[redacted:email]")},
		"detector in bytea, escapes":    {column("blob", KindBytes, false), `dana\100acme.example`, hexed("[redacted:email]")},
		"detector in bytea, binary":     {column("blob", KindBytes, true), "x dana@acme.example", "[redacted:email]"},
		"clean bytea":                   {column("blob", KindBytes, false), `\x00ff`, `\x00ff`},
		"broken bytea":                  {column("blob", KindBytes, false), `\x0g`, "NULL"},
		"tainted":                       {ResultColumn{Name: "x", Tainted: true, Kind: KindText}, "Dana", "[redacted]"},
		"tainted beats the strategy":    {ResultColumn{Name: "x", Tainted: true, Kind: KindText, Origin: Column{"public", "t", "partial"}}, "Dana", "[redacted]"},
		"tainted beats clear":           {ResultColumn{Name: "x", Tainted: true, Kind: KindText, Origin: Column{"public", "t", "clear"}}, "Dana", "[redacted]"},
		"tainted number":                {ResultColumn{Name: "x", Tainted: true}, "42", "NULL"},
		"another letter case":           {ResultColumn{Name: "x", Kind: KindText, Origin: Column{"public", "T", "REDACT"}}, "Dana", "[redacted]"},
		"alias":                         {ResultColumn{Name: "harmless", Kind: KindText, Origin: Column{"public", "t", "redact"}}, "Dana", "[redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := e.Plan("prod-db", []ResultColumn{tc.column})
			if err != nil {
				t.Fatal(err)
			}
			in := []byte(tc.in)
			masked, changed := p.Mask(0, in)
			got := string(masked)
			if masked == nil {
				got = "NULL"
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if changed != (tc.in != tc.want) {
				t.Errorf("changed is %v", changed)
			}
			if string(in) != tc.in {
				t.Error("the input was altered")
			}
			if p.Untouched(0) && changed {
				t.Error("an untouched column changed")
			}
		})
	}
}

func TestPlanRefusesBinaryOfOtherTypes(t *testing.T) {
	e := engine(t, planRules)
	for _, name := range []string{"redact", "partial", "hash", "token"} {
		_, err := e.Plan("prod-db", []ResultColumn{column("note", KindText, true), column(name, KindOther, true)})
		var r *refusal.Refusal
		if !errors.As(err, &r) || r.Code != refusal.BinaryMasked || !strings.Contains(r.Hint, name+"::text") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := e.Plan("prod-db", []ResultColumn{{Name: "sum", Tainted: true, Binary: true}})
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		t.Errorf("tainted: %v", err)
	}
}

func TestPlanPassesWhatNoMaskTouches(t *testing.T) {
	e := engine(t, "masks:\n  - {name: a, targets: [prod-db], column: t.redact, strategy: redact}\n")
	columns := []ResultColumn{column("other", KindText, false), column("number", KindOther, true), {Name: "computed", Kind: KindJSON}}
	for _, target := range []string{"prod-db", "staging"} {
		p, err := e.Plan(target, columns)
		if err != nil || p.Any() || !p.Untouched(0) || !p.Untouched(1) || !p.Untouched(2) {
			t.Errorf("%s: %v %+v", target, err, p)
		}
	}
	p, err := e.Plan("prod-db", append(columns, column("redact", KindText, false)))
	if err != nil || !p.Any() || !p.Untouched(0) || p.Untouched(3) {
		t.Errorf("%v %+v", err, p)
	}
}

func TestWithoutKeyHashAndTokenRedact(t *testing.T) {
	e, err := Compile(map[string][]byte{"m.yaml": []byte(planRules)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Plan("x", []ResultColumn{column("hash", KindText, false), column("token", KindText, false)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if got, _ := p.Mask(i, []byte("Dana")); string(got) != "[redacted]" {
			t.Errorf("column %d: %s", i, got)
		}
	}
	if _, err := e.Detokenise("gst_x"); !errors.Is(err, ErrToken) {
		t.Error(err)
	}
}

func TestDetectorStrategies(t *testing.T) {
	for strategy, want := range map[string]string{
		"partial": "a d•••@•••.example b •••• 4242", "redact": "a [redacted:email] b [redacted:card]", "null": "NULL",
	} {
		e := engine(t, "masks:\n  - {name: a, detectors: [email, card], strategy: "+strategy+"}\n")
		p, err := e.Plan("x", []ResultColumn{{Kind: KindText}})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := p.Mask(0, []byte("a dana@acme.example b 4242424242424242"))
		if got == nil {
			got = []byte("NULL")
		}
		if string(got) != want {
			t.Errorf("%s: %s", strategy, got)
		}
	}
	e := engine(t, "masks:\n  - {name: a, detectors: [secrets], strategy: partial}\n")
	p, err := e.Plan("x", []ResultColumn{{Kind: KindText}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := p.Mask(0, []byte("k AKIAIOSFODNN7EXAMPLE")); !bytes.Equal(got, []byte("k [redacted:aws-key]")) {
		t.Errorf("part of a secret is no hint: %s", got)
	}
}
