package passkey

import (
	"encoding/base64"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
)

// Algorithms are the COSE numbers that a passkey may use, the best first.
func Algorithms() []int {
	var out []int
	for _, a := range algorithms {
		out = append(out, int(a))
	}
	return out
}

// Made reads what a browser answers to navigator.credentials.create: a new
// passkey, made on a page of the relying party's own, the person present and
// verified. Nothing vouches for its maker: whose it is, a second person confirms.
func Made(rp RelyingParty, challenge, id, clientData, attestation []byte) (Key, error) {
	parsed, err := protocol.CredentialCreationResponse{
		PublicKeyCredential: protocol.PublicKeyCredential{
			Credential: protocol.Credential{ID: base64.RawURLEncoding.EncodeToString(id), Type: string(protocol.PublicKeyCredentialType)}, RawID: id,
		},
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: clientData}, AttestationObject: attestation,
		},
	}.Parse()
	if err != nil {
		return Key{}, fmt.Errorf("passkey: the new passkey cannot be read: %w", err)
	}
	var parameters []protocol.CredentialParameter
	for _, a := range algorithms {
		parameters = append(parameters, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a})
	}
	_, err = parsed.Verify(base64.RawURLEncoding.EncodeToString(challenge), rp.ID, []string{rp.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, nil, parameters, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return Key{}, fmt.Errorf("passkey: the new passkey does not verify: %w", err)
	}
	data := parsed.Response.AttestationObject.AuthData.AttData
	k := Key{ID: data.CredentialID, Public: data.CredentialPublicKey}
	if err := CheckPublic(k.Public); err != nil {
		return Key{}, err
	}
	return k, nil
}
