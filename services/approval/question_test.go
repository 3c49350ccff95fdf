package approval_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/libs/refusal"
)

const askButton = "gatestay_ask"

// said asks or answers by the API, and returns the status and the refusal's code.
func (r *replica) words(q *request, account, what, text string) (int, string) {
	r.w.t.Helper()
	var answer struct{ Code string }
	status := r.ask(http.MethodPost, "/v1/approvals/"+q.Id+"/"+what, account, fmt.Sprintf(`{"text":%q}`, text), &answer)
	return status, answer.Code
}

// thread waits for a message in the thread of the approval's.
func (w *world) thread(q *request, text string) localslack.Message {
	w.t.Helper()
	ts := w.message(q, approveButton).TS
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	m, err := w.slack.Await(ctx, channel, func(m localslack.Message) bool { return m.ThreadTS == ts && strings.Contains(shown(m), text) })
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// A question goes into the thread, to whom it is for; their reply is its answer, and
// nothing else is; neither is a vote.
func TestAQuestionIsAnsweredInTheThread(t *testing.T) {
	for _, via := range []string{"socket", "http"} {
		t.Run(via, func(t *testing.T) {
			w := newWorld(t)
			change := func(*config.Config) {}
			if via == "http" {
				change = func(c *config.Config) { c.Approval.Slack.Transport = "http" }
			}
			r := w.start(change)
			if via == "http" {
				w.slack.SetInteractionURL("http://" + r.service.Addr() + "/slack/interactions")
				w.slack.SetEventURL("http://" + r.service.Addr() + "/slack/events")
			}
			q := w.hold("one-click", from("riley", "", "kim@acme.example"))
			if err := w.click(q, "U0DANA", askButton); err != nil {
				t.Fatal(err)
			}
			if _, _, err := w.slack.Answer(t.Context(), "U0DANA", "why *all* <!channel> of them?"); err != nil {
				t.Fatal(err)
			}
			asked := w.thread(q, "asks: ")
			if s := shown(asked); !strings.Contains(s, "<@U0KIM>, <@U0DANA> asks") || strings.Contains(s, "<!channel>") {
				t.Fatalf("asked %s", s)
			}
			for _, other := range []string{"U0RILEY", "U0DANA", "U0MALLORY", "U0GUEST"} { // riley started it, and was not asked
				if _, err := w.slack.Say(t.Context(), other, channel, asked.ThreadTS, "approve, it is fine"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.slack.Say(t.Context(), "U0KIM", channel, "", "not in the thread"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.slack.Say(t.Context(), "U0KIM2", channel, asked.ThreadTS, "the plan is < 5 & free"); err != nil { // another account of theirs
				t.Fatal(err)
			}
			m := w.message(q, "the plan is")
			if s := shown(m); !strings.Contains(s, "the plan is &lt; 5 &amp; free") || !strings.Contains(s, approveButton) {
				t.Fatalf("shown %s", s)
			}
			steps := w.recorded(q, "requested", "asked", "answered")
			if s := steps[1]; s.Actor != "dana" || s.Details["to"] != "oidc:kim@acme.example" || s.Reason != "why *all* <!channel> of them?" {
				t.Fatalf("recorded %v", s)
			}
			if s := steps[2]; s.Actor != "kim" || s.Details["account"] != "slack:U0KIM2" || s.Reason != "the plan is < 5 & free" {
				t.Fatalf("recorded %v", s)
			}
			if _, err := w.slack.Say(t.Context(), "U0KIM", channel, asked.ThreadTS, "one thing more"); err != nil { // nothing waits for it
				t.Fatal(err)
			}
			w.approve(q, "U0DANA")
			w.recorded(q, "requested", "asked", "answered", "voted", "decided approved")
			posts := slices.DeleteFunc(w.slack.Messages(channel), func(m localslack.Message) bool { return m.BotID == "" })
			if len(posts) != 2 {
				t.Fatalf("%d messages of ours", len(posts))
			}
		})
	}
}

func TestRedteam19_AQuestionIsOfAnApproverAndItsAnswerOfWhoWasAsked(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	r := w.start(withInbox(i))
	q := w.hold("one-click", from("riley", "", "kim@acme.example"))
	w.message(q, askButton)
	for account, want := range map[string]refusal.Code{
		"oidc:kim@acme.example": refusal.VoteSelf, "oidc:riley@acme.example": refusal.VoteSelf, "oidc:sam@acme.example": refusal.ApprovalUnknown,
	} {
		if status, c := r.words(q, account, "ask", "may I?"); c != string(want) {
			t.Errorf("%s asks: %d %s", account, status, c)
		}
	}
	if status, c := r.words(q, "oidc:dana@acme.example", "ask", " \u200b "); status != http.StatusBadRequest {
		t.Errorf("nothing is asked: %d %s", status, c)
	}
	if status, c := r.words(q, "oidc:kim@acme.example", "answer", "early"); status != http.StatusConflict {
		t.Errorf("answered before it was asked: %d %s", status, c)
	}
	for range 2 { // a form sent twice
		if status, c := r.words(q, "oidc:dana@acme.example", "ask", "what for?"); status != http.StatusOK {
			t.Fatalf("%d %s", status, c)
		}
	}
	w.thread(q, "<@U0KIM>, <@U0DANA> (from the terminal) asks: what for?")
	if status, c := r.words(q, "oidc:riley@acme.example", "answer", "for me"); status != http.StatusForbidden || c != string(refusal.VoteForbidden) {
		t.Errorf("another requester answers: %d %s", status, c)
	}
	kim := r.signedIn(i, "kim")
	kim.sees("/approvals/"+q.Id, "Your answer")
	if a := kim.act(q, "answer", "text", "for the <b>release</b>"); a.status != http.StatusSeeOther {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	r.signedIn(i, "dana").sees("/approvals/"+q.Id, "for the &lt;b&gt;release&lt;/b&gt;")
	for n := 1; ; n++ {
		status, c := r.words(q, "oidc:dana@acme.example", "ask", fmt.Sprintf("and %d?", n))
		if status == http.StatusOK && n < 10 {
			continue
		}
		if n != 10 || status != http.StatusBadRequest {
			t.Errorf("question %d: %d %s", n+1, status, c)
		}
		break
	}
	w.deny(q, "U0DANA")
	w.message(q, "Denied")
	if status, c := r.words(q, "oidc:dana@acme.example", "ask", "too late?"); status != http.StatusConflict || c != string(refusal.ApprovalOver) {
		t.Errorf("asked afterwards: %d %s", status, c)
	}
	if status, c := r.words(q, "oidc:kim@acme.example", "answer", "too late"); status != http.StatusConflict || c != string(refusal.ApprovalOver) {
		t.Errorf("answered afterwards: %d %s", status, c)
	}
}

// Events are signed as clicks are.
func TestRedteam20_AnUnsignedEventIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	r := w.start(func(c *config.Config) { c.Approval.Slack.Transport = "http" })
	q := w.hold("one-click", from("riley", "", "kim@acme.example"))
	ts := w.message(q, askButton).TS
	if status, c := r.words(q, "oidc:dana@acme.example", "ask", "what for?"); status != http.StatusOK {
		t.Fatalf("%d %s", status, c)
	}
	w.thread(q, "asks: ") // what comes before the question is in the thread answers nothing
	body := fmt.Sprintf(`{"team_id":%q,"api_app_id":%q,"type":"event_callback","event":{"type":"message","channel":%q,"user":"U0KIM","text":"forged","ts":"1.2","thread_ts":%q}}`, w.slack.TeamID(), w.slack.AppID(), channel, ts)
	if status := r.ask(http.MethodPost, "/slack/events", "", body, nil); status != http.StatusUnauthorized {
		t.Errorf("got %d", status)
	}
	w.slack.SetEventURL("http://" + r.service.Addr() + "/slack/events")
	if _, err := w.slack.Say(t.Context(), "U0KIM", channel, ts, "mine"); err != nil {
		t.Fatal(err)
	}
	w.recorded(q, "requested", "asked", "answered")
}
