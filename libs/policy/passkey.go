package policy

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/passkey"
)

// StepUpPasskey is a step_up of approvers that has a vote to approve count only with a
// signature of its voter's passkey.
const StepUpPasskey = "passkey"

const (
	maxPasskeys     = 10   // of one person
	maxCredentialID = 1023 // bytes, as WebAuthn bounds it
	maxPublicKey    = 2048 // bytes
)

var (
	relyingPartyKeys = []string{"origin", "id"}
	passkeyKeys      = []string{"name", "id", "public_key"}
)

// Passkeys implements passkey.Keys: where passkeys may be used, and those of a person.
func (p *People) Passkeys(person string) (passkey.RelyingParty, []passkey.Key) {
	return p.party, append([]passkey.Key(nil), p.passkeys[person]...)
}

func (s *source) relyingParty(n ast.Node) passkey.RelyingParty {
	var origin, id string
	for _, e := range s.entries(n, "relying_party", relyingPartyKeys) {
		switch e.key {
		case "origin":
			origin = s.text(e.value, "origin")
		case "id":
			id = s.text(e.value, "id")
		}
	}
	if origin == "" {
		s.bad(n, "relying_party has no origin", "add origin: and the address of the inbox (approval.url), e.g. https://approvals.acme.example")
		return passkey.RelyingParty{}
	}
	rp, err := passkey.At(origin, id)
	if err != nil {
		s.bad(n, fmt.Sprintf("relying_party %q is not one", origin), err.Error())
	}
	return rp
}

func (s *source) passkeys(n ast.Node, name string, p *People) {
	nodes := s.list(n, "passkeys")
	if len(nodes) > maxPasskeys {
		s.bad(n, fmt.Sprintf("person %q has %d passkeys", name, len(nodes)), fmt.Sprintf("keep at most %d", maxPasskeys))
	}
	for _, n := range nodes {
		s.passkey(n, name, p)
	}
}

func (s *source) passkey(n ast.Node, person string, p *People) {
	k := passkey.Key{}
	for _, e := range s.entries(n, "a passkey", passkeyKeys) {
		switch e.key {
		case "name":
			k.Name = s.text(e.value, "name")
		case "id":
			k.ID = s.bytes(e.value, "id", maxCredentialID)
		case "public_key":
			k.Public = s.bytes(e.value, "public_key", maxPublicKey)
		}
	}
	if k.Name == "" || len(k.ID) == 0 || len(k.Public) == 0 {
		s.bad(n, fmt.Sprintf("a passkey of %q is not whole", person), "it has name, id and public_key: the inbox's page 'Your passkeys' shows the lines to add")
		return
	}
	if err := passkey.CheckPublic(k.Public); err != nil {
		s.bad(n, fmt.Sprintf("the public key of passkey %q cannot be used: %v", k.Name, err), "public_key is the COSE key, base64url: copy it from the inbox's page 'Your passkeys'")
		return
	}
	for other, keys := range p.passkeys {
		for _, have := range keys {
			if bytes.Equal(have.ID, k.ID) || bytes.Equal(have.Public, k.Public) {
				s.bad(n, fmt.Sprintf("passkey %q already belongs to %q", k.Name, other), "a passkey belongs to one person, and is there once: remove one of them")
				return
			}
		}
	}
	p.passkeys[person] = append(p.passkeys[person], k)
}

// bytes reads a base64url text.
func (s *source) bytes(n ast.Node, what string, highest int) []byte {
	text := s.text(n, what)
	if text == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(raw) == 0 || len(raw) > highest {
		s.bad(n, what+" is not base64url", fmt.Sprintf("write 1 to %d bytes in base64url (letters, digits, - and _)", highest))
		return nil
	}
	return raw
}

func (s *source) stepUp(n ast.Node) string {
	t := s.text(n, "step_up")
	if t != "" && t != StepUpPasskey {
		s.bad(n, fmt.Sprintf("step_up %q is not known", t), `write "step_up: passkey", or leave the key out`)
	}
	return t
}

// checkStepUp makes sure that a rule's step-up can be met at all.
func (e *Engine) checkStepUp(s *source, r *rule) {
	at := r.nodes["approvers"]
	if r.Approvers.StepUp != "" && e.people.party.ID == "" {
		s.bad(at, "step_up asks for passkeys, and "+PeopleFile+" does not say where they are used", "add relying_party: {origin: https://…} to "+PeopleFile+": the inbox's address (approval.url)")
	}
}

// passkeys finds that a passkey can come into the map without one: step_up is
// then worth what a change of the map takes.
func (c *checker) passkeys() {
	people := c.engine.people
	for _, r := range c.engine.rules {
		if c.PeopleChanges == "" || r.Approvers == nil || r.Approvers.StepUp == "" || c.PeopleChanges != "file" && people.Changes().StepUp != "" {
			continue
		}
		what, remedy := "whoever can write "+PeopleFile+" can add a passkey, and approve with it", "have changes of it take a second person: policy.people_changes: second_person"
		if c.PeopleChanges != "file" {
			what = "a change of " + PeopleFile + " is approved without a passkey: whoever holds the approval service's key and can write that file can add one"
			remedy = "once those who approve such changes have passkeys, add changes: {persons: […], step_up: passkey} to " + PeopleFile
		}
		c.add(FoundPasskeys, r, "approvers", what, remedy)
		return // once is enough
	}
}

// proves reports whether a person can give a vote as step_up asks.
func (p *People) proves(person, stepUp string) bool {
	return stepUp == "" || len(p.passkeys[person]) > 0
}
