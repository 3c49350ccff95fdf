package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/e2e/kit"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/passkey/passkeytest"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

const passkeyPolicy = `rules:
  - name: with-a-passkey
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/highest, repository_id: "1077", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {persons: [dana], step_up: passkey, channel: C0PROD}
    deadline: 1m
`

// secondPerson has changes of the people map take one, and puts all of it back at
// the test's end.
func secondPerson(t *testing.T, g *kit.Gatestay) {
	t.Helper()
	mode := func(from, to string) {
		if err := g.Rewrite("gatestay.yaml", func(s string) string { return strings.Replace(s, "people_changes: "+from, "people_changes: "+to, 1) }); err != nil {
			t.Fatal(err)
		}
		g.Stop(t, kit.Policy)
	}
	var before string
	if err := g.Rewrite("policies/people.yaml", func(s string) string { before = s; return s }); err != nil {
		t.Fatal(err)
	}
	mode("file", "second_person")
	g.Start(t, kit.Policy)
	t.Cleanup(func() {
		mode("second_person", "file") // the kit starts what a test leaves stopped
		if err := g.Rewrite("policies/people.yaml", func(string) string { return before }); err != nil {
			t.Fatal(err)
		}
	})
}

// A passkey comes into force with a second and a third person's clicks, and then
// nothing but it approves: not a click, and not whoever has the approval service's
// key and bus credential.
func TestRedteam20_APasskeyTakesOthersAndNothingTakesItsPlace(t *testing.T) {
	g := shared.Get(t)
	hers, err := passkeytest.New(passkey.RelyingParty{ID: "approvals.acme.example", Origin: "https://approvals.acme.example"}, passkeytest.ES256)
	if err != nil {
		t.Fatal(err)
	}
	hers.Name = kit.Marker("key")
	secondPerson(t, g)
	was := version(t, g)
	if err := g.Rewrite("policies/people.yaml", func(s string) string {
		return "relying_party: {origin: \"https://approvals.acme.example\"}\n" + strings.Replace(s, "{name: dana,", "{name: dana, passkeys: ["+hers.YAML()+"],", 1)
	}); err != nil {
		t.Fatal(err)
	}
	change := g.AwaitMessage(t, "+ dana: passkey "+hers.Name)
	if err := change.Click(t.Context(), kit.Dana, "Approve"); err != nil {
		t.Fatal(err)
	}
	g.Answers(t, kit.Dana, "you are among those who asked for this")
	change.Approve(t, kit.Kim)
	change.Await(t, "1 of 2 approvals")
	kit.Never(t, 400*time.Millisecond, func() error {
		if version(t, g) != was {
			return errors.New("the people map changed with one click")
		}
		return nil
	})
	change.Approve(t, kit.Riley)
	change.Await(t, "Approved")
	kit.Eventually(t, 10*time.Second, func() error {
		if version(t, g) == was {
			return errors.New("the gateway still has the old people map")
		}
		return nil
	})
	g.AwaitRecord(t, "action = 'people.changed' AND details['how'] = 'approval' AND has(approvers, 'kim') AND has(approvers, 'riley')", 1)

	withPolicy(t, g, "highest.yaml", passkeyPolicy)
	c := g.Connect(t, kit.Claims{"repository": "acme/highest", "repository_id": "1077", "repository_owner_id": "2002"})
	marker := kit.Marker("highest")
	held := c.Go(t, insertNote, marker)
	r, raw := request(t, g, marker)
	m := g.AwaitMessage(t, marker)
	m.Await(t, "a click here is not enough")
	if err := m.Click(t.Context(), kit.Dana, "Approve"); !errors.Is(err, kit.ErrNoButton) {
		t.Errorf("Slack offers it: %v", err)
	}
	b := thief(t, g, kit.Approval)
	decide := func(d *eventv1.ApprovalDecision) {
		t.Helper()
		signed, err := proto.Marshal(sign(t, key(t, g, kit.Approval), seal.ContextApproval, d))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(bus.ApprovalSubject("gw1", r.Id, bus.Decided), signed); err != nil {
			t.Fatal(err)
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	decide(decision(r, raw))
	kit.Never(t, 400*time.Millisecond, g.NotSeen(t, marker))
	running(t, held)
	d := decision(r, raw)
	if err := hers.Sign(r.Id, d.RequestHash, d.Votes[0], time.Now()); err != nil {
		t.Fatal(err)
	}
	decide(d)
	if _, err := held.Wait(t); err != nil {
		t.Fatal(err)
	}
}
