package policy_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/policy"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// Every file below testdata/problems is a broken rule file; beside it lies
// what is said about it. All of it is said at once.
func TestProblems(t *testing.T) {
	paths, err := filepath.Glob("testdata/problems/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = policy.Compile(map[string][]byte{"rules.yaml": raw, "people.yaml": []byte(people)})
			var problems *policy.ProblemsError
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems", err)
			}
			for _, p := range problems.Problems {
				if p.Remedy == "" {
					t.Errorf("no remedy: %s", p)
				}
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".golden", problems.Error()+"\n")
		})
	}
}

func TestPeopleProblems(t *testing.T) {
	_, err := policy.Compile(map[string][]byte{"rules.yaml": []byte("rules: []"), "people.yaml": []byte(`people:
  - name: dana
    accounts: ["github:dana", "slack:U1"]
  - name: dana
    accounts: ["slack:U2"]
  - name: kim
    accounts: ["github:Dana", "slak:U3", "U4", "slack:"]
  - accounts: ["slack:U5"]
  - name: lee
  - nam: max
`)})
	if err == nil {
		t.Fatal("compiled")
	}
	golden(t, "testdata/people.golden", err.Error()+"\n")
}

func TestNoRuleFileIsNoPolicy(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"nothing":          {},
		"only people":      {"people.yaml": []byte(people)},
		"only tests":       {"rules_test.yaml": []byte("tests: []")},
		"a file elsewhere": {"notes.txt": []byte("rules: []")},
	} {
		if _, err := policy.Compile(files); err == nil {
			t.Errorf("%s: an empty folder became a policy", name)
		}
	}
	e, err := policy.Compile(map[string][]byte{"a.yaml": []byte("rules: []")})
	if err != nil {
		t.Fatal(err)
	}
	if d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: read()}); d.Effect != policy.Deny {
		t.Fatal("no rule, and not denied")
	}
}

func TestAFileOfCommentsHoldsNothing(t *testing.T) {
	e, err := policy.Compile(map[string][]byte{"a.yaml": []byte("rules: []"), "b.yaml": []byte("# rules:\n#  - name: later\n"), "people.yaml": []byte("---\n# nobody\n")})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(e.Rules()) + len(e.People().Names()); n != 0 {
		t.Errorf("%d rules and people", n)
	}
}

func TestNamesAreUniqueOverAllFiles(t *testing.T) {
	rule := []byte("rules:\n  - {name: r, effect: allow, targets: [a], principals: [{any: true}]}\n")
	_, err := policy.Compile(map[string][]byte{"a.yaml": rule, "b/b.yaml": rule})
	if err == nil || !strings.Contains(err.Error(), `b/b.yaml:2:12: rule "r": the name is taken by the rule in a.yaml:2`) {
		t.Fatal(err)
	}
}

func TestRedteam18_OnlyTheRuleItselfChangesItsHash(t *testing.T) {
	const base = `{name: r, description: d, effect: hold, targets: [prod-db], principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}], when: 'command.class == "write"', approvers: {persons: [dana, kim], count: 1, channel: C1}, deadline: 15m, reason: required, row_limit: 5, hold_in_transaction: 5s}`
	hash := func(rules string) string {
		t.Helper()
		d := compile(t, rules).Decide(policy.Input{Principal: shop(), Target: prod(), Facts: write("x")})
		if d.Rule != "r" {
			t.Fatalf("decided by %q: %s", d.Rule, d.Why)
		}
		return d.RuleHash
	}
	want := hash("rules:\n  - " + base)
	if got := hash("# a comment\nrules:\n\n  - {name: other, effect: allow, targets: [x], principals: [{any: true}]}\n  - " + base + " # another"); got != want {
		t.Error("comments, place or another rule change the hash")
	}
	for from, to := range map[string]string{
		"description: d": "description: e", "targets: [prod-db]": "targets: [prod-*]", "acme/shop": "acme/shops",
		"{repository: acme/shop,": "{event: push, repository: acme/shop,", `== "write"`: `!= "read"`, "count: 1": "count: 2",
		"channel: C1": "channel: C2", "[dana, kim]": "[dana, lee]", "15m": "16m", "reason: required, ": "", "row_limit: 5": "row_limit: 6",
		"hold_in_transaction: 5s": "hold_in_transaction: 6s",
	} {
		changed := strings.Replace(base, from, to, 1)
		if changed == base {
			t.Fatalf("%q is not in the rule", from)
		}
		if hash("rules:\n  - "+changed) == want {
			t.Errorf("changing %q to %q leaves the hash", from, to)
		}
	}
}
