package approval_test

import (
	"fmt"
	"strings"
	"testing"

	folk "github.com/gatestay/gatestay/libs/people"
)

// authenticator gives the browser a device that holds passkeys.
func (p *tab) authenticator() string {
	p.t.Helper()
	p.call("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
	var made struct {
		AuthenticatorID string `json:"authenticatorId"`
	}
	p.call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true,
	}}, &made)
	return made.AuthenticatorID
}

// A passkey from its making to a signed decision, in a real browser.
func TestPasskeyInChromium(t *testing.T) {
	w := newWorld(t)
	i := w.startIssuer()
	port := freePort(t)
	at := fmt.Sprintf("http://localhost:%d", port)
	w.start(withInbox(i), named(port))
	p := chromium(t)()
	device := p.authenticator()
	p.signIn(i, at+"/", "dana")

	// It is made, and shown as the lines that people.yaml takes.
	p.holds(`document.querySelector(".who a.name")`)
	p.eval(`document.querySelector(".who a.name").click()`)
	p.holds(`location.pathname === "/passkeys" && document.getElementById("make")`)
	p.eval(`document.getElementById("passkey-name").value = "Dana's laptop"`)
	p.picture("passkeys")
	p.eval(`document.getElementById("make").click()`)
	p.holds(`document.querySelector("pre.statement")`)
	yaml := strings.TrimPrefix(strings.TrimSpace(p.eval(`document.querySelector("pre.statement").innerText`)), "- ")
	if !strings.HasPrefix(yaml, "{name: Dana-s-laptop, id: ") {
		t.Fatalf("it shows %q", yaml)
	}
	print := p.eval(`[...document.querySelectorAll("main code")].pop().innerText`)
	p.picture("passkey-made")

	// Somebody else's is confirmed as any approval is, and the fingerprint compared.
	change := w.change("relying_party: {origin: \"" + at + "\"}\n" + strings.Replace(people, "{name: kim,", "{name: kim, passkeys: ["+yaml+"],", 1))
	w.ask(change, folk.Gateway, w.key)
	p.open(at + "/")
	p.holds(`document.getElementById("` + change.Id + `")`)
	p.open(at + "/approvals/" + change.Id)
	p.holds(`document.getElementById("approve") && document.body.innerText.includes("+ kim: passkey Dana-s-laptop (` + print + `)")`)
	p.picture("people-change")
	text := "relying_party: {origin: \"" + at + "\"}\n" + strings.Replace(people, "{name: dana,", "{name: dana, passkeys: ["+yaml+"],", 1)
	w.publish(strings.Replace(stepUpRule, "[dana, kim], count: 1", "[dana, kim], count: 1, reason: required", 1), text)

	// With it, the vote is signed.
	q := w.hold("highest")
	p.open(at + "/")
	p.holds(`document.getElementById("` + q.Id + `")`)
	p.open(at + "/approvals/" + q.Id)
	p.holds(`document.getElementById("approve") && document.getElementById("approve").innerText === "Approve with your passkey"`)
	p.eval(`document.getElementById("approve-reason").value = "the table is empty"`)
	p.picture("step-up")

	// Without a fingerprint it is not, and the page says so.
	p.call("WebAuthn.setUserVerified", map[string]any{"authenticatorId": device, "isUserVerified": false}, nil)
	p.eval(`document.getElementById("approve").click()`)
	p.holds(`document.querySelector("form.approve [data-problem]").innerText.includes("No passkey has answered") && !document.getElementById("approve").disabled`)
	w.recorded(q, "requested")
	p.call("WebAuthn.setUserVerified", map[string]any{"authenticatorId": device, "isUserVerified": true}, nil)
	p.key("a")
	if got := p.focused(); got != "approve" {
		t.Fatalf("a leads to %q", got)
	}
	p.key("Enter")
	p.holds(`document.querySelector("#status .state.approved")`)
	d, err := w.decided(q)
	if err != nil {
		t.Fatal(err)
	}
	if v := d.Votes[0]; len(v.GetAssertion().GetSignature()) == 0 || v.Reason != "the table is empty" {
		t.Errorf("the vote is %v", v)
	}

	// The passkeys of the map are listed, and a second one of one device is not made.
	p.open(at + "/passkeys")
	p.holds(`document.body.innerText.includes("Dana-s-laptop ` + print + `")`)
	p.picture("passkeys-listed")
	p.eval(`document.getElementById("passkey-name").value = "again"; document.getElementById("make").click()`)
	p.holds(`document.querySelector("[data-problem]").innerText.includes("has a passkey of yours already")`)
	if len(p.faults) > 0 {
		t.Errorf("the browser complained: %s", strings.Join(p.faults, "\n"))
	}
}
