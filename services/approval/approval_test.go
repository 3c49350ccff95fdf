package approval_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	approvals "github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func code(err error) refusal.Code {
	var r *refusal.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func overHTTP(w *world) func(*config.Config) {
	return func(c *config.Config) { c.Approval.Slack.Transport = "http" }
}

func TestApproveInSlack(t *testing.T) {
	for transport, change := range map[string]func(*world) func(*config.Config){
		"socket": func(*world) func(*config.Config) { return func(*config.Config) {} }, "http": overHTTP,
	} {
		t.Run(transport, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(change(w))
			if transport == "http" {
				w.slack.SetInteractionURL("http://" + r.service.Addr() + "/slack/interactions")
			}
			q := w.hold("one-click")
			m := w.message(q, approveButton)
			for _, want := range []string{
				"UPDATE public.customers", "<https://ci.example/acme/shop/runs/4711|job deploy of acme/shop, run 4711, on main, started by riley>", "*prod-db* (production)",
				"UPDATE customers SET plan = $1", "$1 = 'pro'", "backfill plans", "`one-click`, policy version 1", "Writes wait for the owners", ":warning: no WHERE clause",
				"<!date^", "<@U0DANA>",
			} {
				if !strings.Contains(shown(m), want) {
					t.Errorf("the message does not show %q:\n%s", want, shown(m))
				}
			}
			w.approve(q, "U0DANA")
			d, err := w.decided(q)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Votes) != 1 || d.Votes[0].Person != "dana" || d.Votes[0].Via != "slack" || d.Uses != 1 {
				t.Fatalf("got %v", d)
			}
			if life := d.ExpiresAt.AsTime().Sub(d.DecidedAt.AsTime()); life > time.Minute || d.ExpiresAt.AsTime().After(q.Deadline.AsTime()) {
				t.Fatalf("it lives %s, beyond the deadline", life)
			}
			done := w.message(q, "*Approved* by <@U0DANA>")
			if strings.Contains(shown(done), approveButton) || done.TS != m.TS {
				t.Fatalf("the message was not updated in place: %s", shown(done))
			}
			steps := w.recorded(q, "requested", "voted", "decided approved")
			if steps[0].Statement != q.Statement || steps[0].TraceId != q.TraceId || steps[2].Approvers[0] != "dana" || steps[1].Details["account"] != "slack:U0DANA" {
				t.Fatalf("got %v", steps)
			}
			if n := len(w.decisions(q)); n != 1 {
				t.Fatalf("%d decisions", n)
			}
		})
	}
}

func TestLifeOfAnApprovalIsAtMostFiveMinutes(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) {
		r.Deadline = timestamppb.New(r.RequestedAt.AsTime().Add(15 * time.Minute))
	})
	w.approve(q, "U0DANA")
	d, err := w.decided(q)
	if err != nil {
		t.Fatal(err)
	}
	if life := d.ExpiresAt.AsTime().Sub(d.DecidedAt.AsTime()); life != 5*time.Minute {
		t.Fatalf("got %s", life)
	}
}

func TestDeny(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("two-clicks")
	w.approve(q, "U0DANA")
	w.message(q, "*1 of 2 approvals* still needed")
	w.deny(q, "U0KIM")
	d, err := w.decided(q)
	if code(err) != refusal.ApprovalDenied || d.Votes[0].Person != "kim" || len(d.Votes) != 1 {
		t.Fatalf("got %v, %v", d, err)
	}
	w.message(q, "*Denied* by <@U0KIM>")
	w.recorded(q, "requested", "voted", "voted", "decided denied")
}

func TestQuorum(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("two-clicks")
	w.approve(q, "U0DANA")
	w.message(q, ":white_check_mark: <@U0DANA> approved")
	if status, c := r.vote(q, "oidc:sam@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	d, err := w.decided(q)
	if err != nil || len(d.Votes) != 2 {
		t.Fatalf("got %v, %v", d, err)
	}
	w.message(q, "*Approved* by <@U0DANA> and sam (from the terminal)")
	w.recorded(q, "requested", "voted", "voted", "decided approved")
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.Deadline = timestamppb.New(time.Now().Add(700 * time.Millisecond)) })
	w.message(q, approveButton)
	d, err := w.decided(q)
	if code(err) != refusal.ApprovalExpired || d.Outcome != approvals.Expired {
		t.Fatalf("got %v, %v", d, err)
	}
	m := w.message(q, "*Expired:*")
	if strings.Contains(shown(m), denyButton) {
		t.Fatal("buttons are left")
	}
	w.recorded(q, "requested", "expired expired")
}

func TestCancelledByTheGateway(t *testing.T) {
	for reason, words := range map[string]string{
		approvals.ClientGone: "the client went away", approvals.ClientCancelled: "the client cancelled", approvals.GatewayStopping: "the gateway is stopping",
		"something new": "the gateway gave up (something new)",
	} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			q := w.hold("one-click")
			w.message(q, approveButton)
			w.cancel(q, reason)
			m := w.message(q, words)
			if strings.Contains(shown(m), approveButton) {
				t.Fatal("buttons are left")
			}
			w.recorded(q, "requested", "cancelled cancelled")
			if n := len(w.decisions(q)); n != 0 {
				t.Fatalf("%d decisions for a gateway that knows", n)
			}
		})
	}
}

func TestGatewaysDeadlineIsAnExpiry(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	w.cancel(q, approvals.DeadlinePassed)
	w.message(q, "*Expired:*")
	w.recorded(q, "requested", "expired expired")
}

func TestApprovedButNotUsed(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("one-click")
	w.approve(q, "U0KIM")
	w.message(q, "*Approved*")
	w.cancel(q, approvals.RuleChanged)
	m := w.message(q, "*But it did not run:*")
	if !strings.Contains(shown(m), "*Approved* by <@U0KIM>") {
		t.Fatalf("got %s", shown(m))
	}
	w.recorded(q, "requested", "voted", "decided approved", "cancelled approved")
}

func TestCancellationOvertakesItsRequest(t *testing.T) {
	w := newWorld(t)
	q := w.held("one-click")
	w.cancel(q, approvals.ClientGone)
	r := w.start()
	until(t, "tombstone", func() bool {
		return r.ask(http.MethodGet, "/v1/approvals/"+q.Id, "oidc:riley@acme.example", "", nil) == http.StatusNotFound
	})
	w.send("requested", q, q.raw)
	w.recorded(q, "requested", "cancelled cancelled")
	after := w.hold("one-click")
	w.message(after, approveButton)
	if n := len(w.slack.Messages(channel)); n != 1 {
		t.Fatalf("%d messages", n)
	}
}

func TestAnotherChannel(t *testing.T) {
	w := newWorld(t)
	w.start()
	q := w.hold("elsewhere")
	w.messageIn("C0DBA", q, approveButton)
	if n := len(w.slack.Messages(channel)); n != 0 {
		t.Fatalf("%d messages in the default channel", n)
	}
}

func TestWithoutSlack(t *testing.T) {
	w := newWorld(t)
	r := w.start(func(c *config.Config) { c.Approval.Slack = config.Slack{Transport: "off"} })
	q := w.hold("one-click")
	until(t, "request", func() bool {
		return r.ask(http.MethodGet, "/v1/approvals/"+q.Id, "oidc:dana@acme.example", "", nil) == http.StatusOK
	})
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusOK {
		t.Fatalf("got %d %s", status, c)
	}
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
}

func TestStartIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.start()
	until(t, "record", func() bool { return len(w.read("ADMIN", "admin.approval.1")) == 1 })
}

func TestConfigurationProblemsComeTogether(t *testing.T) {
	w := newWorld(t)
	_, err := newService(w, func(c *config.Config) {
		c.Approval.Key, c.Approval.Listen, c.Approval.Instance, c.Trust.Policy = "", "", "a.b", nil
		c.Approval.Slack = config.Slack{Transport: "carrier-pigeon"}
	})
	for _, want := range []string{"$.approval.key", "$.approval.listen", "$.approval.instance", "$.trust.policy", "carrier-pigeon"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from %v", want, err)
		}
	}
	for transport, want := range map[string][]string{"socket": {"bot_token", "app_token"}, "http": {"bot_token", "signing_secret"}} {
		_, err := newService(w, func(c *config.Config) { c.Approval.Slack = config.Slack{Transport: transport} })
		for _, path := range want {
			if err == nil || !strings.Contains(err.Error(), "slack."+path) {
				t.Errorf("%s: %q is missing from %v", transport, path, err)
			}
		}
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	first, second := w.hold("one-click"), w.hold("two-clicks")
	w.approve(first, "U0DANA")
	w.message(first, "*Approved*")
	w.message(second, approveButton)
	list := func(account, state string) []string {
		var answer struct {
			Approvals []struct {
				ID      string `json:"id"`
				State   string `json:"state"`
				MayVote bool   `json:"may_vote"`
			}
		}
		if status := r.ask(http.MethodGet, "/v1/approvals?state="+state, account, "", &answer); status != http.StatusOK {
			t.Fatalf("got %d", status)
		}
		var out []string
		for _, a := range answer.Approvals {
			s := a.ID + " " + a.State
			if a.MayVote {
				s += " vote"
			}
			out = append(out, s)
		}
		return out
	}
	for name, c := range map[string]struct {
		account, state string
		want           []string
	}{
		"an approver":                    {"oidc:dana@acme.example", "", []string{second.Id + " waiting vote"}},
		"all":                            {"oidc:dana@acme.example", "all", []string{second.Id + " waiting vote", first.Id + " approved"}},
		"decided":                        {"oidc:dana@acme.example", "decided", []string{first.Id + " approved"}},
		"an approver of one rule":        {"oidc:sam@acme.example", "all", []string{second.Id + " waiting vote"}},
		"the requester and admin":        {"oidc:riley@acme.example", "all", []string{second.Id + " waiting", first.Id + " approved"}},
		"a stranger":                     {"oidc:eve@acme.example", "all", nil},
		"an account that looks like one": {"oidc:dana", "all", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := list(c.account, c.state); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPIRefusals(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.hold("one-click")
	w.message(q, approveButton)
	if status := r.ask(http.MethodGet, "/v1/approvals", "", "", nil); status != http.StatusUnauthorized {
		t.Errorf("not signed in: %d", status)
	}
	for name, c := range map[string]struct {
		account, vote string
		status        int
		code          refusal.Code
	}{
		"nobody the rule names": {"oidc:eve@acme.example", "approve", http.StatusNotFound, refusal.ApprovalUnknown},
		"the requester":         {"oidc:riley@acme.example", "approve", http.StatusForbidden, refusal.VoteSelf},
		"not a vote":            {"oidc:dana@acme.example", "maybe", http.StatusBadRequest, refusal.ApprovalInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if status, got := r.vote(q, c.account, c.vote); status != c.status || got != string(c.code) {
				t.Errorf("got %d %s", status, got)
			}
		})
	}
	other := &request{ApprovalRequest: &eventv1.ApprovalRequest{Id: "apr_01JD0000000000000000000000"}}
	if status, got := r.vote(other, "oidc:dana@acme.example", "approve"); status != http.StatusNotFound || got != string(refusal.ApprovalUnknown) {
		t.Errorf("got %d %s", status, got)
	}
	w.deny(q, "U0DANA")
	if status, got := r.vote(q, "oidc:kim@acme.example", "approve"); status != http.StatusConflict || got != string(refusal.ApprovalOver) {
		t.Errorf("after the end: %d %s", status, got)
	}
}
