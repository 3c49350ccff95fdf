package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/passkey/passkeytest"
	"github.com/gatestay/gatestay/libs/policy"
)

func aPasskey(t *testing.T) *passkeytest.Authenticator {
	t.Helper()
	a, err := passkeytest.New(passkey.RelyingParty{ID: "localhost", Origin: "http://localhost:9103"}, passkeytest.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const stepUpRule = `
rules:
  - name: drops
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    approvers: {persons: [dana, kim], count: %s, step_up: %s}
`

func TestPasskeysOfPeople(t *testing.T) {
	a, other := aPasskey(t), aPasskey(t)
	const party = "relying_party: {origin: \"https://approvals.acme.example\", id: acme.example}\n"
	person := func(passkeys string) string {
		return party + "people: [{name: dana, accounts: [\"oidc:dana@x\"], passkeys: [" + passkeys + "]}, {name: kim, accounts: [\"oidc:kim@x\"]}]"
	}
	for name, c := range map[string]struct{ people, count, stepUp, problem string }{
		"good":                      {person(a.YAML()), "1", "passkey", ""},
		"two of one person":         {person(a.YAML() + ", " + other.YAML()), "1", "passkey", ""},
		"too few have one":          {person(a.YAML()), "2", "passkey", "rules.yaml:7:16: rule \"drops\": count is 2, but of the persons whom approvers names 1 have a passkey"},
		"nobody has one":            {person(""), "1", "passkey", "rules.yaml:7:16: rule \"drops\": count is 1, but of the persons whom approvers names 0 have a passkey"},
		"another word":              {person(a.YAML()), "1", "fido", `step_up "fido" is not known; write "step_up: passkey"`},
		"no relying party":          {strings.TrimPrefix(person(a.YAML()), party), "1", "passkey", "does not say where they are used; add relying_party"},
		"an address of numbers":     {strings.Replace(person(a.YAML()), "https://approvals.acme.example", "http://127.0.0.1:9103", 1), "1", "passkey", "people.yaml:1:16: relying_party \"http://127.0.0.1:9103\" is not one; browsers take no passkeys at an address of numbers"},
		"one passkey, two persons":  {strings.Replace(person(a.YAML()), `"oidc:kim@x"]`, `"oidc:kim@x"], passkeys: [`+a.YAML()+"]", 1), "1", "passkey", `passkey "test" already belongs to "dana"`},
		"one passkey twice":         {person(a.YAML() + ", " + a.YAML()), "1", "passkey", `already belongs to "dana"`},
		"no id":                     {person("{name: a, public_key: AAAA}"), "1", "passkey", `people.yaml:2:61: a passkey of "dana" is not whole`},
		"no base64url":              {person(`{name: a, id: "a+/", public_key: AAAA}`), "1", "passkey", "id is not base64url"},
		"no key":                    {person("{name: a, id: AAAA, public_key: AAAA}"), "1", "passkey", `the public key of passkey "a" cannot be used`},
		"changes names a stranger":  {person(a.YAML()) + "\nchanges: {persons: [eve]}", "1", "passkey", `people.yaml:3:10: changes names "eve", who is not in this file`},
		"changes can never be met":  {person(a.YAML()) + "\nchanges: {persons: [dana, kim], count: 2, step_up: passkey}", "1", "passkey", "changes needs 2, and only 1 of its persons can approve"},
		"changes names nobody":      {person(a.YAML()) + "\nchanges: {count: 1}", "1", "passkey", "changes names nobody"},
		"changes as they should be": {person(a.YAML()) + "\nchanges: {persons: [dana, kim], count: 2, channel: C0}", "1", "passkey", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := policy.Compile(map[string][]byte{"rules.yaml": fmt.Appendf(nil, stepUpRule, c.count, c.stepUp), "people.yaml": []byte(c.people)})
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rp, keys := e.People().Passkeys("dana")
			if rp.ID != "acme.example" || len(keys) == 0 || keys[0].Name != "test" {
				t.Errorf("got %+v, %v", rp, keys)
			}
			if e.Rules()[0].Approvers.Event().StepUp != "passkey" {
				t.Error("a request would not say step_up")
			}
		})
	}
}

// step_up is part of a rule's content, and two rules that differ in it differ.
func TestStepUpIsPartOfARule(t *testing.T) {
	a := aPasskey(t)
	people := []byte("relying_party: {origin: \"http://localhost:9103\"}\npeople: [{name: dana, accounts: [\"oidc:dana@x\"], passkeys: [" + a.YAML() + "]}, {name: kim, accounts: [\"oidc:kim@x\"]}]")
	hashes := map[string]bool{}
	for _, stepUp := range []string{"passkey", ""} {
		e, err := policy.Compile(map[string][]byte{
			"rules.yaml": []byte(strings.Replace(fmt.Sprintf(stepUpRule, "1", "passkey"), ", step_up: passkey", map[bool]string{true: ", step_up: passkey"}[stepUp != ""], 1)), "people.yaml": people,
		})
		if err != nil {
			t.Fatal(err)
		}
		hashes[e.Hashes()["drops"]] = true
		words := e.People().Approvers(e.Rules()[0].Approvers.Event(), []string{"github:x"}, time.Time{})
		if strings.Contains(words, "with a passkey") != (stepUp != "") {
			t.Errorf("approvers read %q", words)
		}
	}
	if len(hashes) != 2 {
		t.Error("the hash of a rule does not see step_up")
	}
}

// What a change adds or alters is said, and its beneficiaries are named, under
// whichever name it puts them.
func TestRedteam32_AChangeOfThePeopleMapNamesWhomItServes(t *testing.T) {
	a, other := aPasskey(t), aPasskey(t)
	read := func(text string) *policy.People {
		p, err := policy.ReadPeople([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const base = `people: [{name: dana, accounts: ["oidc:dana@x", "slack:U0DANA"]}, {name: kim, accounts: ["oidc:kim@x"]}]`
	now := read(base)
	for name, c := range map[string]struct {
		next    string
		lines   []string
		touched []string
	}{
		"a comment": {"# hi\n" + base, nil, nil},
		"a passkey": {
			strings.Replace(base, `["oidc:kim@x"]`, `["oidc:kim@x"], passkeys: [`+a.YAML()+`]`, 1), []string{"+ kim: passkey test ("}, []string{"oidc:kim@x"},
		},
		"an account moves": {
			strings.Replace(strings.Replace(base, `, "slack:U0DANA"`, "", 1), `["oidc:kim@x"]`, `["oidc:kim@x", "slack:U0DANA"]`, 1),
			[]string{"- dana: slack:U0DANA", "+ kim: slack:U0DANA"},
			[]string{"oidc:dana@x", "slack:U0DANA", "oidc:kim@x"},
		},
		"another name": {
			strings.Replace(base, "name: kim", "name: kimberley", 1), []string{"- person kim: oidc:kim@x", "+ person kimberley: oidc:kim@x"}, []string{"oidc:kim@x"},
		},
		"somebody new":  {strings.TrimSuffix(base, "]") + `, {name: eve, accounts: ["oidc:eve@x"]}]`, []string{"+ person eve: oidc:eve@x"}, nil},
		"somebody goes": {`people: [{name: dana, accounts: ["oidc:dana@x", "slack:U0DANA"]}]`, []string{"- person kim: oidc:kim@x"}, nil},
		"another place": {base + "\nrelying_party: {origin: \"https://evil.example\"}", []string{"passkeys are used at https://evil.example"}, nil},
		"who approves":  {base + "\nchanges: {persons: [kim]}", []string{"changes of this file are approved by 1 of persons [kim]"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := now.Change(read(c.next))
			if diff := cmp.Diff(c.touched, got.Touched); diff != "" {
				t.Error(diff)
			}
			if len(got.Lines) != len(c.lines) {
				t.Fatalf("it says %q", got.Lines)
			}
			for i, line := range c.lines {
				if !strings.HasPrefix(got.Lines[i], line) && !strings.Contains(strings.Join(got.Lines, "\n"), line) {
					t.Errorf("it says %q, not %q", got.Lines, line)
				}
			}
		})
	}
	with := read(strings.Replace(base, `["oidc:kim@x"]`, `["oidc:kim@x"], passkeys: [`+a.YAML()+`]`, 1))
	swapped := read(strings.Replace(base, `["oidc:kim@x"]`, `["oidc:kim@x"], passkeys: [`+other.YAML()+`]`, 1))
	if got := with.Change(swapped); len(got.Lines) != 2 || len(got.Touched) != 1 {
		t.Errorf("a passkey swapped under its name is %+v", got)
	}
	if got := now.Changes(); got.Count != 1 || strings.Join(got.Persons, " ") != "dana kim" {
		t.Errorf("by default %+v approve", got)
	}
}

// A passkey is worth what a change of the people map takes.
func TestPasskeysAreWorthWhatAChangeTakes(t *testing.T) {
	a := aPasskey(t)
	base := "relying_party: {origin: \"http://localhost:9103\"}\npeople: [{name: dana, accounts: [\"oidc:dana@x\"], passkeys: [" + a.YAML() + "]}, {name: kim, accounts: [\"oidc:kim@x\"]}]\n"
	for name, c := range map[string]struct{ people, mode, stepUp, finds string }{
		"by file":               {base, "file", "passkey", "whoever can write people.yaml can add a passkey"},
		"by votes without":      {base, "second_person", "passkey", "approved without a passkey"},
		"by votes with":         {base + "changes: {persons: [dana], step_up: passkey}", "second_person", "passkey", ""},
		"by file, in spite":     {base + "changes: {persons: [dana], step_up: passkey}", "file", "passkey", "whoever can write people.yaml can add a passkey"},
		"nobody asks for one":   {base, "file", "", ""},
		"it is not known which": {base, "", "passkey", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rule := fmt.Sprintf(stepUpRule, "1", "passkey")
			if c.stepUp == "" {
				rule = strings.Replace(rule, ", step_up: passkey", "", 1)
			}
			e, err := policy.Compile(map[string][]byte{"rules.yaml": []byte(rule), "people.yaml": []byte(c.people)})
			if err != nil {
				t.Fatal(err)
			}
			found := ""
			for _, f := range policy.Check(e, policy.Surroundings{PeopleChanges: c.mode}) {
				if f.Kind == policy.FoundPasskeys {
					found = f.What
				}
			}
			if (found == "") != (c.finds == "") || !strings.Contains(found, c.finds) {
				t.Errorf("it finds %q", found)
			}
		})
	}
}
