package approval_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/localslack"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// capture is a signed interaction post that never reached the service.
type capture struct {
	w       *world
	to      *replica
	request *request
	payload map[string]any
}

// captured holds a command, has a user click Approve, and keeps the post.
func (w *world) captured(r *replica, user string, change ...func(*eventv1.ApprovalRequest)) *capture {
	w.t.Helper()
	w.slack.SetInteractionURL("http://127.0.0.1:1/nowhere")
	q := w.hold("one-click", change...)
	if err := w.click(q, user, approveButton); err == nil {
		w.t.Fatal("the click arrived somewhere")
	}
	form, err := url.ParseQuery(string(w.slack.Posts()[0].Body))
	if err != nil {
		w.t.Fatal(err)
	}
	c := &capture{w: w, to: r, request: q}
	if err := json.Unmarshal([]byte(form.Get("payload")), &c.payload); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// send signs the payload, changed, as Slack would now, and posts it.
func (c *capture) send(change func(map[string]any)) int {
	c.w.t.Helper()
	raw, err := json.Marshal(c.payload)
	if err != nil {
		c.w.t.Fatal(err)
	}
	var payload map[string]any
	_ = json.Unmarshal(raw, &payload)
	if change != nil {
		change(payload)
	}
	raw, err = json.Marshal(payload)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return c.post(url.Values{"payload": {string(raw)}}.Encode(), nil)
}

func (c *capture) post(body string, change func(h http.Header)) int {
	c.w.t.Helper()
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	h := http.Header{}
	h.Set("X-Slack-Request-Timestamp", stamp)
	h.Set("X-Slack-Signature", localslack.Sign(c.w.slack.SigningSecret(), stamp, []byte(body)))
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(h)
	}
	q, err := http.NewRequestWithContext(c.w.t.Context(), http.MethodPost, "http://"+c.to.service.Addr()+"/slack/interactions", strings.NewReader(body))
	if err != nil {
		c.w.t.Fatal(err)
	}
	q.Header = h
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		c.w.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestRedteam20_UnsignedForgedAndStalePosts(t *testing.T) {
	w := newWorld(t)
	p := w.captured(w.start(overHTTP(w)), "U0DANA")
	raw, err := json.Marshal(p.payload)
	if err != nil {
		t.Fatal(err)
	}
	body := url.Values{"payload": {string(raw)}}.Encode()
	old := strconv.FormatInt(time.Now().Add(-6*time.Minute).Unix(), 10)
	early := strconv.FormatInt(time.Now().Add(6*time.Minute).Unix(), 10)
	for name, change := range map[string]func(http.Header){
		"no signature": func(h http.Header) { h.Del("X-Slack-Signature") },
		"no timestamp": func(h http.Header) { h.Del("X-Slack-Request-Timestamp") },
		"another secret": func(h http.Header) {
			h.Set("X-Slack-Signature", localslack.Sign("guess", h.Get("X-Slack-Request-Timestamp"), []byte(body)))
		},
		"an empty secret": func(h http.Header) {
			h.Set("X-Slack-Signature", localslack.Sign("", h.Get("X-Slack-Request-Timestamp"), []byte(body)))
		},
		"another body": func(h http.Header) {
			h.Set("X-Slack-Signature", localslack.Sign(w.slack.SigningSecret(), h.Get("X-Slack-Request-Timestamp"), []byte(body+"x")))
		},
		"another time": func(h http.Header) { h.Set("X-Slack-Request-Timestamp", strconv.FormatInt(time.Now().Unix()-1, 10)) },
		"another version": func(h http.Header) {
			h.Set("X-Slack-Signature", "v1"+strings.TrimPrefix(h.Get("X-Slack-Signature"), "v0"))
		},
		"replayed later": func(h http.Header) {
			h.Set("X-Slack-Request-Timestamp", old)
			h.Set("X-Slack-Signature", localslack.Sign(w.slack.SigningSecret(), old, []byte(body)))
		},
		"from the future": func(h http.Header) {
			h.Set("X-Slack-Request-Timestamp", early)
			h.Set("X-Slack-Signature", localslack.Sign(w.slack.SigningSecret(), early, []byte(body)))
		},
		"a timestamp of 0": func(h http.Header) {
			h.Set("X-Slack-Request-Timestamp", "0")
			h.Set("X-Slack-Signature", localslack.Sign(w.slack.SigningSecret(), "0", []byte(body)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if status := p.post(body, change); status != http.StatusUnauthorized {
				t.Errorf("got %d", status)
			}
		})
	}
	if status := p.post(body+"&"+body, nil); status != http.StatusBadRequest {
		t.Errorf("two payloads: %d", status)
	}
	if status := p.post("payload=%7B", nil); status != http.StatusBadRequest {
		t.Errorf("half a payload: %d", status)
	}
	if status := p.post("payload="+strings.Repeat("x", 2<<20), nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge payload: %d", status)
	}
	w.recorded(p.request, "requested")
	if status := p.send(nil); status != http.StatusOK {
		t.Fatalf("as Slack sends it: %d", status)
	}
	if _, err := w.decided(p.request); err != nil {
		t.Fatal(err)
	}
}

func TestRedteam20_ForeignPayloads(t *testing.T) {
	at := func(m map[string]any, path ...string) map[string]any {
		for _, p := range path {
			m = m[p].(map[string]any)
		}
		return m
	}
	action := func(m map[string]any) map[string]any { return m["actions"].([]any)[0].(map[string]any) }
	w := newWorld(t)
	p := w.captured(w.start(overHTTP(w)), "U0DANA")
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   int
	}{
		"another team":           {func(m map[string]any) { at(m, "team")["id"] = "T0EVIL" }, http.StatusForbidden},
		"no team":                {func(m map[string]any) { delete(m, "team") }, http.StatusForbidden},
		"another app":            {func(m map[string]any) { m["api_app_id"] = "A0EVIL" }, http.StatusForbidden},
		"no app":                 {func(m map[string]any) { delete(m, "api_app_id") }, http.StatusForbidden},
		"a user of another team": {func(m map[string]any) { at(m, "user")["team_id"] = "T0OTHER" }, http.StatusOK},
		"no user":                {func(m map[string]any) { at(m, "user")["id"] = "" }, http.StatusOK},
		"a user nobody knows":    {func(m map[string]any) { at(m, "user")["id"] = "U0NOBODY" }, http.StatusServiceUnavailable},
		"an approver by name only": {func(m map[string]any) {
			u := at(m, "user")
			u["id"], u["name"], u["username"] = "U0MALLORY", "dana", "dana"
		}, http.StatusOK},
		"another kind of action": {func(m map[string]any) { action(m)["type"] = "static_select" }, http.StatusOK},
		"another action":         {func(m map[string]any) { action(m)["action_id"] = "gatestay_approve_all" }, http.StatusOK},
		"two actions":            {func(m map[string]any) { m["actions"] = []any{action(m), action(m)} }, http.StatusOK},
		"a view's submission":    {func(m map[string]any) { m["type"] = "view_submission" }, http.StatusOK},
		"another message":        {func(m map[string]any) { at(m, "container")["message_ts"] = "1.000001" }, http.StatusOK},
		"another channel":        {func(m map[string]any) { at(m, "channel")["id"] = "C0DBA" }, http.StatusOK},
		"another approval":       {func(m map[string]any) { action(m)["value"] = "apr_01JD0000000000000000000000" }, http.StatusOK},
		"a path as approval":     {func(m map[string]any) { action(m)["value"] = "../policy_version" }, http.StatusOK},
		"a subject as approval":  {func(m map[string]any) { action(m)["value"] = "apr_*.>" }, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			if status := p.send(c.change); status != c.want {
				t.Errorf("got %d", status)
			}
			w.recorded(p.request, "requested")
		})
	}
}

func TestRedteam20_ReplayedAndDuplicatedClicks(t *testing.T) {
	w := newWorld(t)
	p := w.captured(w.start(overHTTP(w)), "U0DANA", from("ghost", "", "")) // needs two
	for range 3 {
		if status := p.send(nil); status != http.StatusOK {
			t.Fatalf("got %d", status)
		}
	}
	w.message(p.request, "*1 of 2 approvals*")
	w.recorded(p.request, "requested", "voted")
	w.slack.SetInteractionURL("http://" + p.to.service.Addr() + "/slack/interactions")
	w.slack.SetFaults(localslack.Faults{Duplicate: true})
	w.approve(p.request, "U0KIM")
	w.message(p.request, "*Approved*")
	w.recorded(p.request, "requested", "voted", "voted", "decided approved")
	if n := len(w.decisions(p.request)); n != 1 {
		t.Fatalf("%d decisions", n)
	}
	if status := p.send(nil); status != http.StatusOK { // and after the end
		t.Fatalf("got %d", status)
	}
	w.recorded(p.request, "requested", "voted", "voted", "decided approved")
}

func TestRedteam20_DuplicatedEnvelopes(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.slack.SetFaults(localslack.Faults{Duplicate: true})
	q := w.hold("one-click")
	w.deny(q, "U0DANA")
	w.message(q, "*Denied*")
	w.recorded(q, "requested", "voted", "decided denied")
	if n := len(w.slack.Ephemerals(channel, "U0DANA")); n != 0 {
		t.Fatalf("the voter was told off for the second delivery: %d", n)
	}
}

// A statement that Slack cannot show whole has no Approve button, and a click
// on one that is not there is refused.
func TestRedteam21_TooLongForSlack(t *testing.T) {
	w := newWorld(t)
	r := w.start(overHTTP(w))
	long := "UPDATE customers SET plan = 'pro' WHERE id IN (" + strings.Repeat("1234567890, ", 1500) + "0); -- DROP"
	w.slack.SetInteractionURL("http://" + r.service.Addr() + "/slack/interactions")
	q := w.hold("one-click", func(r *eventv1.ApprovalRequest) { r.Statement = long })
	m := w.message(q, "*This is not all of it.*")
	if strings.Contains(shown(m), approveButton) || !strings.Contains(shown(m), "gatestay approvals show "+q.Id) {
		t.Fatalf("got %s", shown(m))
	}
	p := w.captured(r, "U0DANA")
	if status := p.send(func(m map[string]any) {
		m["actions"].([]any)[0].(map[string]any)["value"] = q.Id
		m["container"].(map[string]any)["message_ts"] = w.message(q, q.Id).TS
	}); status != http.StatusOK {
		t.Fatalf("got %d", status)
	}
	w.told("U0DANA", "It was not shown whole in Slack")
	w.recorded(q, "requested")
	if status, c := r.vote(q, "oidc:dana@acme.example", "approve"); status != http.StatusOK { // who has read it whole may
		t.Fatalf("got %d %s", status, c)
	}
	if _, err := w.decided(q); err != nil {
		t.Fatal(err)
	}
}

// Nothing that the service writes may hold a token, and the message's buttons
// hold the approval's id only.
func TestRedteam15_NoSecretInMessageOrLog(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	w.log = zerolog.New(&lockedWriter{w: &log})
	r := w.start(func(c *config.Config) { c.Approval.Slack.Transport = "socket" })
	q := w.hold("one-click")
	w.approve(q, "U0DANA")
	w.message(q, "*Approved*")
	r.stop()
	for _, secret := range []string{w.slack.BotToken(), w.slack.AppToken(), w.slack.SigningSecret(), q.Statement} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if log.Len() == 0 {
		t.Fatal("the log is empty")
	}
}
