package session_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/allowance"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

var masked = command.Column{Schema: "public", Table: "customers", Name: "email"}

// comparing is a read that uses the masked column in a way.
func comparing(use command.Use) *seam.Command {
	c := read()
	c.Text = "SELECT id FROM customers WHERE …"
	c.Facts.Compared = []command.Compared{{Comparison: command.Comparison{Column: masked, Use: use}, Mask: masked, Same: true}}
	return c
}

// lookup asks for one value.
func lookup(value string) *seam.Command {
	c := comparing(command.Equality)
	c.Facts.Compared[0].Parameter = 1
	c.Parameters = []command.Parameter{{Type: 25, Value: []byte(value)}}
	return c
}

func guarded(t *testing.T, compare string) *world {
	t.Helper()
	w := newWorld(t)
	w.gate.Compared = &allowance.Book{}
	w.gate.Compared.Connect(w.bus)
	w.publish("masking", map[string]string{"a.yaml": "masks:\n  - {name: email, column: public.customers.email, strategy: redact, compare: " + compare + "}\n"})
	return w
}

// TestRedteam13_OraclesAreRefused: policy allows every read; masks do not.
func TestRedteam13_OraclesAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		compare string
		allowed []command.Use
	}{
		"default": {"{}", []command.Use{command.Join, command.Group, command.Null}},
		"none":    {"{allow: []}", nil},
		"some":    {"{allow: [pattern]}", []command.Use{command.Pattern}},
		"all":     {"{otherwise: allow}", command.Uses()},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, tc.compare).open()
			for _, use := range command.Uses() {
				if use == command.Equality {
					continue
				}
				c := comparing(use)
				_, err := s.Admit(t.Context(), c)
				early := s.Precheck(c)
				if strings.Contains(fmt.Sprint(tc.allowed), string(use)) {
					must(t, err)
					must(t, early)
					continue
				}
				refused(t, early, refusal.ComparisonMasked)
				r := refused(t, err, refusal.ComparisonMasked)
				if !strings.Contains(r.Message, "public.customers.email is masked") || r.Detail == "" || r.Hint == "" || r.Rule != "reads" || r.ID == "" {
					t.Errorf("%s: the refusal does not teach: %+v", use, r)
				}
			}
			for _, use := range []command.Use{command.Join, command.Group} {
				c := comparing(use)
				c.Facts.Compared[0].Same = false
				if _, err := s.Admit(t.Context(), c); name != "all" {
					refused(t, err, refusal.ComparisonMasked)
				}
			}
		})
	}
}

// TestRedteam13_WhatDerivesFromAnyMaskIsRefused: a mask that cannot be told
// allows nothing.
func TestRedteam13_WhatDerivesFromAnyMaskIsRefused(t *testing.T) {
	s := guarded(t, "{}").open()
	c := comparing(command.Null)
	c.Facts.Compared[0].Mask = command.Column{}
	_, err := s.Admit(t.Context(), c)
	refused(t, err, refusal.ComparisonMasked)
}

// TestATypoIsToldAsOne: a text that does not parse might compare anything, and is
// not run where there are masks; what is said of it is what the parser says.
func TestATypoIsToldAsOne(t *testing.T) {
	s := guarded(t, "{}").open()
	c := read()
	c.Facts.Unknown, c.Facts.Why = []string{"verb"}, `the command text cannot be parsed: syntax error at or near "selec"`
	c.Facts.Compared = []command.Compared{{Comparison: command.Comparison{Use: command.Other}, Same: true}}
	_, err := s.Admit(t.Context(), c)
	r := refused(t, err, refusal.CommandUnknown)
	if r.Message != c.Facts.Why || strings.Contains(r.Hint, "$1") || !strings.Contains(r.Detail, "masked") {
		t.Errorf("%+v", r)
	}
	c.Facts.Unknown = []string{"comparisons"}
	_, err = s.Admit(t.Context(), c)
	if r := refused(t, err, refusal.ComparisonMasked); strings.Contains(r.Hint, "$1") || !strings.Contains(r.Hint, "hold") {
		t.Errorf("no column is known that a value could be looked up in: %q", r.Hint)
	}
}

func TestRedteam13_EqualityIsCounted(t *testing.T) {
	w := guarded(t, "{values_per_day: 3}")
	s := w.open()
	for _, v := range []string{"a", "b", "a", "c", "c", "b"} {
		_, err := s.Admit(t.Context(), lookup(v))
		must(t, err)
	}
	_, err := s.Admit(t.Context(), lookup("d"))
	r := refused(t, err, refusal.ComparisonLimit)
	if !strings.Contains(r.Message, "3 different values") {
		t.Error(r.Message)
	}
	again := w.open() // another session of another run
	_, err = again.Admit(t.Context(), lookup("e"))
	refused(t, err, refusal.ComparisonLimit)
	literal := lookup("")
	literal.Text = `SELECT id FROM customers WHERE email = 'a'`
	literal.Facts.Literals = []command.Literal{{Start: 39, End: 42, Text: true}}
	literal.Facts.Compared[0].Parameter, literal.Facts.Compared[0].Literal, literal.Parameters = 0, 1, nil
	_, err = again.Admit(t.Context(), literal) // the same value as the parameter's
	must(t, err)
	null := lookup("")
	null.Parameters[0].Value = nil
	_, err = again.Admit(t.Context(), null)
	must(t, err)
	missing := lookup("")
	missing.Parameters = nil
	must(t, again.Precheck(missing)) // Parse: nothing is counted, nothing is refused
	_, err = again.Admit(t.Context(), missing)
	refused(t, err, refusal.ComparisonMasked)
}

func TestRedteam13_NothingIsComparedThatCannotBeCounted(t *testing.T) {
	w := guarded(t, "{}")
	w.gate.Compared = &allowance.Book{} // the bus is away
	_, err := w.open().Admit(t.Context(), lookup("a"))
	refused(t, err, refusal.BusUnavailable)
	for _, r := range w.sink.all() {
		if strings.Contains(r.Statement, "'a'") {
			t.Error("the record has the value")
		}
	}
}

// TestAPersonDecidesWhatMasksDoNotAllow: a hold that policy demands goes to its
// approvers, unless the mask denies for good.
func TestAPersonDecidesWhatMasksDoNotAllow(t *testing.T) {
	w := guarded(t, "{}")
	s := w.open()
	held := write()
	held.Facts.Compared = comparing(command.Pattern).Facts.Compared
	done := make(chan error, 1)
	go func() {
		_, err := s.Admit(t.Context(), held)
		done <- err
	}()
	w.decide(w.approvals, w.decision(<-w.requests))
	must(t, <-done)

	s = guarded(t, "{otherwise: deny}").open()
	_, err := s.Admit(t.Context(), held)
	refused(t, err, refusal.ComparisonMasked)
}

// TestTokensAreTranslated: what was approved is what the client sent; the
// target gets the value, and the record says so.
func TestTokensAreTranslated(t *testing.T) {
	w := guarded(t, "{values_per_day: 1}")
	w.publish("masking", map[string]string{"a.yaml": "masks:\n  - {name: email, column: public.customers.email, strategy: token, translate: true, compare: {values_per_day: 1}}\n"})
	engine := w.gate.Masking.Current().Engine
	plan, err := engine.Plan("prod-db", []masking.ResultColumn{{Name: "email", Origin: masking.Column{Schema: "public", Table: "customers", Name: "email"}, Kind: masking.KindText}})
	must(t, err)
	s := w.open()
	for _, value := range []string{"ada@example.com", "grace@example.com"} { // more than a day's values: a token is no guess
		token, _ := plan.Mask(0, []byte(value))
		c := lookup(string(token))
		c.Facts.Compared[0].Alone = true
		p, err := s.Admit(t.Context(), c)
		must(t, err)
		if got := string(p.Translated()[0]); got != value {
			t.Errorf("%s is translated to %q", token, got)
		}
		must(t, p.Durable(t.Context()))
		p.Done(seam.Outcome{Status: "ok"})

		write := write()
		write.Text = "UPDATE customers SET email = '" + string(token) + "'"
		_, err = s.Admit(t.Context(), write) // held otherwise
		refused(t, err, refusal.MaskWrittenBack)
		refused(t, s.Precheck(write), refusal.MaskWrittenBack)
	}
	s.Close("over")
	var said int
	for _, r := range w.sink.all() {
		if r.Details["translated"] == "$1" {
			said++
		}
		for _, p := range append(r.Parameters, r.Statement) {
			if strings.Contains(p, "@example.com") {
				t.Errorf("the record has the value: %s", p)
			}
		}
	}
	if said != 2 {
		t.Errorf("%d records say that a parameter was translated", said)
	}
}

// TestTheRuleThatDecidesWhatIsUnknownIsNamed: the words and the line for machines
// say the same.
func TestTheRuleThatDecidesWhatIsUnknownIsNamed(t *testing.T) {
	w := newWorld(t)
	reads, _, _ := strings.Cut(rules, "  - name: writes")
	w.publish("policy", map[string]string{"a.yaml": reads})
	c := read()
	c.Facts.Class, c.Facts.Unknown, c.Facts.Why = command.Unknown, []string{"class"}, "f() is not known"
	_, err := w.open().Admit(t.Context(), c)
	if r := refused(t, err, refusal.CommandUnknown); r.Rule != "" || !strings.Contains(r.Message, "so no rule allows it: f() is not known") {
		t.Errorf("%+v", r)
	}
	w.publish("policy", map[string]string{"a.yaml": reads + "  - {name: no-schema-changes, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'command.class == \"ddl\"'}\n"})
	_, err = w.open().Admit(t.Context(), c)
	if r := refused(t, err, refusal.CommandUnknown); r.Rule != "no-schema-changes" || strings.Contains(r.Message, "no rule allows") || !strings.Contains(r.Message, `"no-schema-changes"`) {
		t.Errorf("%+v", r)
	}
}
