package approval_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	approvals "github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/passkey/passkeytest"
	"github.com/gatestay/gatestay/libs/seal"
)

const stepUpRule = rules + `
  - name: highest
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.verb == "drop table"
    approvers: {persons: [dana, kim], count: 1, channel: C0PROD, step_up: passkey}
    deadline: 15m
`

// freePort is one that nobody listens at, for an address that must be known before.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no port")
	}
	return a.Port
}

// named has a replica's pages under a name, which passkeys need.
func named(port int) func(*config.Config) {
	return func(c *config.Config) {
		c.Approval.Listen = fmt.Sprintf("127.0.0.1:%d", port)
		c.Approval.URL = fmt.Sprintf("http://localhost:%d", port)
	}
}

// withPasskeys publishes a rule that asks for them, and a people map that has one
// for each of these persons.
func (w *world) withPasskeys(origin string, of ...string) map[string]*passkeytest.Authenticator {
	w.t.Helper()
	rp, err := passkey.At(origin, "")
	if err != nil {
		w.t.Fatal(err)
	}
	out, text := map[string]*passkeytest.Authenticator{}, "relying_party: {origin: \""+origin+"\"}\n"+people
	for _, name := range of {
		if out[name], err = passkeytest.New(rp, passkeytest.ES256); err != nil {
			w.t.Fatal(err)
		}
		text = strings.Replace(text, "{name: "+name+",", "{name: "+name+", passkeys: ["+out[name].YAML()+"],", 1)
	}
	w.publish(stepUpRule, text)
	return out
}

// No place but the inbox's page, and nothing but the voter's own passkey, approves
// where the rule asks for one. Denying stays easy.
func TestRedteam19_TheHighestClassIsNotApprovedByAClick(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	port := freePort(t)
	w.withPasskeys(fmt.Sprintf("http://localhost:%d", port), "dana")
	r := w.start(withInbox(i), named(port))
	q := w.hold("highest")

	m := w.message(q, "Approve with your passkey")
	if !strings.Contains(shown(m), "Waiting for <@U0DANA>\"") || strings.Contains(shown(m), "<@U0KIM>") {
		t.Errorf("kim has no passkey, and is asked: %s", shown(m))
	}
	if strings.Contains(shown(m), approveButton) || !strings.Contains(shown(m), denyButton) {
		t.Errorf("the message has these buttons: %s", shown(m))
	}
	if !strings.Contains(shown(m), fmt.Sprintf("http://localhost:%d/approvals/%s", port, q.Id)) {
		t.Error("it does not lead to the page")
	}
	for _, c := range []struct{ account, code, says string }{
		{"oidc:dana@acme.example", "GS1319", fmt.Sprintf("open http://localhost:%d/approvals/%s and approve there", port, q.Id)},
		{"oidc:kim@acme.example", "GS1319", "the people map has none of yours"},
	} {
		status, body := r.said(q, c.account, `{"vote":"approve"}`)
		if status != http.StatusConflict || !strings.Contains(body, c.code) || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.account, status, body)
		}
	}
	b := r.browserAt(fmt.Sprintf("http://localhost:%d", port))
	b.signIn(i, "dana", "/")
	if a := b.act(q, "approve"); a.status != http.StatusConflict || !strings.Contains(a.body, "GS1319") {
		t.Errorf("a form without an assertion: %d %s", a.status, a.body)
	}
	if status, body := r.said(q, "oidc:kim@acme.example", `{"vote":"deny"}`); status != http.StatusOK {
		t.Errorf("denying: %d %s", status, body)
	}
}

// What passes the approval service passes the gateway, and is checked offline.
func TestAPasskeyApproves(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	port := freePort(t)
	origin := fmt.Sprintf("http://localhost:%d", port)
	keys := w.withPasskeys(origin, "dana", "kim")
	r := w.start(withInbox(i), named(port))
	b := r.browserAt(origin)
	b.signIn(i, "dana", "/")
	for name, c := range map[string]struct {
		by     *passkeytest.Authenticator
		change func(*stepForm)
		ok     bool
	}{
		"another's passkey":        {keys["kim"], nil, false},
		"another reason":           {keys["dana"], func(f *stepForm) { f.set("reason", "something else") }, false},
		"at another time":          {keys["dana"], func(f *stepForm) { f.set("at", fmt.Sprint(time.Now().Add(time.Second).UnixMilli())) }, false},
		"an hour ago":              {keys["dana"], func(f *stepForm) { f.set("at", fmt.Sprint(time.Now().Add(-time.Hour).UnixMilli())) }, false},
		"no signature":             {keys["dana"], func(f *stepForm) { f.set("signature", "") }, false},
		"what is no base64":        {keys["dana"], func(f *stepForm) { f.set("signature", "***") }, false},
		"as it should be":          {keys["dana"], nil, true},
		"on another origin's page": {elsewhere(keys["dana"]), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := w.hold("highest")
			a := b.stepUp(q, c.by, c.change, "reason", "the table is empty")
			if !c.ok {
				if a.status == http.StatusSeeOther {
					t.Errorf("got %d %s", a.status, a.body)
				}
				return
			}
			if a.status != http.StatusSeeOther {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			d, err := w.decided(q)
			if err != nil {
				t.Fatalf("the gateway would refuse it: %v", err)
			}
			if steps := w.recorded(q, "requested", "voted", "decided approved"); steps[1].Details["step_up"] != "passkey" {
				t.Errorf("the record of the vote says %v", steps[1].Details)
			}
			d.Votes[0].Assertion = nil // by whoever has the service's key
			key, err := seal.LoadOrGenerate(filepath.Join(w.dir, "approval"))
			if err != nil {
				t.Fatal(err)
			}
			forged, err := approvals.Sign(key, d)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := w.verify(q, forged); err == nil {
				t.Errorf("without its assertion it is used: %v", got)
			}
		})
	}
}

// said votes from the terminal and returns what came back.
func (r *replica) said(q *request, account, body string) (int, string) {
	r.w.t.Helper()
	var answer map[string]any
	status := r.ask(http.MethodPost, "/v1/approvals/"+q.Id+"/vote", account, body, &answer)
	return status, fmt.Sprint(answer)
}

// browserAt is a browser that calls the replica by a name.
func (r *replica) browserAt(origin string) *browser {
	b := r.browser()
	b.base = origin
	return b
}

// stepForm is a form on its way, to be changed.
type stepForm struct{ url.Values }

func (f *stepForm) set(name, value string) { f.Set(name, value) }

// stepUp approves as the page's script does, with an authenticator in software.
func (b *browser) stepUp(q *request, by *passkeytest.Authenticator, change func(*stepForm), fields ...string) answer {
	b.t.Helper()
	b.sees("/approvals/"+q.Id, `data-challenge`)
	form := url.Values{"token": {b.token("/approvals/" + q.Id)}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	var asked struct {
		At      string
		Options struct {
			Challenge        string
			RpID             string `json:"rpId"`
			UserVerification string
			AllowCredentials []struct{ ID string }
		}
	}
	a := b.send(http.MethodPost, "/approvals/"+q.Id+"/challenge", form, "Origin", b.base)
	if err := json.Unmarshal([]byte(a.body), &asked); err != nil || a.status != http.StatusOK {
		b.t.Fatalf("no challenge: %d %s", a.status, a.body)
	}
	if asked.Options.RpID != "localhost" || asked.Options.UserVerification != "required" || len(asked.Options.AllowCredentials) != 1 {
		b.t.Errorf("it asks %s", a.body)
	}
	raw, err := base64.RawURLEncoding.DecodeString(asked.Options.Challenge)
	if err != nil {
		b.t.Fatal(err)
	}
	made, err := by.Assert(raw)
	if err != nil {
		b.t.Fatal(err)
	}
	form.Set("at", asked.At)
	for name, value := range map[string][]byte{"credential": made.CredentialId, "authenticator": made.AuthenticatorData, "client": made.ClientData, "signature": made.Signature} {
		form.Set(name, base64.RawURLEncoding.EncodeToString(value))
	}
	if change != nil {
		change(&stepForm{form})
	}
	return b.send(http.MethodPost, "/approvals/"+q.Id+"/approve", form, "Origin", b.base)
}

// elsewhere is a passkey that a page of another origin uses.
func elsewhere(a *passkeytest.Authenticator) *passkeytest.Authenticator {
	other := *a
	other.RP.Origin = "http://localhost:1"
	return &other
}
