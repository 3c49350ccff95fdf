package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
)

// errNoAnswer: the fields of a passkey's answer are not what a browser makes.
var errNoAnswer = &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "your passkey's answer cannot be read", Hint: "open the page again and approve there"}

// descriptor names a passkey to a browser (PublicKeyCredentialDescriptorJSON).
type descriptor struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func descriptors(keys []passkey.Key) []descriptor {
	out := []descriptor{}
	for _, k := range keys {
		out = append(out, descriptor{"public-key", base64url(k.ID)})
	}
	return out
}

// challenge answers what the caller's passkey has to sign for the vote of a form
// (PublicKeyCredentialRequestOptionsJSON, and the time that is part of it). It
// keeps nothing: the vote brings it all back.
func (w *Web) challenge(rw http.ResponseWriter, r *http.Request, v *visit) {
	id := r.PathValue("id")
	b, err := ballot(id, r.PostForm)
	var c *desk.Challenge
	if err == nil {
		c, err = v.Challenge(r.Context(), b)
	}
	if err != nil {
		w.problem(rw, err)
		return
	}
	w.json(rw, http.StatusOK, map[string]any{
		"at": strconv.FormatInt(c.At.UnixMilli(), 10),
		"options": map[string]any{
			"challenge": base64url(c.Value), "rpId": c.Party.ID, "allowCredentials": descriptors(c.Keys), "userVerification": "required", "timeout": 120000,
		},
	})
}

func (w *Web) json(rw http.ResponseWriter, status int, v any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(v) // whoever asked went away
}

// problem answers a script why there is nothing to sign.
func (w *Web) problem(rw http.ResponseWriter, err error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		w.o.Log.Error().Err(err).Msg("request of a person failed")
		r = &refusal.Refusal{Code: refusal.BusUnavailable, Message: "the approval service cannot reach its state", Hint: "try again in a moment"}
	}
	w.json(rw, api.Status(r.Code), map[string]string{"problem": sentence(r.Message) + " " + sentence(r.Hint)})
}

// assertion reads a passkey's answer from a form; nil where the form has none.
func assertion(form url.Values) (*eventv1.Assertion, error) {
	if !form.Has("signature") || form.Get("signature") == "" {
		return nil, nil //nolint:nilnil // no answer is no error: the desk says what the rule asks for
	}
	millis, err := strconv.ParseInt(form.Get("at"), 10, 64)
	if err != nil {
		return nil, errNoAnswer
	}
	a := &eventv1.Assertion{At: timestamppb.New(time.UnixMilli(millis))}
	for field, to := range map[string]*[]byte{"credential": &a.CredentialId, "authenticator": &a.AuthenticatorData, "client": &a.ClientData, "signature": &a.Signature} {
		if *to, err = base64.RawURLEncoding.DecodeString(form.Get(field)); err != nil {
			return nil, errNoAnswer
		}
	}
	return a, nil
}

// passkeys is the page of the caller's own passkeys.
type passkeys struct {
	Person  string
	Party   passkey.RelyingParty
	Keys    []api.Passkey
	Here    bool   // this page is where passkeys can be made
	Address string // where else
	YAML    string // of a new one
	Print   string // its fingerprint
}

func (w *Web) passkeys(rw http.ResponseWriter, _ *http.Request, v *visit) {
	w.render(rw, http.StatusOK, "passkeys", view{Title: "Your passkeys", Visit: v, Data: w.passkeysOf(v)})
}

func (w *Web) passkeysOf(v *visit) passkeys {
	p := passkeys{Person: v.Person, Keys: v.Passkeys()}
	p.Party = w.party(v)
	here, err := passkey.At(w.url.String(), "")
	p.Here = err == nil && p.Party.Origin == here.Origin
	p.Address = p.Party.Origin
	return p
}

// party is where passkeys are used: what the people map says, else this address.
func (w *Web) party(v *visit) passkey.RelyingParty {
	rp, _ := v.People().Passkeys(v.Person)
	if rp.ID == "" {
		rp, _ = passkey.At(w.url.String(), "") // without a name there is none
	}
	return rp
}

// create answers what a browser needs to make a passkey
// (PublicKeyCredentialCreationOptionsJSON).
func (w *Web) create(rw http.ResponseWriter, _ *http.Request, v *visit) {
	rp := w.party(v)
	_, have := v.People().Passkeys(v.Person)
	if v.Person == "" || rp.ID == "" {
		w.problem(rw, &refusal.Refusal{Code: refusal.VoteForbidden, Message: "the people map does not know you, or not where passkeys are used", Hint: "have yourself and relying_party added to people.yaml"})
		return
	}
	user := sha256.Sum256([]byte("gatestay/person/v1\x00" + v.Person))
	algorithms := []map[string]any{}
	for _, a := range passkey.Algorithms() {
		algorithms = append(algorithms, map[string]any{"type": "public-key", "alg": a})
	}
	w.json(rw, http.StatusOK, map[string]any{"options": map[string]any{
		"rp": map[string]string{"id": rp.ID, "name": "Gatestay approvals"}, "user": map[string]string{"id": base64url(user[:]), "name": v.Person, "displayName": v.Person},
		"challenge": base64url(w.enrolment(v)), "pubKeyCredParams": algorithms, "excludeCredentials": descriptors(have), "attestation": "none", "timeout": 120000,
		"authenticatorSelection": map[string]string{"userVerification": "required", "residentKey": "preferred"},
	}})
}

// enrolment is the challenge of a session's new passkey.
func (w *Web) enrolment(v *visit) []byte {
	sum := sha256.Sum256([]byte("gatestay/enrolment/v1\x00" + w.vault.formToken(v.session)))
	return sum[:]
}

// made shows the lines that a new passkey is in people.yaml. It is good for
// nothing until they are there, in a bundle that the policy service signed.
func (w *Web) made(rw http.ResponseWriter, r *http.Request, v *visit) {
	var raw [3][]byte
	for i, field := range []string{"credential", "client", "attestation"} {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(r.PostForm.Get(field)); err != nil || len(raw[i]) == 0 {
			w.fail(rw, v, errNoAnswer, "/passkeys")
			return
		}
	}
	p := w.passkeysOf(v)
	k, err := passkey.Made(p.Party, w.enrolment(v), raw[0], raw[1], raw[2])
	if err != nil || v.Person == "" {
		w.o.Log.Warn().Err(err).Str("account", v.Account).Msg("a passkey that was not made here was refused")
		w.fail(rw, v, &refusal.Refusal{Code: refusal.ApprovalInvalid, Message: "this passkey was not made on this page, or is of a kind that is not taken", Hint: "make another one"}, "/passkeys")
		return
	}
	p.Print = k.Fingerprint()
	p.YAML = "{name: " + passkeyName(r.PostForm.Get("name")) + ", id: " + base64url(k.ID) + ", public_key: " + base64url(k.Public) + "}"
	w.render(rw, http.StatusOK, "passkeys", view{Title: "Your new passkey", Visit: v, Data: p})
}

// passkeyName is a name as YAML takes it without quotes.
func passkeyName(s string) string {
	out := []rune{}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			out = append(out, r)
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
		if len(out) == 40 {
			break
		}
	}
	if len(out) == 0 || out[0] >= '0' && out[0] <= '9' {
		out = append([]rune("key-"), out...)
	}
	return string(out)
}

func base64url(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// approving is what the caller's approval needs beside the click.
type approving struct {
	Passkey bool // it takes one
	Has     bool // the people map has one of the caller's
	Address string
}

func (w *Web) approving(a api.Approval, v *visit) approving {
	s := approving{Passkey: a.StepUp}
	if !s.Passkey {
		return s
	}
	s.Has = len(v.Passkeys()) > 0
	if rp := w.party(v); rp.Origin != w.url.String() {
		s.Address = rp.Origin + back(a.ID)
	}
	return s
}
