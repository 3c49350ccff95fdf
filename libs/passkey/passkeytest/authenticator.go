// Package passkeytest is an authenticator in software, for tests.
package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/passkey"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Authenticator holds one passkey, and the browser around it. Its fields say how
// it behaves; change them to have it misbehave.
type Authenticator struct {
	passkey.Key
	RP     passkey.RelyingParty
	Flags  byte   // user present 1, user verified 4
	Type   string // of the ceremony
	Cross  bool   // in a frame of another origin
	signer crypto.Signer
}

// The kinds of keys.
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// New makes a passkey for a relying party.
func New(rp passkey.RelyingParty, algorithm int) (*Authenticator, error) {
	a := &Authenticator{RP: rp, Flags: 5, Type: "webauthn.get", Key: passkey.Key{Name: "test", ID: make([]byte, 32)}}
	if _, err := rand.Read(a.ID); err != nil {
		return nil, fmt.Errorf("passkeytest: %w", err)
	}
	var cose map[int]any
	switch algorithm {
	case ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("passkeytest: %w", err)
		}
		point, err := k.PublicKey.Bytes() // 4, x, y
		if err != nil {
			return nil, fmt.Errorf("passkeytest: %w", err)
		}
		a.signer, cose = k, map[int]any{1: 2, 3: ES256, -1: 1, -2: point[1:33], -3: point[33:]}
	case EdDSA:
		public, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("passkeytest: %w", err)
		}
		a.signer, cose = k, map[int]any{1: 1, 3: EdDSA, -1: 6, -2: []byte(public)}
	case RS256:
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("passkeytest: %w", err)
		}
		a.signer, cose = k, map[int]any{1: 3, 3: RS256, -1: k.N.Bytes(), -2: big.NewInt(int64(k.E)).Bytes()}
	default:
		return nil, fmt.Errorf("passkeytest: algorithm %d is not known", algorithm)
	}
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err == nil {
		a.Public, err = mode.Marshal(cose)
	}
	if err != nil {
		return nil, fmt.Errorf("passkeytest: %w", err)
	}
	return a, nil
}

// YAML is the passkey as people.yaml has it.
func (a *Authenticator) YAML() string {
	return fmt.Sprintf("{name: %s, id: %s, public_key: %s}", a.Name, base64.RawURLEncoding.EncodeToString(a.ID), base64.RawURLEncoding.EncodeToString(a.Public))
}

// Sign asserts a vote: its assertion is set, and its time, where it has none.
func (a *Authenticator) Sign(approvalID string, requestHash []byte, v *eventv1.Vote, at time.Time) error {
	v.Assertion = &eventv1.Assertion{At: timestamppb.New(at.Truncate(time.Millisecond))}
	if v.At == nil {
		v.At = timestamppb.New(at)
	}
	made, err := a.Assert(passkey.Challenge(approvalID, requestHash, v))
	if err != nil {
		return err
	}
	made.At = v.Assertion.At
	v.Assertion = made
	return nil
}

// Assert signs a challenge, as navigator.credentials.get would.
func (a *Authenticator) Assert(challenge []byte) (*eventv1.Assertion, error) {
	client, err := json.Marshal(map[string]any{
		"type": a.Type, "challenge": base64.RawURLEncoding.EncodeToString(challenge), "origin": a.RP.Origin, "crossOrigin": a.Cross,
	})
	if err != nil {
		return nil, fmt.Errorf("passkeytest: %w", err)
	}
	rp, hash := sha256.Sum256([]byte(a.RP.ID)), sha256.Sum256(client)
	data := binary.BigEndian.AppendUint32(append(rp[:], a.Flags), 1)
	message := append(append([]byte{}, data...), hash[:]...)
	signature, err := a.sign(message)
	if err != nil {
		return nil, fmt.Errorf("passkeytest: %w", err)
	}
	return &eventv1.Assertion{CredentialId: a.ID, AuthenticatorData: data, ClientData: client, Signature: signature}, nil
}

func (a *Authenticator) sign(message []byte) ([]byte, error) {
	if _, ed := a.signer.(ed25519.PrivateKey); ed {
		return a.signer.Sign(rand.Reader, message, crypto.Hash(0)) //nolint:wrapcheck // the caller wraps
	}
	digest := sha256.Sum256(message)
	return a.signer.Sign(rand.Reader, digest[:], crypto.SHA256) //nolint:wrapcheck // the caller wraps
}
