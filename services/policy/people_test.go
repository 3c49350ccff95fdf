package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy"
)

const folk = `people:
  - {name: dana, accounts: ["slack:U0DANA", "oidc:dana@x"]}
  - {name: kim, accounts: ["slack:U0KIM"]}
  - {name: lee, accounts: ["slack:U0LEE"]}
  - {name: sam, accounts: ["slack:U0SAM"]}
`

// kims gives kim another account.
var kims = strings.Replace(folk, `"slack:U0KIM"`, `"slack:U0KIM", "oidc:kim@x"`, 1)

// town is a world with a people map, and the key of an approval service.
type town struct {
	*world
	approvals *seal.Key
}

func newTown(t *testing.T, mode string) *town {
	t.Helper()
	w := &town{world: newWorld(t)}
	var err error
	if w.approvals, err = seal.LoadOrGenerate(filepath.Join(w.dir, "keys/approval.pem")); err != nil {
		t.Fatal(err)
	}
	w.write("gatestay.yaml", strings.Replace(w.yaml("trust: {approval: [keys/approval.pem.pub]}"), "policy: {", "policy: {people_changes: "+mode+", ", 1))
	w.write("policies/people.yaml", folk)
	return w
}

// asked is a request of the policy service's own.
type asked struct {
	*eventv1.ApprovalRequest
	raw []byte
}

// events returns what was said of the policy service's approvals.
func (w *town) events(event string) []*jetstream.RawStreamMsg {
	w.Helper()
	stream, err := w.on().JS.Stream(w.Context(), bus.StreamApprovals)
	if err != nil {
		return nil
	}
	info, err := stream.Info(w.Context())
	if err != nil {
		return nil
	}
	var out []*jetstream.RawStreamMsg
	for n := uint64(1); n <= info.State.LastSeq; n++ {
		m, err := stream.GetMsg(w.Context(), n)
		if err != nil {
			w.Fatal(err)
		}
		if gateway, _, what, _ := bus.ParseApprovalSubject(m.Subject); gateway == people.Gateway && what == event {
			out = append(out, m)
		}
	}
	return out
}

// asks waits for the n-th request, which must be marked by the policy service.
func (w *town) asks(n int) *asked {
	w.Helper()
	w.until("a request", func() bool { return len(w.events(bus.Requested)) >= n })
	all := w.events(bus.Requested)
	if len(all) != n {
		w.Fatalf("%d requests, want %d", len(all), n)
	}
	r := &eventv1.ApprovalRequest{}
	if err := proto.Unmarshal(all[n-1].Data, r); err != nil {
		w.Fatal(err)
	}
	return &asked{r, all[n-1].Data}
}

// decision is the approval service's for a request, with these votes to approve.
func (w *town) decision(r *asked, voters ...string) *eventv1.ApprovalDecision {
	d := &eventv1.ApprovalDecision{
		ApprovalId: r.Id, Outcome: approval.Approved, Gateway: r.Gateway, SessionId: r.SessionId, CommandId: r.CommandId,
		PrincipalHash: approval.PrincipalHash(r.Principal), Target: r.Target, RuleHash: r.RuleHash, Digest: r.Digest,
		RequestHash: approval.RequestHash(r.raw), Uses: 1, DecidedAt: timestamppb.Now(), ExpiresAt: timestamppb.New(time.Now().Add(time.Minute)),
	}
	for _, name := range voters {
		d.Votes = append(d.Votes, &eventv1.Vote{Person: name, Account: "slack:U0" + strings.ToUpper(name), Vote: approval.Approve, At: timestamppb.Now()})
	}
	return d
}

func (w *town) decide(key *seal.Key, d *eventv1.ApprovalDecision) {
	w.Helper()
	signed, err := approval.Sign(key, d)
	if err != nil {
		w.Fatal(err)
	}
	raw, err := proto.Marshal(signed)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.on().JS.Publish(w.Context(), bus.ApprovalSubject(people.Gateway, d.ApprovalId, bus.Decided), raw); err != nil {
		w.Fatal(err)
	}
}

// flows has another part of the folder change, and returns the bundle then in
// force: a map that did not come with it is not in force.
func (w *town) flows(comment string) *eventv1.Bundle {
	w.Helper()
	w.write("policies/rules.yaml", rules+"# "+comment+"\n")
	w.until(comment, func() bool { return strings.Contains(string(w.current().GetFiles()["rules.yaml"]), comment) })
	return w.current()
}

// waits waits until the status says that a change is not in force.
func (w *town) waits(s *policy.Service, says string) {
	w.Helper()
	w.until("waiting: "+says, func() bool {
		_, status := get(w.T, s, "/v1/status")
		found, _ := status["findings"].([]any)
		for _, f := range found {
			m, _ := f.(map[string]any)
			what, _ := m["what"].(string)
			if m["kind"] == "people-change" && strings.Contains(what, says) {
				return true
			}
		}
		return false
	})
}

func TestAChangeOfThePeopleMapTakesASecondPerson(t *testing.T) {
	w := newTown(t, "second_person")
	s, stop := w.start("a")
	if b := w.version(1); string(b.Files["people.yaml"]) != folk {
		t.Fatalf("the first map is %s", b.Files["people.yaml"])
	}
	w.write("policies/people.yaml", kims)
	r := w.asks(1)
	w.waits(s, "waits for 2 of dana, lee, sam in Slack ("+r.Id+"): + kim: oidc:kim@x")
	if r.Statement != "+ kim: oidc:kim@x" || r.Requesters[0] != people.Author || r.Requesters[1] != "slack:U0KIM" || r.Rule != "people.yaml" {
		t.Errorf("it asks %v", r)
	}
	if b := w.flows("meanwhile"); string(b.Files["people.yaml"]) != folk {
		t.Errorf("with another change goes %s", b.Files["people.yaml"])
	}
	stop()
	_, stop = w.start("a")
	defer stop()
	w.asks(1) // a restart asks nobody again
	w.decide(w.approvals, w.decision(r, "dana", "lee"))
	w.until("the new map", func() bool { return string(w.current().GetFiles()["people.yaml"]) == kims })
	rec := w.recorded("people.changed", 1)[0]
	if rec.Details["how"] != "approval" || rec.ApprovalId != r.Id || strings.Join(rec.Approvers, " ") != "dana lee" || rec.Details["changes"] != "+ kim: oidc:kim@x" {
		t.Errorf("record: %v", rec)
	}

	// What says the same is in force at once; what goes back is another change.
	w.write("policies/people.yaml", "# a comment\n"+kims)
	w.until("the comment", func() bool { return strings.Contains(string(w.current().GetFiles()["people.yaml"]), "a comment") })
	w.asks(1)
	w.write("policies/people.yaml", folk)
	w.asks(2)
	w.write("policies/people.yaml", "# a comment\n"+kims)
	w.until("the withdrawal", func() bool { return len(w.events(bus.Cancelled)) == 1 })
}

// Nobody who gains by a change counts for it, and a quorum is one of others.
func TestRedteam19_NobodyConfirmsWhatServesThem(t *testing.T) {
	w := newTown(t, "second_person")
	w.start("a")
	w.version(1)
	w.write("policies/people.yaml", kims)
	r := w.asks(1)
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func() (*seal.Key, *eventv1.ApprovalDecision){
		"one, and the author may be they": func() (*seal.Key, *eventv1.ApprovalDecision) { return w.approvals, w.decision(r, "dana") },
		"with its beneficiary":            func() (*seal.Key, *eventv1.ApprovalDecision) { return w.approvals, w.decision(r, "dana", "kim") },
		"one person twice":                func() (*seal.Key, *eventv1.ApprovalDecision) { return w.approvals, w.decision(r, "dana", "dana") },
		"by the account that it adds": func() (*seal.Key, *eventv1.ApprovalDecision) {
			d := w.decision(r, "dana", "lee")
			d.Votes[1].Account = "oidc:kim@x"
			return w.approvals, d
		},
		"a stranger's key": func() (*seal.Key, *eventv1.ApprovalDecision) { return stranger, w.decision(r, "dana", "lee") },
		"the policy service's own key": func() (*seal.Key, *eventv1.ApprovalDecision) {
			return w.key(), w.decision(r, "dana", "lee")
		},
		"of another request": func() (*seal.Key, *eventv1.ApprovalDecision) {
			d := w.decision(r, "dana", "lee")
			d.RequestHash = approval.RequestHash([]byte("harmless"))
			return w.approvals, d
		},
		"of a gateway's command": func() (*seal.Key, *eventv1.ApprovalDecision) {
			d := w.decision(r, "dana", "lee")
			d.SessionId, d.CommandId = "ses_1", "cmd_1"
			return w.approvals, d
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.decide(forge())
			if b := w.flows("after " + name); string(b.Files["people.yaml"]) != folk {
				t.Errorf("in force is %s", b.Files["people.yaml"])
			}
		})
	}
	w.decide(w.approvals, w.decision(r, "sam", "lee"))
	w.until("the new map", func() bool { return string(w.current().GetFiles()["people.yaml"]) == kims })
	if n := len(w.records("people.decision_refused")); n != 6 {
		t.Errorf("%d findings of the 6 that an approval service's key signed", n)
	}
}

// The decision of one change is good for no other, also where the file changes
// between request and decision.
func TestRedteam18_ADecisionFitsOneChangeOfThePeopleMap(t *testing.T) {
	w := newTown(t, "second_person")
	s, _ := w.start("a")
	w.version(1)
	w.write("policies/people.yaml", kims)
	first := w.asks(1)
	evil := strings.Replace(folk, `"slack:U0KIM"`, `"slack:U0KIM", "oidc:evil@x"`, 1)
	w.write("policies/people.yaml", evil)
	second := w.asks(2)
	w.until("the withdrawal", func() bool { return len(w.events(bus.Cancelled)) == 1 })
	w.decide(w.approvals, w.decision(first, "dana", "lee"))
	repointed := w.decision(first, "dana", "lee")
	repointed.ApprovalId = second.Id
	w.decide(w.approvals, repointed)
	if b := w.flows("swapped"); string(b.Files["people.yaml"]) != folk {
		t.Errorf("in force is %s", b.Files["people.yaml"])
	}
	w.recorded("people.decision_refused", 1)

	// Denied, it is not asked again, whatever happens, until the file is another one.
	denied := w.decision(second)
	denied.Outcome, denied.Uses, denied.ExpiresAt = approval.Denied, 0, nil
	denied.Votes = []*eventv1.Vote{{Person: "dana", Account: "slack:U0DANA", Vote: approval.Deny, Reason: "who is that"}}
	w.decide(w.approvals, denied)
	w.waits(s, "was denied (Denied by dana: who is that "+second.Id+")")
	w.decide(w.approvals, w.decision(second, "dana", "lee"))
	w.flows("denied")
	w.asks(2)
	w.write("policies/people.yaml", kims)
	third := w.asks(3)
	w.decide(w.approvals, w.decision(third, "dana", "lee"))
	w.until("the new map", func() bool { return string(w.current().GetFiles()["people.yaml"]) == kims })
}

// A map that is put there while the service is away, and the bus forgets, waits
// as any other; what is in force never goes back.
func TestRedteam32_ARestartTakesNoOthersMap(t *testing.T) {
	w := newTown(t, "second_person")
	_, stop := w.start("a")
	w.version(1)
	old, err := w.kv().Get(t.Context(), "people")
	if err != nil {
		t.Fatal(err)
	}
	w.write("policies/people.yaml", kims)
	w.decide(w.approvals, w.decision(w.asks(1), "dana", "lee"))
	w.until("the new map", func() bool { return string(w.current().GetFiles()["people.yaml"]) == kims })
	stop()
	evil := strings.Replace(kims, "people:\n", "people:\n  - {name: eve, accounts: [\"slack:U0EVE\"]}\n", 1)
	for name, attack := range map[string]func(){
		"as it is": func() {},
		"the bucket is emptied": func() {
			for _, key := range []string{"current", "people", "people_change"} {
				if err := w.kv().Purge(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
		},
		"an older state is put back": func() {
			if _, err := w.kv().Put(t.Context(), "people", old.Value()); err != nil {
				t.Fatal(err)
			}
		},
		"a forged state": func() {
			forger, err := seal.Generate()
			if err != nil {
				t.Fatal(err)
			}
			raw, err := (&people.State{}).Next([]byte(evil), people.Approved, time.Now().Add(time.Hour)).Sign(forger)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.kv().Put(t.Context(), "people", raw); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			attack()
			w.write("policies/people.yaml", evil)
			w.write("policies/rules.yaml", rules+"# "+name+"\n")
			s, stop := w.start("a")
			defer stop()
			w.waits(s, "+ person eve: slack:U0EVE")
			if got := string(w.current().GetFiles()["people.yaml"]); got != kims {
				t.Errorf("in force is %s", got)
			}
		})
	}
	t.Run("the bucket and the file are gone", func(t *testing.T) {
		for _, key := range []string{"current", "people", "people_change"} {
			if err := w.kv().Purge(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(w.dir, "keys/policy.pem.people")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		w.write("policies/people.yaml", evil)
		w.start("a")
		w.recorded("people.lost", 1)
		if w.current() != nil {
			t.Errorf("published is %s", w.current().Files["people.yaml"])
		}

		// Who has the key may confirm it alone, loudly.
		alone := (*people.State)(nil).Next([]byte(evil), people.Machine, time.Now())
		alone.By = []string{"root"}
		raw, err := alone.Sign(w.key())
		if err == nil {
			err = people.Write(path, raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.until("the map", func() bool { return string(w.current().GetFiles()["people.yaml"]) == evil })
		if f := w.recorded("people.confirmed_alone", 1)[0]; f.Actor != "root" || f.Kind != eventv1.Kind_KIND_FINDING {
			t.Errorf("finding: %v", f)
		}
	})
}

// Where too few are left to ask, nobody is asked, and it says what to do.
func TestTooFewToAsk(t *testing.T) {
	w := newTown(t, "second_person")
	w.write("policies/people.yaml", `people: [{name: dana, accounts: ["slack:U0DANA"]}]`)
	s, _ := w.start("a")
	w.version(1)
	w.write("policies/people.yaml", folk)
	w.waits(s, "takes 2 approvers who gain nothing by it, and the map in force has 0")
	if n := len(w.events(bus.Requested)); n != 0 {
		t.Errorf("%d were asked for", n)
	}
}

// Rules that need the new map wait with it, and say so.
func TestRulesThatNeedTheNewMapWait(t *testing.T) {
	w := newTown(t, "second_person")
	s, _ := w.start("a")
	w.version(1)
	w.write("policies/people.yaml", strings.Replace(folk, "people:\n", "people:\n  - {name: eve, accounts: [\"slack:U0EVE\"]}\n", 1))
	w.write("policies/rules.yaml", rules+strings.Replace(holds, "{persons: [dana]}", "{persons: [eve]}", 1))
	w.until("rejection", func() bool {
		_, status := get(t, s, "/v1/status")
		return status["state"] == "rejected"
	})
	_, status := get(t, s, "/v1/status")
	problems, _ := status["problems"].([]any)
	first, _ := problems[0].(map[string]any)
	if what, _ := first["what"].(string); !strings.Contains(what, "the rest of the folder does not go with the people map in force") {
		t.Errorf("it says %v", problems)
	}
	w.decide(w.approvals, w.decision(w.asks(1), "dana", "lee"))
	w.until("both", func() bool { return strings.Contains(string(w.current().GetFiles()["people.yaml"]), "eve") })
}

const holds = `  - name: holds
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
    approvers: {persons: [dana]}
`

// Where the file decides, it does at once, and the audit has it.
func TestPeopleChangesByFile(t *testing.T) {
	w := newTown(t, "file")
	w.start("a")
	w.version(1)
	w.write("policies/people.yaml", kims)
	if b := w.version(2); string(b.Files["people.yaml"]) != kims {
		t.Errorf("in force is %s", b.Files["people.yaml"])
	}
	if r := w.recorded("people.changed", 1)[0]; r.Details["how"] != "file" || r.Details["changes"] != "+ kim: oidc:kim@x" {
		t.Errorf("record: %v", r)
	}
	if len(w.events(bus.Requested)) != 0 {
		t.Error("somebody was asked")
	}
}
