package seamtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Adapter is a protocol under test, in front of a real target.
type Adapter interface {
	// Start serves the adapter behind a gate until the test ends. The gate has
	// no Upstream yet.
	Start(t *testing.T, g *Gate)
	// Dial opens a session.
	Dial(t *testing.T) Client
	// Seen reports whether the target was sent something that contains mark.
	Seen(t *testing.T, mark string) bool
	// Commands are what the suite runs; each text contains mark, to be told by.
	Commands() Commands
}

// Commands are texts of a protocol.
type Commands struct {
	Read   func(mark string) string // returns the single value "1"
	Write  func(mark string) string
	Fail   func(mark string) string // the target refuses it
	Slow   func(mark string) string // runs for a minute, unless cancelled
	Secret func(mark string) string // returns one value of the column Masked
	Large  func(mark string) string // returns some hundred megabytes
	Masked seam.MaskedColumn
	// Plain is what Secret returns without a mask.
	Plain string
}

// Client is one session of a protocol. Its methods are used by one goroutine,
// save Cancel.
type Client interface {
	// Run sends a command and returns the first value of its result.
	Run(ctx context.Context, text string) (value string, err error)
	// Notices are what the session was told besides, so far.
	Notices() []string
	// Cancel asks for the running command to be cancelled.
	Cancel(t *testing.T)
	// Vanish breaks the connection off without a word.
	Vanish()
	// RunAndHalfClose sends a command, ends its own direction, and returns the
	// result; protocols that cannot return ErrNoHalfClose.
	RunAndHalfClose(ctx context.Context, text string) (value string, err error)
	// RunSlowly sends a command and reads only a little of its result; what it
	// returns reads the rest.
	RunSlowly(t *testing.T, text string) (rest func() error)
	Close()
}

// ErrNoHalfClose is a protocol without half-closed connections.
var ErrNoHalfClose = errors.New("seamtest: the protocol has no half-close")

// Conformance checks what every adapter promises, whatever its protocol.
func Conformance(t *testing.T, a Adapter) {
	c := a.Commands()
	t.Run("admit before forward", func(t *testing.T) {
		admitted := make(chan bool, 1)
		g := &Gate{Decide: func(cmd *seam.Command) Decision {
			if strings.Contains(cmd.Text, "c_before") {
				select {
				case admitted <- a.Seen(t, "c_before"):
				default:
				}
			}
			return Decision{}
		}}
		a.Start(t, g)
		run(t, a.Dial(t), c.Write("c_before"))
		if <-admitted {
			t.Error("the target had seen the command before it was decided")
		}
		waitFor(t, "the target sees the command", func() bool { return a.Seen(t, "c_before") })
	})
	t.Run("deny keeps the session usable", func(t *testing.T) {
		g := &Gate{Decide: deny("c_deny")}
		a.Start(t, g)
		s := a.Dial(t)
		_, err := s.Run(t.Context(), c.Write("c_deny"))
		if err == nil || !strings.Contains(err.Error(), string(refusal.DeniedByRule)) {
			t.Fatalf("a denied command: %v", err)
		}
		if a.Seen(t, "c_deny") {
			t.Error("the target has seen a denied command")
		}
		if v := run(t, s, c.Read("c_after")); v != "1" {
			t.Errorf("after a denial the session answers %q", v)
		}
	})
	t.Run("hold then resume", func(t *testing.T) {
		g := &Gate{Decide: hold("c_resume")}
		a.Start(t, g)
		s := a.Dial(t)
		done := make(chan error, 1)
		go func() { _, err := s.Run(context.Background(), c.Write("c_resume")); done <- err }()
		h := <-g.Held()
		waitFor(t, "the client is told that it is held", func() bool { return len(s.Notices()) > 0 })
		if a.Seen(t, "c_resume") {
			t.Error("the target has seen a held command")
		}
		h.Approve()
		if err := <-done; err != nil {
			t.Errorf("an approved command: %v", err)
		}
		waitFor(t, "the target sees the command", func() bool { return a.Seen(t, "c_resume") })
	})
	t.Run("hold then deny", func(t *testing.T) {
		g := &Gate{Decide: hold("c_held_deny")}
		a.Start(t, g)
		s := a.Dial(t)
		done := make(chan error, 1)
		go func() { _, err := s.Run(context.Background(), c.Write("c_held_deny")); done <- err }()
		(<-g.Held()).Deny()
		if err := <-done; err == nil || !strings.Contains(err.Error(), string(refusal.ApprovalDenied)) {
			t.Errorf("a denied hold: %v", err)
		}
		if v := run(t, s, c.Read("c_after2")); v != "1" || a.Seen(t, "c_held_deny") {
			t.Errorf("after a denied hold the session answers %q", v)
		}
	})
	t.Run("hold then cancel", func(t *testing.T) {
		g := &Gate{Decide: hold("c_held_cancel")}
		a.Start(t, g)
		s := a.Dial(t)
		done := make(chan error, 1)
		go func() { _, err := s.Run(context.Background(), c.Write("c_held_cancel")); done <- err }()
		<-g.Held()
		s.Cancel(t)
		if err := <-done; err == nil {
			t.Error("a cancelled hold ran")
		}
		if v := run(t, s, c.Read("c_after3")); v != "1" || a.Seen(t, "c_held_cancel") {
			t.Errorf("after a cancelled hold the session answers %q", v)
		}
	})
	t.Run("hold then vanish", func(t *testing.T) {
		g := &Gate{Decide: hold("c_vanish")}
		a.Start(t, g)
		s := a.Dial(t)
		done := make(chan error, 1)
		go func() { _, err := s.Run(context.Background(), c.Write("c_vanish")); done <- err }()
		<-g.Held()
		s.Vanish()
		if err := <-done; err == nil {
			t.Error("a command whose client was gone ended well")
		}
		waitFor(t, "the session is closed", func() bool { return g.Sessions()[0].Closed() != "" })
		waitFor(t, "the hold has ended", func() bool { return len(g.Admitted("c_vanish")) == 1 && g.Admitted("c_vanish")[0].Err != nil })
		if a.Seen(t, "c_vanish") {
			t.Error("the target has seen the command of a client that was gone")
		}
	})
	t.Run("nothing before it is durable", func(t *testing.T) {
		durable := make(chan struct{})
		g := &Gate{Decide: func(cmd *seam.Command) Decision {
			if strings.Contains(cmd.Text, "c_durable") {
				return Decision{Durable: durable}
			}
			return Decision{}
		}}
		a.Start(t, g)
		s := a.Dial(t)
		done := make(chan error, 1)
		go func() { _, err := s.Run(context.Background(), c.Read("c_durable")); done <- err }()
		waitFor(t, "the target sees the read", func() bool { return a.Seen(t, "c_durable") })
		select {
		case err := <-done:
			t.Errorf("a result came before its record was durable: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		close(durable)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("mask", func(t *testing.T) {
		g := &Gate{Masked: []seam.MaskedColumn{c.Masked}}
		a.Start(t, g)
		if v := run(t, a.Dial(t), c.Secret("c_mask")); v != "***" {
			t.Errorf("a masked column shows %q", v)
		}
		plain := &Gate{}
		a.Start(t, plain)
		if v := run(t, a.Dial(t), c.Secret("c_plain")); v != c.Plain {
			t.Errorf("without a mask it shows %q, not %q", v, c.Plain)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		g := &Gate{}
		a.Start(t, g)
		s := a.Dial(t)
		done := make(chan error, 1)
		go func() { _, err := s.Run(context.Background(), c.Slow("c_cancel")); done <- err }()
		waitFor(t, "the command runs", func() bool { return a.Seen(t, "c_cancel") })
		s.Cancel(t)
		if err := <-done; err == nil {
			t.Error("a cancelled command ended well")
		}
		if v := run(t, s, c.Read("c_after4")); v != "1" {
			t.Errorf("after a cancel the session answers %q", v)
		}
		once(t, g, "c_cancel", "cancelled")
	})
	t.Run("half-close", func(t *testing.T) {
		a.Start(t, &Gate{})
		v, err := a.Dial(t).RunAndHalfClose(t.Context(), c.Read("c_half"))
		if errors.Is(err, ErrNoHalfClose) {
			return
		}
		if err != nil || v != "1" {
			t.Errorf("a client that closed its side got %q, %v", v, err)
		}
	})
	t.Run("slow reader", func(t *testing.T) {
		g := &Gate{}
		a.Start(t, g)
		rest := a.Dial(t).RunSlowly(t, c.Large("c_large"))
		// Another session is not held up by it.
		if v := run(t, a.Dial(t), c.Read("c_beside")); v != "1" {
			t.Errorf("beside a slow reader: %q", v)
		}
		if o, _ := g.Admitted("c_large")[0].Outcome(); o != nil {
			t.Error("a result that nobody has read is over")
		}
		if err := rest(); err != nil {
			t.Error(err)
		}
		once(t, g, "c_large", "ok")
	})
	t.Run("outcome once", func(t *testing.T) {
		g := &Gate{}
		a.Start(t, g)
		s := a.Dial(t)
		run(t, s, c.Read("c_ok"))
		if _, err := s.Run(t.Context(), c.Fail("c_fail")); err == nil {
			t.Error("a failing command did not fail")
		}
		s.Close()
		once(t, g, "c_ok", "ok")
		once(t, g, "c_fail", "error")
		waitFor(t, "the session is closed", func() bool { return g.Sessions()[0].Closed() != "" })
	})
	t.Run("the core ends a session", func(t *testing.T) {
		g := &Gate{}
		a.Start(t, g)
		s := a.Dial(t)
		done := make(chan error, 1)
		go func() { _, err := s.Run(context.Background(), c.Slow("c_killed")); done <- err }()
		waitFor(t, "the command runs", func() bool { return a.Seen(t, "c_killed") })
		g.Sessions()[0].End(&refusal.Refusal{Code: refusal.SessionEnded, Message: "ended by the test"})
		if err := <-done; err == nil || !strings.Contains(err.Error(), string(refusal.SessionEnded)) {
			t.Errorf("a killed session says %v", err)
		}
		waitFor(t, "the session is closed", func() bool { return g.Sessions()[0].Closed() != "" })
		once(t, g, "c_killed", "cancelled")
	})
}

// deny refuses the commands whose text contains mark.
func deny(mark string) func(*seam.Command) Decision {
	return func(c *seam.Command) Decision {
		if strings.Contains(c.Text, mark) {
			return Decision{Refuse: &refusal.Refusal{Code: refusal.DeniedByRule, Rule: "no", Message: "denied by the test"}}
		}
		return Decision{}
	}
}

func hold(mark string) func(*seam.Command) Decision {
	return func(c *seam.Command) Decision { return Decision{Hold: strings.Contains(c.Text, mark)} }
}

func run(t *testing.T, s Client, text string) string {
	t.Helper()
	v, err := s.Run(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// once checks that a command got one outcome.
func once(t *testing.T, g *Gate, mark, status string) {
	t.Helper()
	waitFor(t, "an outcome of "+mark, func() bool {
		o, _ := g.Admitted(mark)[0].Outcome()
		return o != nil
	})
	if o, n := g.Admitted(mark)[0].Outcome(); n != 1 || o.Status != status {
		t.Errorf("%s ended %q, said %d times; want %q, once", mark, o.Status, n, status)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
