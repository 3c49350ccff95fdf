// Package passkey makes a vote something that only its voter's own passkey can
// give (WebAuthn level 3). It is pure: the approval service and the gateway both
// verify by it, each with the public keys of the signed bundle that it holds.
//
// What a passkey signs is the hash of one vote on one request. The request's
// hash covers principal, target, rule, command and what was shown, so that the
// signature is worth nothing for another approval, another vote, another scope
// or another voter. That is also why it cannot be replayed, and why the counter
// of signatures is not looked at: it would tell of a cloned passkey only those
// who share a state, which gateways do not.
//
// A browser shows nobody what a challenge stands for. That the page showed the
// request as it is, is the approval service's word; that a person who holds the
// passkey was there, and gave exactly this vote on exactly this request, is not.
package passkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// RelyingParty is where passkeys may be used: the inbox's address, and the domain
// that they are made for.
type RelyingParty struct {
	ID     string // the host of Origin, or a domain above it
	Origin string // https://approvals.acme.example
}

// Key is one passkey of a person.
type Key struct {
	Name   string // for people: "laptop"
	ID     []byte // the credential's id
	Public []byte // COSE_Key, CBOR
}

// Fingerprint tells a passkey from others, for people to compare: 16 hex digits.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(append(append([]byte{}, k.ID...), k.Public...))
	return hex.EncodeToString(sum[:8])
}

// Keys is the people map as far as this package needs it.
type Keys interface {
	// Passkeys returns where a person's passkeys may be used, and which they are.
	Passkeys(person string) (RelyingParty, []Key)
}

// Proof is an assertion and the challenge that it must have been made of.
type Proof struct {
	Challenge []byte
	Assertion *eventv1.Assertion
}

// Errors of a proof.
var (
	ErrNone    = errors.New("passkey: no passkey has signed this vote")
	ErrUnknown = errors.New("passkey: the people map does not have this passkey for this person")
)

// algorithms are those that a passkey may use.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256}

// domain separates a vote's challenge from whatever else is hashed.
const domain = "gatestay/vote/v1"

// Challenge returns what a passkey signs for a vote (SHA-256, 32 bytes): every
// field by itself, its length in front. The vote's assertion gives the time.
func Challenge(approvalID string, requestHash []byte, v *eventv1.Vote) []byte {
	reason := sha256.Sum256([]byte(v.GetReason()))
	h := sha256.New()
	field := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	number := func(n int64) { field(binary.BigEndian.AppendUint64(nil, uint64(n))) } //nolint:gosec // every bit of it
	field([]byte(domain))
	field([]byte(approvalID))
	field(requestHash)
	field([]byte(v.GetAccount()))
	field([]byte(v.GetVote()))
	field([]byte(v.GetScope()))
	number(int64(v.GetUses()))
	number(v.GetLife().AsDuration().Nanoseconds())
	field(reason[:])
	number(v.GetAssertion().GetAt().AsTime().UnixMilli())
	return h.Sum(nil)
}

// Verify checks that one of a person's passkeys made the proof: over exactly its
// challenge, on a page of the relying party's own origin, the person present and
// verified (fingerprint, PIN).
func Verify(keys Keys, person string, p *Proof) error {
	a := p.assertion()
	if a == nil {
		return ErrNone
	}
	rp, of := keys.Passkeys(person)
	at := slices.IndexFunc(of, func(k Key) bool { return len(k.ID) > 0 && bytes.Equal(k.ID, a.GetCredentialId()) })
	if at < 0 || rp.ID == "" || rp.Origin == "" {
		return ErrUnknown
	}
	if err := CheckPublic(of[at].Public); err != nil {
		return err
	}
	id := base64.RawURLEncoding.EncodeToString(a.GetCredentialId())
	parsed, err := protocol.CredentialAssertionResponse{
		PublicKeyCredential: protocol.PublicKeyCredential{
			Credential: protocol.Credential{ID: id, Type: string(protocol.PublicKeyCredentialType)}, RawID: a.GetCredentialId(),
		},
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.GetClientData()},
			AuthenticatorData:     a.GetAuthenticatorData(), Signature: a.GetSignature(),
		},
	}.Parse()
	if err != nil {
		return fmt.Errorf("passkey: the assertion cannot be read: %w", err)
	}
	challenge := base64.RawURLEncoding.EncodeToString(p.Challenge)
	err = parsed.Verify(challenge, rp.ID, "", []string{rp.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode, false, true, true, of[at].Public, protocol.SignaturePolicy{})
	if err != nil {
		return fmt.Errorf("passkey: the assertion does not verify: %w", err)
	}
	return nil
}

func (p *Proof) assertion() *eventv1.Assertion {
	if p == nil || len(p.Challenge) == 0 {
		return nil
	}
	return p.Assertion
}

// CheckPublic says what is wrong with a public key: it is no COSE key, or of an
// algorithm other than ES256, EdDSA and RS256.
func CheckPublic(public []byte) error {
	key, err := webauthncose.ParsePublicKey(public)
	if err != nil {
		return fmt.Errorf("passkey: the public key cannot be read: %w", err)
	}
	algorithm := webauthncose.COSEAlgorithmIdentifier(0)
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		algorithm = webauthncose.COSEAlgorithmIdentifier(k.Algorithm)
	case webauthncose.OKPPublicKeyData:
		algorithm = webauthncose.COSEAlgorithmIdentifier(k.Algorithm)
	case webauthncose.RSAPublicKeyData:
		algorithm = webauthncose.COSEAlgorithmIdentifier(k.Algorithm)
	}
	if !slices.Contains(algorithms, algorithm) {
		return errors.New("passkey: the public key's algorithm is none of ES256, EdDSA and RS256")
	}
	return nil
}
