package session_test

import (
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
	shared "github.com/gatestay/gatestay/libs/copied"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/services/gateway/internal/copied"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// copies is a write that stores a masked column elsewhere.
func copies() *seam.Command {
	c := write()
	c.Text = "INSERT INTO archive SELECT email FROM customers"
	c.Facts.Copies = []command.Copy{{
		From: command.Column{Schema: "public", Table: "customers", Name: "email"},
		To:   command.Column{Schema: "public", Table: "archive", Name: "note"}, Plain: true,
	}}
	return c
}

// TestRedteam13_AMaskedColumnIsNotCopied: nobody is even asked.
func TestRedteam13_AMaskedColumnIsNotCopied(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	_, err := s.Admit(t.Context(), copies())
	r := refused(t, err, refusal.MaskedCopy)
	if !strings.Contains(r.Message, "public.customers.email into public.archive.note") || !strings.Contains(r.Message, "masked_copies") {
		t.Errorf("the refusal teaches nothing: %s", r.Message)
	}
	if len(w.requests) > 0 {
		t.Error("an approver was asked")
	}
}

const copyingRules = `
rules:
  - name: all
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    masked_copies: allow
`

// cell masks one value of a column as the session does.
func cell(t *testing.T, s seam.Session, column, value string) string {
	t.Helper()
	p, err := s.Admit(t.Context(), read())
	must(t, err)
	defer p.Done(seam.Outcome{Status: "ok"})
	m, err := p.Result([]seam.Column{{Name: "c", Origin: seam.MaskedColumn{Schema: "public", Table: "archive", Column: column}, Kind: seam.KindText}})
	must(t, err)
	if m == nil {
		return value
	}
	out, _ := m.Mask(0, []byte(value))
	return string(out)
}

// TestRedteam13_ACopyIsMaskedInEveryLaterSession: of this gateway and of one
// that was started later; one that cannot be remembered is not made.
func TestRedteam13_ACopyIsMaskedInEveryLaterSession(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": copyingRules})
	s := w.open()
	if got := cell(t, s, "note", "dana@acme.example"); got != "dana@acme.example" {
		t.Fatalf("before the copy: %s", got)
	}
	c := copies()
	c.Facts.Copies = append(c.Facts.Copies, command.Copy{
		From: command.Column{Schema: "public", Table: "customers", Name: "email"}, To: command.Column{Schema: "public", Table: "archive", Name: "short"},
	}, command.Copy{From: command.Column{Schema: "public", Table: "customers", Name: "email"}, To: command.Column{Name: "pg_notify"}})
	for range 2 { // the second time it is known
		p, err := s.Admit(t.Context(), c)
		must(t, err)
		p.Done(seam.Outcome{Status: "ok"})
	}
	want := []seam.MaskedColumn{
		{Schema: "public", Table: "customers", Column: "email"},
		{Schema: "public", Table: "archive", Column: "note", Copied: true},
		{Schema: "public", Table: "archive", Column: "short", Copied: true},
	}
	check := func(t *testing.T) {
		t.Helper()
		later := w.open()
		if got := later.Masks(); !slices.Equal(got, want) {
			t.Errorf("masks %v, want %v", got, want)
		}
		for _, column := range []string{"note", "short"} {
			if got := cell(t, later, column, "dana@acme.example"); strings.Contains(got, "dana") {
				t.Errorf("%s: %s", column, got)
			}
		}
		if got := cell(t, later, "id", "7"); got != "7" {
			t.Errorf("another column: %s", got)
		}
	}
	t.Run("this gateway", check)
	t.Run("another gateway", func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		defer func() { stop(); running.Wait() }()
		other := copied.New(w.approvals.Public(), zerolog.Nop())
		w.follow(ctx, &running, other)
		here := w.gate.Copied
		w.gate.Copied = other
		defer func() { w.gate.Copied = here }()
		check(t)
	})
	t.Run("before it has read the copies", func(t *testing.T) {
		here := w.gate.Copied
		w.gate.Copied = copied.New(w.approvals.Public(), zerolog.Nop())
		defer func() { w.gate.Copied = here }()
		_, err := s.Admit(t.Context(), read())
		refused(t, err, refusal.BundleMissing)
	})
	t.Run("without the bus", func(t *testing.T) {
		w.bus.Close()
		c := copies()
		c.Facts.Copies[0].To.Name = "other"
		_, err := s.Admit(t.Context(), c)
		refused(t, err, refusal.BusUnavailable)
		if slices.ContainsFunc(s.Masks(), func(m seam.MaskedColumn) bool { return m.Column == "other" }) {
			t.Error("what was refused is masked")
		}
	})
}

// TestRedteam13_ACopyInATemporaryTableIsMaskedInItsSession.
func TestRedteam13_ACopyInATemporaryTableIsMaskedInItsSession(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": copyingRules})
	s, other := w.open(), w.open()
	c := copies()
	c.Facts.Copies[0].Temporary, c.Facts.Copies[0].To.Schema = true, "pg_temp"
	p, err := s.Admit(t.Context(), c)
	must(t, err)
	p.Done(seam.Outcome{Status: "ok"})
	if got := s.Masks(); len(got) != 2 || got[1] != (seam.MaskedColumn{Table: "archive", Column: "note", Copied: true}) {
		t.Errorf("its session: %v", got)
	}
	if got := other.Masks(); len(got) != 1 {
		t.Errorf("another session: %v", got)
	}
}

// TestCopiesOfAnotherGatewayArrive while both run.
func TestCopiesOfAnotherGatewayArrive(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	other := copied.New(w.approvals.Public(), zerolog.Nop())
	w.follow(ctx, &running, other)
	_, err := other.Add(t.Context(), copied.Mask{Target: "prod-db", Database: "shop", To: command.Column{Table: "t", Name: "c"}})
	must(t, err)
	for end := time.Now().Add(10 * time.Second); w.gate.Copied.Of("prod-db", "shop") == nil; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("not within 10 s")
		}
	}
	if w.gate.Copied.Of("prod-db", "other") != nil || w.gate.Copied.Of("other", "shop") != nil {
		t.Error("they are in another database too")
	}
}

// TestRedteam13_ACopyUnderAWeakerMask: another masked column is a place for a
// value only while its mask hides as much; a newer mask is asked again.
func TestRedteam13_ACopyUnderAWeakerMask(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(copyingRules, "masked_copies: allow", "", 1)})
	two := func(strategy string) {
		w.publish("masking", map[string]string{"a.yaml": `masks:
  - {name: email, targets: [prod-db], column: public.customers.email, strategy: token}
  - {name: note, targets: [prod-db], column: public.archive.note, strategy: ` + strategy + "}\n"})
	}
	s := w.open()
	c := copies()
	c.Facts.Copies[0].Over = c.Facts.Copies[0].To
	c.Memo = &seam.Memo{}
	two("redact")
	p, err := s.Admit(t.Context(), c)
	must(t, err)
	p.Done(seam.Outcome{Status: "ok"})
	if len(s.Masks()) != 2 {
		t.Errorf("what its own mask hides is a copy: %v", s.Masks())
	}
	two("partial")
	_, err = s.Admit(t.Context(), c)
	if r := refused(t, err, refusal.MaskedCopy); !strings.Contains(r.Message, "may tell more") {
		t.Errorf("the refusal: %s", r.Message)
	}
}

// TestACopyIsLifted by whom the gateway trusts, for all gateways; it is remembered
// again when it is made again.
func TestACopyIsLifted(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": copyingRules})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	other := copied.New(w.approvals.Public(), zerolog.Nop())
	w.follow(ctx, &running, other)
	m := copied.Mask{Target: "prod-db", Database: "shop", To: command.Column{Schema: "public", Table: "archive", Name: "note"}, From: command.Column{Schema: "public", Table: "customers", Name: "email"}, Plain: true}
	until := func(what string, masked bool, in ...*copied.Masks) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); slices.ContainsFunc(in, func(c *copied.Masks) bool { return (c.Of("prod-db", "shop") != nil) != masked }); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%s: not within 10 s", what)
			}
		}
	}
	lift := func(key *seal.Key, generation uint64) {
		t.Helper()
		raw, err := shared.Lift{Mask: m, Generation: generation, Person: "dana", Reason: "the table is gone"}.Sign(key)
		must(t, err)
		id, err := m.Key()
		must(t, err)
		_, err = w.bus.JS.Publish(t.Context(), bus.CopySubject(id, generation, true), raw)
		must(t, err)
	}
	// One that was made by a session which is gone for long.
	id, err := m.Key()
	must(t, err)
	raw, err := json.Marshal(m)
	must(t, err)
	_, err = w.bus.JS.Publish(t.Context(), bus.CopySubject(id, 0, false), raw)
	must(t, err)
	until("made", true, w.gate.Copied, other)
	lift(w.approvals, 0)
	until("lifted", false, w.gate.Copied, other)
	fresh := copied.New(w.approvals.Public(), zerolog.Nop())
	w.follow(ctx, &running, fresh)
	if fresh.Of("prod-db", "shop") != nil {
		t.Error("a gateway that starts does not hear of it")
	}

	s := w.open()
	p, err := s.Admit(t.Context(), copies())
	must(t, err)
	p.Done(seam.Outcome{Status: "ok"})
	until("made again", true, w.gate.Copied, other, fresh)
	// Its session is still there: what it may still copy is told anew.
	lift(w.approvals, 1)
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if msg, err := lastOf(t, w, bus.CopySubject(id, 2, false)); err == nil && msg != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a session that may still copy does not keep it")
		}
	}
	until("kept", true, w.gate.Copied, other, fresh)
	if got := cell(t, s, "note", "ada@example.com"); got == "ada@example.com" {
		t.Error("it is not masked meanwhile")
	}
	// A stranger's lifting is none, and takes the place of none that counts.
	lift(w.policyKey, 3)
	until("a stranger", true, w.gate.Copied, other, fresh)
}

func lastOf(t *testing.T, w *world, subject string) (*jetstream.RawStreamMsg, error) {
	t.Helper()
	stream, err := w.bus.JS.Stream(t.Context(), bus.StreamCopies)
	must(t, err)
	return stream.GetLastMsgForSubject(t.Context(), subject) //nolint:wrapcheck // a test
}
