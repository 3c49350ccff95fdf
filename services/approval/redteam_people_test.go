package approval_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	approvals "github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	folk "github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// change is a request of the policy service for another people map.
func (w *world) change(to string, alter ...func(*eventv1.ApprovalRequest)) *request {
	w.t.Helper()
	next, err := policy.ReadPeople([]byte(to))
	if err != nil {
		w.t.Fatal(err)
	}
	r := folk.Request(w.engine.People(), []byte(people), []byte(to), w.engine.People().Change(next), w.version, time.Now())
	for _, f := range alter {
		f(r)
	}
	raw, err := proto.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return &request{r, raw}
}

// ask publishes a request under a gateway's name, marked by a key.
func (w *world) ask(r *request, gateway string, key *seal.Key) {
	w.t.Helper()
	m := nats.NewMsg(bus.ApprovalSubject(gateway, r.Id, bus.Requested))
	m.Data = r.raw
	if key != nil {
		mark, err := folk.Mark(key, r.raw)
		if err != nil {
			w.t.Fatal(err)
		}
		m.Header.Set(bus.TagHeader, hex.EncodeToString(mark))
	}
	if _, err := w.bus.JS.PublishMsg(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

// kimsMap gives kim another account.
var kimsMap = strings.Replace(people, `"github:kim"]`, `"github:kim", "gitlab:kim"]`, 1)

// A change of the people map is asked in Slack as any approval, of everybody but
// whom it serves, and the policy service takes the decision.
func TestAChangeOfThePeopleMapIsAsked(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	q := w.change(kimsMap)
	w.ask(q, folk.Gateway, w.key)
	m := w.message(q, "has changed who is who, and who may approve. It comes into force when approved")
	if !strings.Contains(shown(m), "+ kim: gitlab:kim") || !strings.Contains(shown(m), "2 of 2 approvals") || !strings.Contains(shown(m), "does not know who changed the file") || strings.Contains(shown(m), "<@U0KIM>") {
		t.Errorf("it shows %s", shown(m))
	}
	if status, code := r.vote(q, "oidc:kim@acme.example", "approve"); status != 403 || code != "GS1308" {
		t.Errorf("kim, whom it serves: %d %s", status, code)
	}
	w.approve(q, "U0DANA")
	w.message(q, "1 of 2 approvals")
	if status, code := r.vote(q, "oidc:sam@acme.example", "approve"); status != 200 {
		t.Fatalf("sam: %d %s", status, code)
	}
	w.message(q, "Approved")
	subject := bus.ApprovalSubject(folk.Gateway, q.Id, bus.Decided)
	until(t, "a decision", func() bool { return len(w.read(bus.StreamApprovals, subject)) > 0 })
	signed := &eventv1.Signed{}
	if err := proto.Unmarshal(w.read(bus.StreamApprovals, subject)[0], signed); err != nil {
		t.Fatal(err)
	}
	next, err := policy.ReadPeople([]byte(kimsMap))
	if err != nil {
		t.Fatal(err)
	}
	now := w.engine.People()
	want := folk.Expect(q.ApprovalRequest, q.raw, now, []byte(people), []byte(kimsMap), now.Change(next), time.Now())
	if d, err := approvals.Verify(w.trust(), signed, want); err != nil {
		t.Errorf("the policy service would refuse %v: %v", d, err)
	}
	other := strings.Replace(people, `"github:kim"]`, `"github:kim", "gitlab:eve"]`, 1)
	want.Digest = folk.Digest([]byte(people), []byte(other))
	if _, err := approvals.Verify(w.trust(), signed, want); err == nil {
		t.Error("it is good for another change, too")
	}
}

// Only the policy service asks for a change of the people map, and only by what
// the map in force says.
func TestRedteam20_NobodyElseAsksForAnotherPeopleMap(t *testing.T) {
	w := newWorld(t)
	w.start()
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	refused, forged := 0, 0
	for _, c := range []struct {
		name, gateway string
		key           *seal.Key
		alter         func(*eventv1.ApprovalRequest)
		forged        bool // taken, and ended
	}{
		{"without a signature", folk.Gateway, nil, nil, false},
		{"a stranger's", folk.Gateway, stranger, nil, false},
		{"a gateway's", "gw1", w.key, func(r *eventv1.ApprovalRequest) { r.Gateway = "gw1" }, false},
		{"a command in the policy service's name", folk.Gateway, w.key, func(r *eventv1.ApprovalRequest) { r.People = nil }, false},
		{"of another rule", folk.Gateway, w.key, func(r *eventv1.ApprovalRequest) { r.Rule = "one-click" }, false},
		{"with a grant", folk.Gateway, w.key, func(r *eventv1.ApprovalRequest) { r.Offer = &eventv1.Offer{Scopes: []string{"run"}} }, false},
		{"of another map than it says", folk.Gateway, w.key, func(r *eventv1.ApprovalRequest) { r.People.From = make([]byte, 32) }, false},
		{"of other approvers", folk.Gateway, w.key, func(r *eventv1.ApprovalRequest) { r.Approvers.Persons = []string{"kim"} }, true},
	} {
		var alter []func(*eventv1.ApprovalRequest)
		if c.alter != nil {
			alter = append(alter, c.alter)
		}
		q := w.change(kimsMap, alter...)
		w.ask(q, c.gateway, c.key)
		if c.forged {
			forged++
		} else {
			refused++
		}
		until(t, c.name, func() bool {
			n := map[string]int{}
			for _, action := range w.findings() {
				n[action]++
			}
			return n["approval.request_refused"] == refused && n["approval.request_forged"] == forged
		})
	}
	for _, m := range w.slack.Messages(channel) {
		if strings.Contains(shown(m), approveButton) {
			t.Errorf("somebody is asked: %s", shown(m))
		}
	}
}
