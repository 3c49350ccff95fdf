package approval_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const hookPeople = people + `  - {name: tess, accounts: ["webhook:teams:29:tess", "github:tess"]}
  - {name: uma, accounts: ["slack:U0UMA", "webhook:teams:29:uma"]}
`

const hookRules = rules + `
  - name: by-hook
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
    approvers: {persons: [tess, uma, kim], count: 2, channel: C0PROD}
    deadline: 15m
`

// bridge is another chat's.
type bridge struct {
	t      *testing.T
	server *httptest.Server
	signer *standardwebhooks.Webhook
	name   string

	mu     sync.Mutex
	told   []notice
	ids    []string
	answer func(n int, w http.ResponseWriter) bool // true: it has answered
	posts  int
}

type notice struct {
	Type string
	Data struct {
		ID, State, Statement, Page string
		Headline, Reason           string
		SessionID                  string `json:"session_id"`
		Token                      string `json:"vote_token"`
		Whole                      bool
		Votes                      []struct{ Person, Vote, Via string }
		Latest                     *struct{ Rows int64 }
	}
}

func newBridge(t *testing.T, name string) *bridge {
	t.Helper()
	b := &bridge{t: t, name: name}
	var err error
	if b.signer, err = standardwebhooks.NewWebhookRaw([]byte("a secret of " + name + " that is long enough")); err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewServer(http.HandlerFunc(b.take))
	t.Cleanup(b.server.Close)
	return b
}

func (b *bridge) take(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil || b.signer.Verify(raw, r.Header) != nil {
		b.t.Errorf("unsigned: %s, %v", raw, err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posts++
	if b.answer != nil && b.answer(b.posts, w) {
		return
	}
	var n notice
	if err := json.Unmarshal(raw, &n); err != nil {
		b.t.Error(err)
	}
	b.told, b.ids = append(b.told, n), append(b.ids, r.Header.Get("webhook-id"))
}

// hooked configures the service with bridges.
func hooked(bridges ...*bridge) func(*config.Config) {
	return func(c *config.Config) {
		for _, b := range bridges {
			path := filepath.Join(c.Dir, "hook-"+b.name)
			secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of "+b.name+" that is long enough"))
			if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
				b.t.Fatal(err)
			}
			c.Approval.Webhooks = append(c.Approval.Webhooks, config.Webhook{Name: b.name, URL: b.server.URL, Secret: config.Secret("file:" + path)})
		}
	}
}

// await waits until the bridge was told something.
func (b *bridge) await(what string, of func(notice) bool) notice {
	b.t.Helper()
	var found notice
	until(b.t, what, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, n := range b.told {
			if of(n) {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// told waits for an event about an approval.
func (b *bridge) event(q *request, kind string) notice {
	b.t.Helper()
	return b.await(kind, func(n notice) bool { return n.Data.ID == q.Id && n.Type == "approval."+kind })
}

// vote sends a vote back, and returns the status, the code and the next token.
func (b *bridge) vote(r *replica, body map[string]any, change ...func(*http.Request)) (status int, code, token string) {
	b.t.Helper()
	all := map[string]any{"type": "vote", "vote": "approve"}
	for k, v := range body {
		all[k] = v
	}
	raw, err := json.Marshal(all)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(r, raw, time.Now(), change...)
}

func (b *bridge) send(r *replica, raw []byte, at time.Time, change ...func(*http.Request)) (status int, code, token string) {
	b.t.Helper()
	signature, err := b.signer.Sign("msg_1", at, raw)
	if err != nil {
		b.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "http://"+r.service.Addr()+"/v1/webhooks/"+b.name+"/vote", bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	q.Header.Set("webhook-id", "msg_1")
	q.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	q.Header.Set("webhook-signature", signature)
	for _, f := range change {
		f(q)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var said struct {
		Code  string `json:"code"`
		Token string `json:"vote_token"`
	}
	_ = json.NewDecoder(answer.Body).Decode(&said)
	return answer.StatusCode, said.Code, said.Token
}

func hookWorld(t *testing.T, bridges ...*bridge) (*world, *replica) {
	t.Helper()
	w := newWorld(t)
	w.publish(hookRules, hookPeople)
	return w, w.start(hooked(bridges...))
}

// From the request over two votes to the outcome, in order, with Slack beside it.
func TestAWebhookIsToldAndVotes(t *testing.T) {
	b := newBridge(t, "teams")
	w, r := hookWorld(t, b)
	q := w.hold("by-hook", mapped, func(r *eventv1.ApprovalRequest) { r.Reason = "because \u202e<b>" })
	first := b.event(q, "requested")
	if d := first.Data; d.State != "waiting" || !d.Whole || d.Token == "" || d.SessionID != "" || !strings.Contains(d.Statement, "UPDATE customers") || strings.Contains(d.Reason, "\u202e") {
		t.Fatalf("told %+v", d)
	}
	status, code, next := b.vote(r, map[string]any{"approval": q.Id, "token": first.Data.Token, "account": "29:tess", "reason": "looks right"})
	if status != http.StatusOK || next == "" {
		t.Fatalf("got %d %s", status, code)
	}
	if n := b.event(q, "voted"); len(n.Data.Votes) != 1 || n.Data.Votes[0].Person != "tess" || n.Data.Votes[0].Via != "webhook" || n.Data.Token != next {
		t.Fatalf("told %+v, next %s", n.Data, next)
	}
	w.message(q, "(from teams)")
	if status, code, _ := b.vote(r, map[string]any{"approval": q.Id, "token": next, "account": "29:uma"}); status != http.StatusOK {
		t.Fatalf("got %d %s", status, code)
	}
	if n := b.event(q, "decided"); n.Data.State != "approved" || n.Data.Token != "" {
		t.Fatalf("told %+v", n.Data)
	}
	if d, err := w.decided(q); err != nil || d.Votes[0].Account != "webhook:teams:29:tess" {
		t.Fatalf("decided %v, %v", d, err)
	}
	raw, err := proto.Marshal(&eventv1.ApprovalOutcome{ApprovalId: q.Id, SessionId: q.SessionId, CommandId: q.CommandId, Status: "ok", Rows: 3, At: timestamppb.Now()})
	if err != nil {
		t.Fatal(err)
	}
	w.send(bus.Ran, q, raw)
	if n := b.event(q, "outcome"); n.Data.Latest == nil || n.Data.Latest.Rows != 3 {
		t.Fatalf("told %+v", n.Data)
	}
	w.message(q, "Ran: 3 rows")
}

func TestRedteam20_AWebhookVotesForItsOwnPeopleOnly(t *testing.T) {
	b, other := newBridge(t, "teams"), newBridge(t, "pager")
	w, r := hookWorld(t, b, other)
	q, another := w.hold("by-hook", mapped), w.hold("by-hook", from("tess", "", ""))
	token, tokenOther := b.event(q, "requested").Data.Token, b.event(another, "requested").Data.Token
	elsewhere := other.event(q, "requested").Data.Token
	for name, c := range map[string]struct {
		body   map[string]any
		status int
		code   refusal.Code
	}{
		"nobody whom the map knows":    {map[string]any{"approval": q.Id, "token": token, "account": "29:mallory"}, 403, refusal.VoteForbidden},
		"a Slack account":              {map[string]any{"approval": q.Id, "token": token, "account": "slack:U0KIM"}, 403, refusal.VoteForbidden},
		"another kind by its spelling": {map[string]any{"approval": q.Id, "token": token, "account": "29:tess\u200b"}, 400, refusal.ApprovalInvalid},
		"no account":                   {map[string]any{"approval": q.Id, "token": token, "account": ""}, 400, refusal.ApprovalInvalid},
		"a field that is not known":    {map[string]any{"approval": q.Id, "token": token, "account": "29:tess", "person": "kim"}, 400, refusal.ApprovalInvalid},
		"another approval's token":     {map[string]any{"approval": q.Id, "token": tokenOther, "account": "29:tess"}, 409, refusal.VoteNotHere},
		"another hook's token":         {map[string]any{"approval": q.Id, "token": elsewhere, "account": "29:tess"}, 409, refusal.VoteNotHere},
		"no token":                     {map[string]any{"approval": q.Id, "account": "29:tess"}, 409, refusal.VoteNotHere},
		"what they asked for":          {map[string]any{"approval": another.Id, "token": tokenOther, "account": "29:tess"}, 403, refusal.VoteSelf},
	} {
		if status, code, _ := b.vote(r, c.body); status != c.status || code != string(c.code) {
			t.Errorf("%s: got %d %s", name, status, code)
		}
	}
	if status, _, _ := other.vote(r, map[string]any{"approval": q.Id, "token": elsewhere, "account": "29:tess"}); status != http.StatusForbidden { // webhook:pager:29:tess is nobody
		t.Errorf("by another hook: got %d", status)
	}
	w.recorded(q, "requested")
}

func TestRedteam20_AWebhooksVoteIsSignedFreshAndNew(t *testing.T) {
	b, other := newBridge(t, "teams"), newBridge(t, "pager")
	w, r := hookWorld(t, b, other)
	q := w.hold("by-hook", mapped)
	token := b.event(q, "requested").Data.Token
	body := map[string]any{"approval": q.Id, "token": token, "account": "29:tess"}
	raw := fmt.Appendf(nil, `{"type":"vote","vote":"approve","approval":%q,"token":%q,"account":"29:tess"}`, q.Id, token)
	for name, f := range map[string]func() (int, string, string){
		"stale":           func() (int, string, string) { return b.send(r, raw, time.Now().Add(-6*time.Minute)) },
		"from the future": func() (int, string, string) { return b.send(r, raw, time.Now().Add(6*time.Minute)) },
		"unsigned": func() (int, string, string) {
			return b.vote(r, body, func(q *http.Request) { q.Header.Del("webhook-signature") })
		},
		"another body": func() (int, string, string) {
			return b.vote(r, body, func(q *http.Request) {
				q.Body = io.NopCloser(bytes.NewReader(append(raw, ' ')))
				q.ContentLength = int64(len(raw) + 1)
			})
		},
		"another id": func() (int, string, string) {
			return b.vote(r, body, func(q *http.Request) { q.Header.Set("webhook-id", "msg_2") })
		},
		"another's key": func() (int, string, string) {
			return other.vote(r, body, func(q *http.Request) { q.URL.Path = "/v1/webhooks/teams/vote" })
		},
		"no such hook": func() (int, string, string) {
			return b.vote(r, body, func(q *http.Request) { q.URL.Path = "/v1/webhooks/none/vote" })
		},
		"another version": func() (int, string, string) {
			return b.vote(r, body, func(q *http.Request) {
				q.Header.Set("webhook-signature", strings.Replace(q.Header.Get("webhook-signature"), "v1,", "v1a,", 1))
			})
		},
	} {
		if status, _, _ := f(); status != http.StatusUnauthorized {
			t.Errorf("%s: got %d", name, status)
		}
	}
	// What it was told itself, sent back, is no vote.
	b.mu.Lock()
	echo, err := json.Marshal(b.told[0])
	b.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := b.send(r, echo, time.Now()); status != http.StatusBadRequest {
		t.Errorf("an echo: got %d", status)
	}
	w.recorded(q, "requested")
	if status, code, _ := b.send(r, raw, time.Now()); status != http.StatusOK {
		t.Fatalf("got %d %s", status, code)
	}
	if status, _, _ := b.send(r, raw, time.Now()); status != http.StatusOK { // its answer was lost: the same vote is no other one
		t.Errorf("once more: got %d", status)
	}
	if status, code, _ := b.vote(r, map[string]any{"approval": q.Id, "token": token, "account": "29:uma"}); status != http.StatusConflict || code != string(refusal.VoteNotHere) {
		t.Errorf("a token used twice: got %d %s", status, code)
	}
	w.recorded(q, "requested", "voted")
}

// What is not shown whole is not approved from there.
func TestRedteam21_AWebhookDoesNotApproveWhatItDidNotShow(t *testing.T) {
	b := newBridge(t, "teams")
	w, r := hookWorld(t, b)
	q := w.hold("by-hook", mapped, func(r *eventv1.ApprovalRequest) {
		r.Statement = strings.Repeat("UPDATE a SET b = 1;\n", 1000) + "DROP TABLE users"
	})
	n := b.event(q, "requested")
	if n.Data.Whole || n.Data.Token != "" || len(n.Data.Statement) > 1100 {
		t.Fatalf("told %+v", n.Data)
	}
	if status, _, _ := b.vote(r, map[string]any{"approval": q.Id, "token": "", "account": "29:tess"}); status != http.StatusConflict {
		t.Fatalf("got %d", status)
	}
}

// An outage, a limit, a redirect and a restart: told in the end, and not elsewhere.
func TestRedteam22_AWebhookIsToldWhenItIsBack(t *testing.T) {
	b, elsewhere := newBridge(t, "teams"), newBridge(t, "elsewhere")
	var last time.Time
	var waited time.Duration
	b.answer = func(n int, w http.ResponseWriter) bool {
		switch n {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			w.Header().Set("Retry-After", "4")
			w.WriteHeader(http.StatusTooManyRequests)
			last = time.Now()
		case 3:
			waited = time.Since(last)
			w.Header().Set("Location", elsewhere.server.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		default:
			return false
		}
		return true
	}
	w, r := hookWorld(t, b)
	q := w.hold("by-hook", mapped)
	until(t, "three tries", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.posts >= 3 })
	r.stop()
	if waited < 3900*time.Millisecond {
		t.Errorf("tried again after %s, 4 s were asked for", waited)
	}
	r = w.start(hooked(b))
	b.event(q, "requested")
	w.cancel(q, "client_gone")
	b.event(q, "decided")
	r.stop()
	b.mu.Lock()
	if len(b.told) != 2 || b.ids[0] == b.ids[1] {
		t.Errorf("told %d times, as %v", len(b.told), b.ids)
	}
	b.mu.Unlock()
	elsewhere.mu.Lock()
	defer elsewhere.mu.Unlock()
	if elsewhere.posts != 0 {
		t.Error("a redirect was followed")
	}
}

func TestRedteam25_AWebhookGoesToAPlainHTTPSAddress(t *testing.T) {
	w := newWorld(t)
	good := newBridge(t, "teams")
	for name, f := range map[string]func(*config.Webhook){
		"http://10.0.0.7/hook":              func(h *config.Webhook) { h.URL = "http://10.0.0.7/hook" },
		"file:///etc/passwd":                func(h *config.Webhook) { h.URL = "file:///etc/passwd" },
		"https://user:pass@bridge.example/": func(h *config.Webhook) { h.URL = "https://user:pass@bridge.example/" },
		"name \"A.b\"":                      func(h *config.Webhook) { h.Name = "A.b" },
		"event \"all\"":                     func(h *config.Webhook) { h.Events = []string{"all"} },
		"a secret is a reference":           func(h *config.Webhook) { h.Secret = "whsec_AAAA" },
		"openssl rand":                      func(h *config.Webhook) { h.Secret = config.Secret("file:" + filepath.Join(w.dir, "bot")) },
	} {
		_, err := newService(w, hooked(good), func(c *config.Config) { f(&c.Approval.Webhooks[0]) })
		if err == nil || !strings.Contains(err.Error(), "webhooks[0]") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
