package approval_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// metric returns the value of a metric line, as text.
func (r *replica) metric(line string) string {
	r.w.t.Helper()
	response, err := http.Get("http://" + r.service.Addr() + "/metrics")
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	for l := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(l, line+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// trouble waits until the approval tells what is wrong with Slack.
func (r *replica) trouble(q *request, want string) {
	r.w.t.Helper()
	until(r.w.t, "trouble "+want, func() bool {
		var a struct {
			SlackTrouble string `json:"slack_trouble"`
		}
		return r.ask(http.MethodGet, "/v1/approvals/"+q.Id, "oidc:dana@acme.example", "", &a) == http.StatusOK && a.SlackTrouble == want
	})
}

func (w *world) once(q *request) {
	w.t.Helper()
	n := 0
	for _, m := range w.slack.Messages(channel) {
		if strings.Contains(shown(m), q.Id) {
			n++
		}
	}
	if n != 1 {
		w.t.Fatalf("%d messages for one approval", n)
	}
}

func TestRedteam22_SlackDownAtPost(t *testing.T) {
	for code, fault := range map[string]localslack.Faults{
		"unreachable":    {Down: true},
		"token_revoked":  {Revoked: true},
		"not_in_channel": {Errors: map[string]string{"chat.postMessage": "not_in_channel"}},
		"internal_error": {Errors: map[string]string{"chat.postMessage": "internal_error"}},
	} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			r := w.start()
			until(t, "connection", func() bool { return w.slack.Connections() == 1 })
			w.slack.SetFaults(fault)
			q := w.hold("one-click")
			r.trouble(q, code)
			w.slack.SetFaults(localslack.Faults{})
			w.message(q, approveButton)
			w.approve(q, "U0DANA")
			if _, err := w.decided(q); err != nil {
				t.Fatal(err)
			}
			w.once(q)
		})
	}
}

func TestRedteam22_ArchivedChannel(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	w.slack.Archive(channel, true)
	q := w.hold("one-click")
	r.trouble(q, "is_archived")
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
	w.slack.Archive(channel, false)
	other := w.hold("one-click")
	w.message(other, approveButton)
}

func TestRedteam22_RetryAfterIsHonoured(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	w.slack.SetFaults(localslack.Faults{RateLimited: map[string]time.Duration{"chat.postMessage": time.Second}})
	began := time.Now() // before the answer that says how long
	q := w.hold("one-click")
	limited := `gatestay_approval_slack_calls_total{method="chat.postMessage",result="ratelimited"}`
	until(t, "limit", func() bool { return r.metric(limited) == "1" })
	w.slack.SetFaults(localslack.Faults{})
	w.message(q, approveButton)
	if waited := time.Since(began); waited < time.Second || r.metric(limited) != "1" {
		t.Fatalf("tried again after %s, %s limited calls", waited, r.metric(limited))
	}
}

func TestRedteam22_AnswerToThePostIsLost(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.slack.SetFaults(localslack.Faults{LoseResponses: map[string]int{"chat.postMessage": 1, "chat.update": 1}})
	q := w.hold("one-click")
	w.message(q, approveButton)
	w.approve(q, "U0DANA") // on the message of which the service has no timestamp
	w.message(q, "*Approved*")
	w.once(q)
}

func TestRedteam22_HistoryNotAllowed(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.slack.SetFaults(localslack.Faults{
		LoseResponses: map[string]int{"chat.postMessage": 1}, Errors: map[string]string{"conversations.history": "missing_scope"},
	})
	q := w.hold("one-click")
	until(t, "second post", func() bool { return len(w.slack.Messages(channel)) == 2 })
	newest := w.slack.Messages(channel)[1]
	if _, err := w.slack.Click(t.Context(), localslack.Click{User: "U0DANA", Channel: channel, TS: newest.TS, ActionID: approveButton}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
}

func TestRedteam22_SlackDownAtClick(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	w.slack.SetFaults(localslack.Faults{Errors: map[string]string{"users.info": "internal_error"}})
	w.slack.SetInteractionURL("")
	m := w.message(q, approveButton)
	clicked := make(chan error, 1)
	go func() {
		_, err := w.slack.Click(t.Context(), localslack.Click{User: "U0DANA", Channel: channel, TS: m.TS, ActionID: approveButton})
		clicked <- err
	}()
	if err := <-clicked; err == nil {
		t.Fatal("acknowledged without knowing who clicked")
	}
	w.recorded(q, "requested")
	w.slack.SetFaults(localslack.Faults{})
	w.approve(q, "U0DANA")
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
}

func TestRedteam22_SlackDownAtUpdate(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	w.slack.SetFaults(localslack.Faults{Errors: map[string]string{"chat.update": "internal_error"}})
	w.approve(q, "U0DANA")
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
	r.trouble(q, "internal_error")
	r.stop() // and the service goes, too
	w.slack.SetFaults(localslack.Faults{})
	w.start()
	m := w.message(q, "*Approved*")
	if strings.Contains(shown(m), approveButton) {
		t.Fatal("buttons are left")
	}
	w.recorded(q, "requested", "voted", "decided approved")
	w.once(q)
}

func TestRedteam22_MessageDeletedWhileWaiting(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("two-clicks")
	m := w.message(q, approveButton)
	w.slack.Delete(channel, m.TS)
	r := w.start(func(c *config.Config) { c.Approval.Instance = "2" })
	if status, c := r.vote(q, "oidc:sam@acme.example", "approve"); status != http.StatusOK { // the update finds it gone
		t.Fatalf("got %d %s", status, c)
	}
	again := w.message(q, approveButton)
	if again.TS == m.TS {
		t.Fatal("the same message")
	}
	w.approve(q, "U0DANA")
	w.message(q, "*Approved*")
}

func TestRedteam22_ContentThatSlackDoesNotTake(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	w.slack.SetFaults(localslack.Faults{RejectOver: 4})
	q := w.hold("one-click")
	m := w.message(q, "Slack does not take the message that shows it")
	if strings.Contains(shown(m), approveButton) {
		t.Fatal("offered for approval unseen")
	}
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	w.message(q, "has ended: *approved*")
}

// The service is killed at each step, and another takes over from its state.
func TestRedteam22_KilledAtEachStep(t *testing.T) {
	t.Run("before the request is taken", func(t *testing.T) {
		w := newWorld(t)
		q := w.hold("one-click")
		w.start()
		w.approve(q, "U0DANA")
		if _, err := w.decided(q); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("between post and its answer", func(t *testing.T) {
		w := newWorld(t)
		w.slack.SetFaults(localslack.Faults{LoseResponses: map[string]int{"chat.postMessage": 1}})
		first := w.start()
		q := w.hold("one-click")
		w.message(q, approveButton)
		first.stop()
		w.start()
		w.approve(q, "U0DANA")
		w.message(q, "*Approved*")
		w.once(q)
	})
	t.Run("between post and click", func(t *testing.T) {
		w := newWorld(t)
		first := w.start()
		q := w.hold("one-click")
		w.message(q, approveButton)
		first.stop()
		w.start()
		w.approve(q, "U0DANA")
		w.message(q, "*Approved*")
		w.recorded(q, "requested", "voted", "decided approved")
		w.once(q)
	})
	t.Run("between two votes", func(t *testing.T) {
		w := newWorld(t)
		first := w.start()
		q := w.hold("two-clicks")
		w.approve(q, "U0DANA")
		first.stop()
		w.start()
		w.approve(q, "U0KIM")
		if d, err := w.decided(q); err != nil || len(d.Votes) != 2 {
			t.Fatalf("got %v, %v", d, err)
		}
		w.recorded(q, "requested", "voted", "voted", "decided approved")
	})
	t.Run("right after the click", func(t *testing.T) {
		w := newWorld(t)
		first := w.start()
		q := w.hold("one-click")
		w.approve(q, "U0DANA")
		first.stop()
		w.start()
		if _, err := w.decided(q); err != nil {
			t.Fatal(err)
		}
		w.message(q, "*Approved*")
		w.recorded(q, "requested", "voted", "decided approved")
		if n := len(w.decisions(q)); n != 1 {
			t.Fatalf("%d decisions", n)
		}
	})
	t.Run("over the deadline", func(t *testing.T) {
		w := newWorld(t)
		first := w.start()
		q := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.Deadline = timestamppb.New(time.Now().Add(time.Second)) })
		w.message(q, approveButton)
		first.stop()
		until(t, "deadline", func() bool { return time.Now().After(q.Deadline.AsTime()) })
		w.start()
		if _, err := w.decided(q); code(err) != refusal.ApprovalExpired {
			t.Fatalf("got %v", err)
		}
		w.message(q, "*Expired:*")
		w.recorded(q, "requested", "expired expired")
	})
}

func TestRedteam22_TwoReplicas(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	b := w.start(func(c *config.Config) { c.Approval.Instance = "2" })
	until(t, "connections", func() bool { return w.slack.Connections() == 2 })
	var held []*request
	for range 3 {
		held = append(held, w.hold("two-clicks"))
	}
	for i, q := range held {
		w.approve(q, "U0DANA") // Slack hands the envelopes to either
		w.approve(q, "U0KIM")
		if _, err := w.decided(q); err != nil {
			t.Fatal(err)
		}
		w.message(q, "*Approved*")
		w.recorded(q, "requested", "voted", "voted", "decided approved")
		if n := len(w.decisions(q)); n != 1 {
			t.Fatalf("%d decisions", n)
		}
		w.once(q)
		if i == 1 {
			a.stop()
		}
	}
	clicks := `gatestay_approval_slack_clicks_total{result="taken",transport="socket"}`
	if b.metric(clicks) == "" || b.metric(clicks) == "6" {
		t.Fatalf("replica 2 took %s of 6 clicks", b.metric(clicks))
	}
}

// More than one a second is not posted into a channel, whatever waits.
func TestRedteam22_BurstStaysWithinSlacksLimit(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	began := time.Now()
	held := []*request{w.hold("one-click"), w.hold("one-click"), w.hold("one-click")}
	for _, q := range held {
		w.message(q, approveButton)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Fatalf("three posts within %s", took)
	}
	posts := `gatestay_approval_slack_calls_total{method="chat.postMessage",result="ok"}`
	until(t, "three posts", func() bool { return r.metric(posts) == "3" })
}
