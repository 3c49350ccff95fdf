package localslack

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
)

func dana(ts string) Click {
	return Click{User: "U0DANA", Channel: "C0PROD", TS: ts, ActionID: "approve"}
}

func TestSocketModeClick(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	got := make(chan slack.InteractionCallback, 1)
	app(t, w, func(c *socketmode.Client, e socketmode.Event) {
		_ = c.Ack(*e.Request)
		got <- e.Data.(slack.InteractionCallback)
	})
	d, err := w.Click(t.Context(), dana(ts))
	if err != nil || !d.Acknowledged || d.Via != "socket" || d.Attempts != 1 {
		t.Fatalf("got %+v, %v", d, err)
	}
	i := <-got
	a := i.ActionCallback.BlockActions[0]
	if i.Type != slack.InteractionTypeBlockActions || i.User.ID != "U0DANA" || i.User.TeamID != w.TeamID() || i.Team.ID != w.TeamID() ||
		i.APIAppID != w.AppID() || i.Channel.ID != "C0PROD" || i.Container.MessageTs != ts || i.Message.Timestamp != ts ||
		a.ActionID != "approve" || a.BlockID != "acts" || a.Value != "apr_1" || a.ActionTs == "" || i.TriggerID == "" {
		t.Fatalf("got %+v", i)
	}
}

func TestClickNeedsAButtonThatTheUserSees(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	_, dba, err := api.PostMessage("C0DBA", slack.MsgOptionText("x", false), buttons())
	if err != nil {
		t.Fatal(err)
	}
	w.SetUser(User{ID: "U0KIM", Name: "kim", Deleted: true})
	for name, c := range map[string]Click{
		"unknown user":     {User: "U0NONE", Channel: "C0PROD", TS: ts, ActionID: "approve"},
		"deactivated user": {User: "U0KIM", Channel: "C0PROD", TS: ts, ActionID: "approve"},
		"not a member":     {User: "U0GUEST", Channel: "C0DBA", TS: dba, ActionID: "approve"},
		"no such message":  {User: "U0DANA", Channel: "C0PROD", TS: "1.2", ActionID: "approve"},
		"no such action":   {User: "U0DANA", Channel: "C0PROD", TS: ts, ActionID: "deny"},
		"no such block":    {User: "U0DANA", Channel: "C0PROD", TS: ts, ActionID: "approve", BlockID: "other"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.Click(t.Context(), c); !errors.Is(err, ErrNoButton) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestUnacknowledgedEnvelopeComesAgain(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	var calls atomic.Int32
	retries := make(chan *socketmode.Request, 4)
	app(t, w, func(c *socketmode.Client, e socketmode.Event) {
		retries <- e.Request
		if calls.Add(1) == 2 {
			_ = c.Ack(*e.Request)
		}
	})
	d, err := w.Click(t.Context(), dana(ts))
	if err != nil || d.Attempts != 2 {
		t.Fatalf("got %+v, %v", d, err)
	}
	first, second := <-retries, <-retries
	if first.EnvelopeID != second.EnvelopeID || first.RetryAttempt != 0 || second.RetryAttempt != 1 || second.RetryReason == "" {
		t.Fatalf("got %+v then %+v", first, second)
	}
}

func TestUserSeesThatTheAppDidNotRespond(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	if _, err := w.Click(t.Context(), dana(ts)); !errors.Is(err, ErrUnacknowledged) {
		t.Fatalf("got %v", err)
	}
	if e := w.Ephemerals("C0PROD", "U0DANA"); len(e) != 1 || !strings.Contains(e[0].Text, "did not respond") {
		t.Fatalf("got %+v", e)
	}
}

func TestAnyConnectionGetsTheEnvelope(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	var counts [2]atomic.Int32
	for i := range counts {
		app(t, w, func(c *socketmode.Client, e socketmode.Event) {
			counts[i].Add(1)
			_ = c.Ack(*e.Request)
		})
	}
	for range 6 {
		if _, err := w.Click(t.Context(), dana(ts)); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := counts[0].Load(), counts[1].Load(); a != 3 || b != 3 {
		t.Fatalf("got %d and %d", a, b)
	}
}

func TestReconnects(t *testing.T) {
	for name, cut := range map[string]func(*Workspace){
		"asked to": (*Workspace).RefreshConnections,
		"cut off":  (*Workspace).DropConnections,
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.AckTimeout = 5 * time.Second
			w, api := start(t, o)
			ts := postButtons(t, api)
			app(t, w, func(c *socketmode.Client, e socketmode.Event) { _ = c.Ack(*e.Request) })
			old, _ := w.link.pick()
			cut(w)
			until(t, "new connection", func() bool { s, _ := w.link.pick(); return s != nil && s != old })
			if _, err := w.Click(t.Context(), dana(ts)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTicketWorksOnce(t *testing.T) {
	w, api := start(t, options())
	_, address, err := api.StartSocketModeContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ticket := address[strings.Index(address, "ticket=")+7 : strings.Index(address, "&app_id")]
	if !w.link.redeem(ticket, time.Now()) || w.link.redeem(ticket, time.Now()) {
		t.Fatal("a ticket works exactly once")
	}
	_, address, _ = api.StartSocketModeContext(t.Context())
	ticket = address[strings.Index(address, "ticket=")+7 : strings.Index(address, "&app_id")]
	if w.link.redeem(ticket, time.Now().Add(time.Minute)) {
		t.Fatal("a ticket ages")
	}
}

func TestSignedPost(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	var bodies []string
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		v, err := slack.NewSecretsVerifier(r.Header, w.SigningSecret())
		if err == nil {
			_, _ = v.Write(raw)
			err = v.Ensure()
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusUnauthorized)
			return
		}
		mu.Lock()
		bodies = append(bodies, string(raw))
		mu.Unlock()
	}))
	defer s.Close()
	w.SetInteractionURL(s.URL)
	w.SetFaults(Faults{Duplicate: true})
	d, err := w.Click(t.Context(), dana(ts))
	if err != nil || d.Via != "http" || !d.Acknowledged {
		t.Fatalf("got %+v, %v", d, err)
	}
	if len(bodies) != 2 || bodies[0] != bodies[1] || len(w.Posts()) != 2 {
		t.Fatalf("a duplicate is the same again: %d", len(bodies))
	}
	stamp := w.Posts()[0].Header.Get("X-Slack-Request-Timestamp")
	if n, err := strconv.ParseInt(stamp, 10, 64); err != nil || time.Since(time.Unix(n, 0)) > time.Minute {
		t.Fatalf("timestamp %s", stamp)
	}
}

func TestResponseURL(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := options()
	o.Clock = func() time.Time { return now }
	w, api := start(t, o)
	ts := postButtons(t, api)
	address := make(chan string, 8)
	app(t, w, func(c *socketmode.Client, e socketmode.Event) {
		_ = c.Ack(*e.Request)
		address <- e.Data.(slack.InteractionCallback).ResponseURL
	})
	click := func() string {
		if _, err := w.Click(t.Context(), dana(ts)); err != nil {
			t.Fatal(err)
		}
		return <-address
	}
	url := click()
	for i := range responseUses {
		_, _, err := api.PostMessage("", slack.MsgOptionResponseURL(url, slack.ResponseTypeEphemeral), slack.MsgOptionText("n"+strconv.Itoa(i), false))
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := api.PostMessage("", slack.MsgOptionResponseURL(url, slack.ResponseTypeEphemeral), slack.MsgOptionText("x", false)); err == nil {
		t.Fatal("a sixth use")
	}
	if n := len(w.Ephemerals("C0PROD", "U0DANA")); n != responseUses {
		t.Fatalf("%d ephemeral messages", n)
	}
	url = click()
	if err := slack.PostWebhook(url, &slack.WebhookMessage{Text: "decided", ReplaceOriginal: true}); err != nil {
		t.Fatal(err)
	}
	if m := w.Messages("C0PROD"); len(m) != 1 || m[0].Text != "decided" {
		t.Fatalf("got %+v", m)
	}
	now = now.Add(31 * time.Minute)
	if err := slack.PostWebhook(url, &slack.WebhookMessage{Text: "late"}); err == nil {
		t.Fatal("used after half an hour")
	}
}

func TestModal(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	trigger := make(chan string, 1)
	submitted := make(chan slack.InteractionCallback, 1)
	app(t, w, func(c *socketmode.Client, e socketmode.Event) {
		i := e.Data.(slack.InteractionCallback)
		if i.Type == slack.InteractionTypeBlockActions {
			_ = c.Ack(*e.Request)
			trigger <- i.TriggerID
			return
		}
		submitted <- i
		if i.View.State.Values["why"]["text"].Value == "no" {
			_ = c.Ack(*e.Request, slack.NewErrorsViewSubmissionResponse(map[string]string{"why": "say more"}))
			return
		}
		_ = c.Ack(*e.Request)
	})
	if _, err := w.Click(t.Context(), dana(ts)); err != nil {
		t.Fatal(err)
	}
	id := <-trigger
	input := slack.NewInputBlock("why", plainText("Why?"), nil, slack.NewPlainTextInputBlockElement(nil, "text"))
	modal := slack.ModalViewRequest{Type: slack.VTModal, Title: plainText("Deny"), Submit: plainText("Deny"), PrivateMetadata: "apr_1", CallbackID: "deny", Blocks: slack.Blocks{BlockSet: []slack.Block{input}}}
	v, err := api.OpenView(id, modal)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.OpenView(id, modal); err == nil || err.Error() != "exchanged_trigger_id" {
		t.Fatalf("a trigger works once: %v", err)
	}
	if open, ok := w.Open("U0DANA"); !ok || open["id"] != v.View.ID {
		t.Fatalf("got %v", open)
	}
	say := func(words string) error {
		_, err := w.Submit(t.Context(), Submission{User: "U0DANA", View: v.View.ID, Values: map[string]map[string]string{"why": {"text": words}}})
		return err
	}
	if err := say(""); err == nil {
		t.Fatal("a required input left empty")
	}
	if err := say("no"); err != nil {
		t.Fatal(err)
	}
	if i := <-submitted; i.View.PrivateMetadata != "apr_1" || i.View.CallbackID != "deny" || i.User.ID != "U0DANA" {
		t.Fatalf("got %+v", i.View)
	}
	if _, open := w.Open("U0DANA"); !open {
		t.Fatal("errors keep the modal open")
	}
	if err := say("wrong table"); err != nil {
		t.Fatal(err)
	}
	<-submitted
	if _, open := w.Open("U0DANA"); open {
		t.Fatal("a taken submission closes the modal")
	}
}

func TestTriggerAges(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := options()
	o.Clock = func() time.Time { return now }
	w, api := start(t, o)
	ts := postButtons(t, api)
	payload, err := w.press(dana(ts))
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(4 * time.Second)
	_, err = api.OpenView(payload["trigger_id"].(string), slack.ModalViewRequest{Type: slack.VTModal, Title: plainText("x")})
	wantError(t, err, "expired_trigger_id")
}

func TestAwait(t *testing.T) {
	w, api := start(t, options())
	found := make(chan Message, 1)
	go func() {
		m, _ := w.Await(t.Context(), "C0PROD", func(m Message) bool { return m.Text == "now" })
		found <- m
	}()
	if _, _, err := api.PostMessage("C0PROD", slack.MsgOptionText("now", false)); err != nil {
		t.Fatal(err)
	}
	if m := <-found; m.Text != "now" {
		t.Fatalf("got %+v", m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Await(ctx, "C0PROD", func(Message) bool { return false }); err == nil {
		t.Fatal("waited for nothing")
	}
}

func TestPayloadIsValidJSON(t *testing.T) {
	w, api := start(t, options())
	payload, err := w.press(dana(postButtons(t, api)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(payload)
	if err != nil || !json.Valid(raw) {
		t.Fatal(err)
	}
}
