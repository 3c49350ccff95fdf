package policy_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	libpolicy "github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy"
)

func TestAFolderBecomesASignedBundle(t *testing.T) {
	w := newWorld(t)
	w.write("policies/people.yaml", "people: [{name: dana, accounts: [\"slack:U0DANA\"]}]")
	w.write("policies/rules_test.yaml", "cases: [{name: a read, principal: {repository_id: 1001, repository_owner_id: 2002}, target: prod-db, sql: select 1, expect: allow}]")
	w.write("policies/notes.txt", "no rule")
	s, stop := w.start("a")
	b := w.version(1)
	var names []string
	for name := range b.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "people.yaml rules.yaml" {
		t.Errorf("the bundle holds %s", got)
	}
	if hash := config.HashFiles(b.Files); string(hash[:]) != string(b.ContentHash) || b.Kind != "policy" || b.Publisher != "policy/a" {
		t.Errorf("bundle: kind %q, publisher %q, hash %x", b.Kind, b.Publisher, b.ContentHash)
	}
	if _, err := libpolicy.Compile(b.Files); err != nil {
		t.Error(err)
	}
	w.until("ready", func() bool { return s.Ready() == nil })
	r := w.recorded("bundle.published", 1)[0]
	if r.Actor != "file watch" || r.PolicyVersion != 1 || r.Details["rules_added"] != "reads" || r.Kind != eventv1.Kind_KIND_ADMIN {
		t.Errorf("record: %v", r)
	}
	started := w.recorded("service.started", 1)[0]
	if len(started.Details["config_sha256"]) != 64 || started.Actor != "policy/a" {
		t.Errorf("record: %v", started)
	}
	stop()

	t.Run("the same content is not published again", func(t *testing.T) {
		s, _ := w.start("a")
		w.until("ready", func() bool { return s.Ready() == nil })
		w.recorded("service.started", 2)
		if b := w.current(); b.Version != 1 {
			t.Errorf("version %d", b.Version)
		}
	})
}

func TestAChangeIsLiveWithinASecond(t *testing.T) {
	w := newWorld(t)
	w.start("a")
	w.version(1)
	start := time.Now()
	w.write("policies/rules.yaml", strings.Replace(rules, "allow", "deny", 1))
	w.version(2)
	took := time.Since(start)
	t.Logf("a changed policy was published after %s", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("took %s", took)
	}
	r := w.recorded("bundle.published", 2)[1]
	if r.Details["rules_changed"] != "reads" || r.Details["previous_version"] != "1" {
		t.Errorf("record: %v", r.Details)
	}
}

func TestABrokenFolderIsRejectedAndTheLastGoodBundleStays(t *testing.T) {
	for name, broken := range map[string]struct{ file, content, problem string }{
		"a typo":          {"rules.yaml", strings.Replace(rules, "effect", "efect", 1), `rules.yaml:4:5: rule "reads": unknown key "efect" in a rule; did you mean "effect"?`},
		"a failing case":  {"rules_test.yaml", "cases: [{name: writes are allowed, principal: {repository_id: 1001, repository_owner_id: 2002}, target: prod-db, sql: update x, expect: allow}]", `case "writes are allowed" fails: effect: got deny, want allow`},
		"a broken case":   {"rules_test.yaml", "cases: [{name: x}]", "a case without expect"},
		"a broken people": {"people.yaml", "people: [{name: x}]", "has no accounts"},
		"too much":        {"big.yaml", "rules: []\n#" + strings.Repeat("x", 800<<10), "a bundle holds at most"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s, _ := w.start("a")
			w.version(1)
			w.write("policies/"+broken.file, broken.content)
			r := w.recorded("bundle.rejected", 1)[0]
			if !strings.Contains(r.Details["problems"], broken.problem) || r.Kind != eventv1.Kind_KIND_FINDING || r.PolicyVersion != 1 {
				t.Errorf("record: %v", r)
			}
			if b := w.current(); b.GetVersion() != 1 {
				t.Errorf("version %d", b.GetVersion())
			}
			_, status := get(t, s, "/v1/status")
			problems, _ := json.Marshal(status["problems"])
			if status["state"] != "rejected" || status["version"] != 1.0 || status["problem_count"] == 0.0 || len(problems) < 10 {
				t.Errorf("status: %v", status)
			}
			if err := s.Ready(); err != nil {
				t.Errorf("a service with a bundle is not ready: %v", err)
			}
			w.write("policies/"+broken.file, "rules: [] # mended")
			if broken.file != "rules.yaml" {
				if err := os.Remove(filepath.Join(w.dir, "policies", broken.file)); err != nil {
					t.Fatal(err)
				}
				w.write("policies/rules.yaml", rules+"# mended\n")
			}
			w.version(2)
			w.until("the problems go", func() bool { _, status := get(t, s, "/v1/status"); return status["problem_count"] == 0.0 })
		})
	}
}

func TestNothingGoodWasEverThere(t *testing.T) {
	w := newWorld(t)
	w.write("policies/rules.yaml", "rules: [")
	s, _ := w.start("a")
	w.recorded("bundle.rejected", 1)
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "1 problem(s) and nothing was published before") {
		t.Errorf("ready: %v", err)
	}
	if code, _ := get(t, s, "/v1/bundle"); code != http.StatusNotFound {
		t.Errorf("bundle: %d", code)
	}
	if b := w.current(); b != nil {
		t.Errorf("published %v", b)
	}
}

// Two replicas on one folder publish each change once and never undo it.
func TestTwoReplicasDoNotFight(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start("a")
	b, _ := w.start("b")
	w.version(1)
	for i := 2; i <= 6; i++ {
		w.write("policies/rules.yaml", rules+fmt.Sprintf("# %d\n", i))
		want := config.HashFiles(map[string][]byte{"rules.yaml": []byte(rules + fmt.Sprintf("# %d\n", i))})
		for _, s := range []*policy.Service{a, b} {
			w.until("both see it", func() bool { _, status := get(t, s, "/v1/status"); return status["hash"] == fmt.Sprintf("%x", want) })
		}
	}
	if got := w.current().Version; got != 6 {
		t.Errorf("6 contents became %d versions", got)
	}
	w.recorded("bundle.published", 6)
	w.recorded("target.added", 1)
}

// A bundle that no trusted key signed is replaced, and versions never go back.
func TestRedteam32_AForgedOrPurgedBundleIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.start("a")
	w.version(1)
	foreign, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := proto.Marshal(&eventv1.Bundle{Kind: "policy", Version: 1 << 60, Files: map[string][]byte{"rules.yaml": []byte("rules: []")}})
	forged, _ := proto.Marshal(foreign.Sign(seal.ContextBundle, payload))
	if _, err := w.kv().Put(t.Context(), bus.BundleKey, forged); err != nil {
		t.Fatal(err)
	}
	w.version(2)
	if _, err := w.kv().Put(t.Context(), bus.BundleKey, []byte("noise")); err != nil {
		t.Fatal(err)
	}
	w.version(3)
	if err := w.kv().Delete(t.Context(), bus.BundleKey); err != nil {
		t.Fatal(err)
	}
	w.version(4)
	if err := w.kv().Purge(t.Context(), bus.BundleKey); err != nil {
		t.Fatal(err)
	}
	w.version(5)
	wrongUse, _ := proto.Marshal(w.key().Sign(seal.ContextLease, payload))
	if _, err := w.kv().Put(t.Context(), bus.BundleKey, wrongUse); err != nil {
		t.Fatal(err)
	}
	w.version(6)
}

func TestLeases(t *testing.T) {
	w := newWorld(t)
	sub, err := w.on().Conn.SubscribeSync(bus.LeaseSubject)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.on().Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	w.start("a")
	var last *eventv1.Lease
	for i := range 3 {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		signed, lease := &eventv1.Signed{}, &eventv1.Lease{}
		if err := proto.Unmarshal(m.Data, signed); err != nil {
			t.Fatal(err)
		}
		payload, err := w.key().Public().Open(seal.ContextLease, signed)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(payload, lease); err != nil {
			t.Fatal(err)
		}
		if lease.Issuer != "a" || lease.Counter != uint64(i+1) || lease.Incarnation == "" {
			t.Fatalf("lease %v", lease)
		}
		if last != nil {
			if gap := lease.IssuedAt.AsTime().Sub(last.IssuedAt.AsTime()); gap < 500*time.Millisecond || gap > 3*time.Second || lease.Incarnation != last.Incarnation {
				t.Errorf("%s between leases", gap)
			}
		}
		last = lease
	}
}

func TestTargetsAreRecordedWithoutSecrets(t *testing.T) {
	w := newWorld(t)
	w.start("a")
	added := w.recorded("target.added", 1)[0]
	if added.Target != "prod-db" || added.Environment != "production" || added.Details["address"] != "db:5432" {
		t.Errorf("record: %v", added)
	}
	w.write("gatestay.yaml", w.yaml("targets: {prod-db: {protocol: postgres, address: \"db2:5432\", user: app, password: \"env:OTHER\", environment: production}, new: {protocol: postgres, address: \"x:1\", user: u, password: \"env:NEW\"}}"))
	changed := w.recorded("target.changed", 1)[0]
	if changed.Details["address"] != "db:5432 → db2:5432" || !strings.HasPrefix(changed.Details["password"], "reference ") || len(changed.Details) != 2 {
		t.Errorf("record: %v", changed.Details)
	}
	w.recorded("target.added", 2)
	found := w.recorded("policy.uncovered-target", 1)[0]
	if found.Target != "new" || found.Kind != eventv1.Kind_KIND_FINDING {
		t.Errorf("finding: %v", found)
	}
	w.write("gatestay.yaml", w.yaml("targets: {new: {protocol: postgres, address: \"x:1\", user: u, password: \"env:NEW\"}}"))
	w.recorded("target.removed", 1)
	for _, action := range []string{"target.added", "target.changed", "target.removed"} {
		for _, r := range w.records(action) {
			if s := r.String(); strings.Contains(s, "SECRET") || strings.Contains(s, "OTHER") {
				t.Errorf("a reference in %s", s)
			}
		}
	}
}

// Silence is told: what the published rules do not do as they seem to.
func TestRedteam33_FindingsAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.write("policies/rules.yaml", `
rules:
  - {name: unpinned, effect: allow, targets: [prod-db], principals: [{repository: acme/shop}]}
  - {name: elsewhere, effect: allow, targets: [gone], principals: [{any: true}]}
`)
	s, _ := w.start("a")
	if r := w.recorded("policy.unpinned", 1)[0]; r.Rule != "unpinned" || !strings.Contains(r.Details["remedy"], "gatestay policy pin acme/shop") {
		t.Errorf("record: %v", r)
	}
	w.recorded("policy.no-target", 1)
	w.recorded("policy.uncovered-target", 1)
	w.until("status", func() bool { _, status := get(t, s, "/v1/status"); return status["finding_count"] == 3.0 })
}

func TestTheBusMayComeLaterAndGo(t *testing.T) {
	w := newWorld(t)
	port := w.server.Addr().(*net.TCPAddr).Port
	w.server.Shutdown()
	w.server.WaitForShutdown()
	s, _ := w.start("a")
	if err := s.Ready(); err == nil {
		t.Error("ready without a bus")
	}
	if code, _ := get(t, s, "/healthz"); code != http.StatusOK {
		t.Error("not alive without a bus")
	}
	w.startBus(port)
	w.version(1)
	w.until("ready", func() bool { return s.Ready() == nil })

	// A change while the bus is away is published, and told, when it is back.
	w.server.Shutdown()
	w.server.WaitForShutdown()
	w.until("not ready", func() bool { return s.Ready() != nil })
	w.write("policies/rules.yaml", rules+"# changed in the dark\n")
	w.startBus(port)
	w.version(2)
	w.recorded("bundle.published", 2)
}
