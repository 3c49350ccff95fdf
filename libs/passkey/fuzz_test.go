package passkey_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/passkey"
	"github.com/gatestay/gatestay/libs/passkey/passkeytest"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// What an approval service that was taken over sends for an assertion neither
// passes nor ends a gateway.
func FuzzVerify(f *testing.F) {
	a, err := passkeytest.New(party, passkeytest.ES256)
	if err != nil {
		f.Fatal(err)
	}
	challenge := []byte("challenge")
	good, err := a.Assert(challenge)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.AuthenticatorData, good.ClientData, good.Signature)
	f.Add(append(append([]byte{}, good.AuthenticatorData[:32]...), 0xc5, 0, 0, 0, 1, 0xa1, 0x61, 0x61), good.ClientData, good.Signature)
	f.Add([]byte{}, []byte("{}"), []byte{})
	f.Add(good.AuthenticatorData[:37], []byte(`{"type":"webauthn.get","tokenBinding":null}`), good.Signature[:3])
	f.Fuzz(func(t *testing.T, data, client, signature []byte) {
		got := &eventv1.Assertion{CredentialId: a.ID, AuthenticatorData: data, ClientData: client, Signature: signature}
		err := passkey.Verify(holders{"dana": {a.Key}}, "dana", &passkey.Proof{Challenge: challenge, Assertion: got})
		if err == nil && (!proto.Equal(&eventv1.Assertion{AuthenticatorData: data, ClientData: client}, &eventv1.Assertion{AuthenticatorData: good.AuthenticatorData, ClientData: good.ClientData})) {
			t.Error("a forged assertion verifies")
		}
	})
}

// A people map comes from a signed bundle, and a broken key in it is a problem, no
// crash.
func FuzzPublicKey(f *testing.F) {
	for _, algorithm := range []int{passkeytest.ES256, passkeytest.EdDSA, passkeytest.RS256} {
		a, err := passkeytest.New(party, algorithm)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Public)
	}
	f.Add([]byte{0xa0})
	f.Fuzz(func(_ *testing.T, public []byte) { _ = passkey.CheckPublic(public) })
}
