package session_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/session"
)

func TestRedteam02_TokenOpensOneConnection(t *testing.T) {
	w := newWorld(t)
	token := w.token()
	credentials := seam.Credentials{Protocol: "postgres", Target: "prod-db", Secret: token}
	s, err := w.gate.Authenticate(t.Context(), credentials)
	must(t, err)
	defer s.Close("test over")
	_, err = w.gate.Authenticate(t.Context(), credentials)
	r := refused(t, err, refusal.TokenUsed)
	if !strings.Contains(r.Message, "already used, at ") || !strings.Contains(r.Message, s.ID()) {
		t.Errorf("the refusal does not say when and by which session: %s", r.Message)
	}
	_, err = w.gate.Exchange(t.Context(), session.ExchangeRequest{Token: token, Target: "prod-db", Protocol: "postgres"})
	refused(t, err, refusal.TokenUsed)
}

func TestRedteam03_SameNameOtherIdsIsRefused(t *testing.T) {
	w := newWorld(t)
	raw, err := w.issuer.Mint("github-actions", map[string]any{"repository": "acme/shop", "repository_id": "9999", "repository_owner_id": "2002"})
	must(t, err)
	_, err = w.gate.Authenticate(t.Context(), seam.Credentials{Protocol: "postgres", Target: "prod-db", Secret: raw})
	refused(t, err, refusal.TargetForbidden)
}

func TestCanTellsProgramsWhatItTellsPeople(t *testing.T) {
	w := newWorld(t)
	e, err := w.gate.Exchange(t.Context(), session.ExchangeRequest{Token: w.token(), Target: "prod-db", Protocol: "postgres"})
	must(t, err)
	c, err := w.gate.Can(e.Credential, "", time.Time{})
	must(t, err)
	if len(c.Rules) != len(c.Allowed)+len(c.Held)+len(c.Denied) {
		t.Errorf("%d rules, %+v", len(c.Rules), c)
	}
	i := slices.IndexFunc(c.Rules, func(r session.Rule) bool { return r.Effect == "hold" })
	if i < 0 || c.Rules[i].Class != "write" || c.Rules[i].Rule == "" || len(c.Rules[i].Approvers) == 0 || c.Rules[i].Approvals < 1 {
		t.Errorf("%+v", c.Rules)
	}
}

// A mask whose column is not there masks nothing by its name: that is told,
// once for each version of the rules.
func TestRedteam33_AMaskWithoutItsColumnIsAFinding(t *testing.T) {
	w := newWorld(t)
	gone := []seam.MaskedColumn{{Schema: "public", Table: "customers", Column: "e_mail"}}
	for range 3 {
		w.open().NotFound(gone)
	}
	var found []*eventv1.Record
	deadline := time.Now().Add(10 * time.Second)
	for len(found) == 0 && time.Now().Before(deadline) {
		runtime.Gosched()
		for _, r := range w.sink.all() {
			if r.Kind == eventv1.Kind_KIND_FINDING {
				found = append(found, r)
			}
		}
	}
	if len(found) != 1 || found[0].Target != "prod-db" || !strings.Contains(found[0].Message, "public.customers.e_mail") || found[0].Details["remedy"] == "" {
		t.Errorf("%v", found)
	}
}

func TestRunServesManyConnectionsAndEndsThem(t *testing.T) {
	w := newWorld(t)
	e, err := w.gate.Exchange(t.Context(), session.ExchangeRequest{Token: w.token(), Target: "prod-db", Protocol: "postgres", Reason: "nightly report", Agent: "claude"})
	must(t, err)
	var open []seam.Session
	for range 5 {
		s, err := w.gate.Authenticate(t.Context(), seam.Credentials{Protocol: "postgres", Target: "prod-db", Secret: e.Credential})
		must(t, err)
		open = append(open, s)
	}
	must(t, w.gate.EndRun(t.Context(), e.Credential))
	for _, s := range open {
		select {
		case <-s.Context().Done():
		case <-time.After(5 * time.Second):
			t.Fatal("a session outlives its run")
		}
		_, err := s.Admit(t.Context(), read())
		refused(t, err, refusal.SessionEnded)
		s.Close("run ended")
	}
	_, err = w.gate.Authenticate(t.Context(), seam.Credentials{Protocol: "postgres", Target: "prod-db", Secret: e.Credential})
	refused(t, err, refusal.CredentialInvalid)
}

func TestWriteIsForwardedOnlyAfterItsIntentIsDurable(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	p, err := s.Admit(t.Context(), read())
	must(t, err)
	must(t, p.Durable(t.Context()))
	p.Done(seam.Outcome{Status: "ok"})

	w.sink.setBroken(true)
	done := make(chan error, 1)
	go func() {
		_, err := s.Admit(t.Context(), write())
		done <- err
	}()
	r := <-w.requests
	w.decide(w.approvals, w.decision(r))
	refused(t, <-done, refusal.JournalUnavailable)

	p, err = s.Admit(t.Context(), read()) // may be forwarded, but no byte is released
	must(t, err)
	refused(t, p.Durable(t.Context()), refusal.JournalUnavailable)
	if p.DurableNow() {
		t.Fatal("a read whose record failed counts as durable")
	}
	p.Done(seam.Outcome{Status: "not_executed"})
	w.sink.setBroken(false)
}

func TestHoldResumesOnTheSignedDecisionOnly(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	type result struct {
		permit seam.Permit
		err    error
	}
	admit := func(ctx context.Context) chan result {
		done := make(chan result, 1)
		go func() {
			p, err := s.Admit(ctx, write())
			done <- result{p, err}
		}()
		return done
	}
	done := admit(t.Context())
	first := <-w.requests
	forged := map[string]func(*eventv1.ApprovalDecision) *seal.Key{
		"another key":     func(*eventv1.ApprovalDecision) *seal.Key { return key(t) },
		"another session": func(d *eventv1.ApprovalDecision) *seal.Key { d.SessionId = "ses_x"; return w.approvals },
		"another command": func(d *eventv1.ApprovalDecision) *seal.Key { d.Digest = []byte("x"); return w.approvals },
		"another target":  func(d *eventv1.ApprovalDecision) *seal.Key { d.Target = "other"; return w.approvals },
		"another rule":    func(d *eventv1.ApprovalDecision) *seal.Key { d.RuleHash = "x"; return w.approvals },
		"another request": func(d *eventv1.ApprovalDecision) *seal.Key { d.RequestHash = []byte("x"); return w.approvals },
		"no votes":        func(d *eventv1.ApprovalDecision) *seal.Key { d.Votes = nil; return w.approvals },
	}
	for name, change := range forged {
		d := w.decision(first)
		signer := change(d)
		w.decide(signer, d)
		select {
		case r := <-done:
			t.Fatalf("a decision for %s ended the hold: %v", name, r.err)
		default:
		}
	}
	good := w.decision(first)
	w.decide(w.approvals, good)
	r := <-done
	must(t, r.err)
	r.permit.Done(seam.Outcome{Status: "ok", Rows: 3})

	// The same decision, replayed under the next hold's id, fits nothing.
	ctx, cancel := context.WithCancel(t.Context())
	done = admit(ctx)
	second := <-w.requests
	replay := proto.CloneOf(good)
	replay.ApprovalId = second.Id
	w.decide(w.approvals, replay)
	denied := w.decision(second)
	denied.Outcome = approval.Denied
	w.decide(w.approvals, denied)
	refused(t, (<-done).err, refusal.ApprovalDenied)
	cancel()
}

func TestRedteam18_OnlyAChangeOfTheMatchedRuleVoidsAnApproval(t *testing.T) {
	for name, tt := range map[string]struct {
		rules string
		want  refusal.Code
	}{
		"another rule changed":           {strings.Replace(rules, `command.class == "read"`, `command.class == "read" && command.filtered`, 1), ""},
		"the matched rule changed":       {strings.Replace(rules, "deadline: 30s", "deadline: 31s", 1), refusal.RuleChanged},
		"the matched rule became a deny": {strings.Replace(rules, "effect: hold", "effect: deny", 1), refusal.DeniedByRule},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.open()
			done := make(chan error, 1)
			go func() {
				p, err := s.Admit(t.Context(), write())
				if err == nil {
					p.Done(seam.Outcome{Status: "ok"})
				}
				done <- err
			}()
			r := <-w.requests
			text := tt.rules
			if tt.want == refusal.DeniedByRule {
				text = strings.Replace(text, "    approvers: {slack_users: [U0DANA], count: 1}\n    deadline: 30s\n", "", 1)
			}
			w.publish("policy", map[string]string{"a.yaml": text})
			w.decide(w.approvals, w.decision(r))
			err := <-done
			if tt.want == "" {
				must(t, err)
				return
			}
			refused(t, err, tt.want)
		})
	}
}

// TestRedteam18_WhatIsApprovedIsWhatRuns lets what the command touches change
// while it is held.
func TestRedteam18_WhatIsApprovedIsWhatRuns(t *testing.T) {
	other := write().Facts
	other.Objects = []command.Object{{Schema: "public", Name: "payments", Access: command.Write}}
	own := &refusal.Refusal{Code: refusal.StateChanged, Message: "the view has another definition"}
	for name, c := range map[string]struct {
		refresh func(context.Context) (command.Facts, error)
		want    refusal.Code
		message string
	}{
		"the same":                {func(context.Context) (command.Facts, error) { return write().Facts, nil }, "", ""},
		"facts do not age":        {nil, "", ""},
		"another table":           {func(context.Context) (command.Facts, error) { return other, nil }, refusal.StateChanged, "what the command touches changed"},
		"the protocol found it":   {func(context.Context) (command.Facts, error) { return write().Facts, own }, refusal.StateChanged, own.Message},
		"it cannot be read again": {func(context.Context) (command.Facts, error) { return command.Facts{}, errors.New("catalog: gone") }, refusal.StateChanged, "what the command touches changed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.open()
			done := make(chan error, 1)
			go func() {
				command := write()
				command.Refresh = c.refresh
				p, err := s.Admit(t.Context(), command)
				if err == nil {
					p.Done(seam.Outcome{Status: "ok"})
				}
				done <- err
			}()
			r := <-w.requests
			w.decide(w.approvals, w.decision(r))
			err := <-done
			if c.want == "" {
				must(t, err)
				return
			}
			if got := refused(t, err, c.want); !strings.Contains(got.Message, c.message) || got.ID != r.Id {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestHoldEndsWithTheClient(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	cancelled := make(chan *eventv1.ApprovalCancelled, 1)
	sub, err := w.bus.Conn.Subscribe(bus.ApprovalSubject("gw1", "*", bus.Cancelled), func(m *nats.Msg) {
		c := &eventv1.ApprovalCancelled{}
		if proto.Unmarshal(m.Data, c) == nil {
			cancelled <- c
		}
	})
	must(t, err)
	defer func() { _ = sub.Unsubscribe() }()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Admit(ctx, write())
		done <- err
	}()
	r := <-w.requests
	cancel(hold.ErrClientCancelled)
	refused(t, <-done, refusal.ApprovalCancelled)
	if c := <-cancelled; c.ApprovalId != r.Id || c.Reason != approval.ClientCancelled {
		t.Fatalf("cancelled: %v", c)
	}
}

func TestDirtyTransactionIsRefusedRatherThanHeld(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	c := write()
	c.Dirty = true
	_, err := s.Admit(t.Context(), c)
	refused(t, err, refusal.HoldInTx)
}

func TestEveryAttemptLeavesAPair(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	p, err := s.Admit(t.Context(), read())
	must(t, err)
	p.Done(seam.Outcome{Status: "ok", Rows: 1})
	p.Done(seam.Outcome{Status: "error"}) // only the first counts
	_, err = s.Admit(t.Context(), &seam.Command{Text: "DROP TABLE customers", Facts: command.Facts{Verb: "drop table", Class: command.DDL}})
	refused(t, err, refusal.DeniedByDefault)
	s.Close("client left")
	deadline := time.Now().Add(5 * time.Second)
	for {
		records := w.sink.all()
		if n := len(records); n > 0 && records[n-1].Kind == eventv1.Kind_KIND_SESSION_CLOSED {
			var got []string
			for i, r := range records {
				if r.SessionSequence != uint64(i+1) {
					t.Fatalf("record %d has sequence %d", i, r.SessionSequence)
				}
				got = append(got, strings.ToLower(strings.TrimPrefix(r.Kind.String(), "KIND_"))+":"+r.Effect+r.Status)
			}
			want := "session_opened: intent:allow outcome:ok intent:deny outcome:refused session_closed:"
			if strings.Join(got, " ") != want {
				t.Fatalf("records\n got %s\nwant %s", strings.Join(got, " "), want)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no closing record among %d", len(records))
		}
		runtime.Gosched()
	}
}
