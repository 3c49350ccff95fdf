package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/policy"
)

func TestPinKeepsEverythingElse(t *testing.T) {
	const before = `# The shop's rules.
rules:
  - name: reads   # a comment
    effect: allow
    targets: [prod-db]
    principals:
      # who
      - repository: acme/shop   # the shop
        ref: refs/heads/main
      - repository: "acme/shop"
        repository_id: "1001"
      - repository: acme/other

  - {name: flow, effect: allow, targets: [a], principals: [{repository: 'acme/shop', event: push}, {repository: acme/shop}]} # ünïcode
  - name: "ünï"
    effect: allow
    targets: [a]
    principals:
    - {ref: "é", repository: acme/shop}
    when: |
      command.class == "read"
`
	const after = `# The shop's rules.
rules:
  - name: reads   # a comment
    effect: allow
    targets: [prod-db]
    principals:
      # who
      - repository: acme/shop   # the shop
        repository_id: "1001"
        repository_owner_id: "2002"
        ref: refs/heads/main
      - repository: "acme/shop"
        repository_id: "1001"
        repository_owner_id: "2002"
      - repository: acme/other

  - {name: flow, effect: allow, targets: [a], principals: [{repository: 'acme/shop', repository_id: "1001", repository_owner_id: "2002", event: push}, {repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]} # ünïcode
  - name: "ünï"
    effect: allow
    targets: [a]
    principals:
    - {ref: "é", repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}
    when: |
      command.class == "read"
`
	for name, ends := range map[string]string{"unix": "\n", "windows": "\r\n"} {
		t.Run(name, func(t *testing.T) {
			end := func(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", ends)) }
			pins := policy.Pins{Repository: "acme/shop", RepositoryID: "1001", RepositoryOwnerID: "2002"}
			changed, found, err := policy.Pin(map[string][]byte{"a.yaml": end(before), "people.yaml": []byte("people: []"), "b.yaml": []byte("rules: []")}, pins)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(end(after)), string(changed["a.yaml"])); diff != "" {
				t.Fatal(diff)
			}
			if len(changed) != 1 || len(found) != 5 {
				t.Errorf("%d files changed, %d selectors found", len(changed), len(found))
			}
			changed, found, err = policy.Pin(map[string][]byte{"a.yaml": changed["a.yaml"]}, pins)
			if err != nil || len(changed) != 0 || len(found) != 5 || found[0].Changed {
				t.Errorf("a second time: %v, %v, %v", changed, found, err)
			}
			e, err := policy.Compile(map[string][]byte{"a.yaml": end(after)})
			if err != nil {
				t.Fatal(err)
			}
			if d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: read()}); d.Rule != "reads" {
				t.Errorf("decided by %q: %s", d.Rule, d.Why)
			}
		})
	}
}

func TestPinDoesNotReplaceSilently(t *testing.T) {
	files := map[string][]byte{"a.yaml": []byte(`rules:
  - name: r
    effect: allow
    targets: [a]
    principals: [{repository: acme/shop, repository_id: 9, repository_owner_id: '9'}]
`)}
	pins := policy.Pins{Repository: "acme/shop", RepositoryID: "1001", RepositoryOwnerID: "2002"}
	if _, _, err := policy.Pin(files, pins); !errors.Is(err, policy.ErrOtherIDs) || !strings.Contains(err.Error(), `a.yaml:5: rule "r": acme/shop has repository_id "9"`) {
		t.Fatal(err)
	}
	pins.Replace = true
	changed, _, err := policy.Pin(files, pins)
	if err != nil || !strings.Contains(string(changed["a.yaml"]), `{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}`) {
		t.Fatal(string(changed["a.yaml"]), err)
	}
	if _, _, err := policy.Pin(map[string][]byte{"a.yaml": []byte("rules: [")}, pins); err == nil {
		t.Error("a broken file was edited")
	}
}

func TestMentions(t *testing.T) {
	e := compile(t, `
rules:
  - {name: a, effect: deny, targets: ["*"], principals: [{any: true}], when: '"public.orders" in command.writes || "public.c.email" in command.columns || command.verb in ["x"]'}
  - {name: b, effect: deny, targets: ["*"], principals: [{any: true}]}
`)
	var got []string
	for _, m := range e.Mentions() {
		kind := "table"
		if m.Column {
			kind = "column"
		}
		got = append(got, m.Rule.Name+" "+kind+" "+m.Name)
	}
	if diff := cmp.Diff([]string{"a table public.orders", "a column public.c.email"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsePrincipal(t *testing.T) {
	p, err := policy.ParsePrincipal("preset=github-actions, repository_id=1001,repository_owner_id=2002,claims.runner=x,agent=claude,asserted=agent")
	if err != nil || p.RepositoryId != "1001" || p.Claims["runner"] != "x" || len(p.Asserted) != 1 || p.Agent != "claude" {
		t.Fatal(p, err)
	}
	for text, want := range map[string]string{"repositry_id=1": `did you mean "repository_id"?`, "agent": "is not name=value", "agent=": "is not name=value", "asserted=agnt": `did you mean "agent"?`, "": "is not name=value"} {
		if _, err := policy.ParsePrincipal(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
