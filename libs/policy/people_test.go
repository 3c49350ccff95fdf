package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestPeople(t *testing.T) {
	p := compile(t, "rules: []").People()
	for account, want := range map[string]string{
		"slack:U0DANA": "dana", "github:dana": "dana", "github:DANA": "dana", "oidc:Dana@Acme.example": "dana", "gitlab:Kim": "kim",
		"slack:u0dana": "", "github:kim": "", "dana": "", "": "", "oidc:dana": "", "github:dana\u212a": "",
	} {
		if got, ok := p.Person(account); got != want || ok != (want != "") {
			t.Errorf("%q belongs to %q, want %q", account, got, want)
		}
	}
	if diff := cmp.Diff([]string{"github:dana", "slack:U0DANA", "oidc:dana@acme.example"}, p.Accounts("dana")); diff != "" {
		t.Error(diff)
	}
	if got := p.Accounts("nobody"); got != nil {
		t.Errorf("nobody has %v", got)
	}
	if diff := cmp.Diff([]string{"dana", "kim", "lee"}, p.Names()); diff != "" {
		t.Error(diff)
	}
	var none policy.People
	if _, ok := none.Person("slack:U0DANA"); ok {
		t.Error("the empty map knows somebody")
	}
}

func TestRedteam19_EveryRequesterIsNamed(t *testing.T) {
	cases := []struct {
		name      string
		principal *eventv1.Principal
		want      []string
	}{
		{"the actor", &eventv1.Principal{Preset: "github-actions", Actor: "dana"}, []string{"github:dana"}},
		{"whoever pressed re-run", &eventv1.Principal{Preset: "github-actions", Actor: "dana", TriggeringActor: "kim"}, []string{"github:dana", "github:kim"}},
		{"once, whatever the case", &eventv1.Principal{Preset: "github-actions", Actor: "dana", TriggeringActor: "Dana"}, []string{"github:dana"}},
		{"GitLab's user", &eventv1.Principal{Preset: "gitlab-ci", Actor: "kim"}, []string{"gitlab:kim"}},
		{"on whose behalf, asserted or not", &eventv1.Principal{Preset: "gitlab-ci", Actor: "kim", OnBehalfOf: "dana@acme.example", Asserted: []string{"on_behalf_of"}}, []string{"gitlab:kim", "oidc:dana@acme.example"}},
		{"another issuer's user", &eventv1.Principal{Preset: "generic", Actor: "lee@acme.example"}, []string{"oidc:lee@acme.example"}},
		{"nobody told", &eventv1.Principal{Preset: "generic"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, policy.Requesters(c.principal)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
