package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// maxToken bounds a token before any work is done on it.
const maxToken = 16 << 10

// algorithms are those accepted. None is symmetric: with a public key as the
// secret anybody could sign.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// jwt is a token taken apart and not yet verified.
type jwt struct {
	algorithm string
	keyID     string
	claims    Claims
	// signed is the SHA-256 of the signing input, in hex: what a token is known
	// by where its issuer sends no jti. The signature is not part of it, since
	// some algorithms have several valid ones for one input.
	signed string
}

// parseJWT takes a compact JWS apart (RFC 7515, section 7.1).
func parseJWT(raw string) (*jwt, error) {
	if len(raw) > maxToken {
		return nil, fmt.Errorf("longer than %d bytes", maxToken)
	}
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 {
		return nil, errors.New("not of the form header.payload.signature")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = decodePart(part); err != nil {
			return nil, err
		}
	}
	header, err := parseObject(decoded[0])
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	t := &jwt{algorithm: header.Text("alg"), keyID: header.Text("kid")}
	if !accepted(t.algorithm) {
		return nil, fmt.Errorf("the algorithm %q is not accepted", clip(t.algorithm))
	}
	if _, critical := header["crit"]; critical {
		return nil, errors.New("the header demands extensions (crit), none is supported")
	}
	if len(decoded[2]) == 0 {
		return nil, errors.New("not signed")
	}
	if t.claims, err = parseObject(decoded[1]); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	t.signed = hex.EncodeToString(sum[:])
	return t, nil
}

// decodePart decodes canonical base64url: no padding, no white space, no spare
// bits set. Otherwise one token could be spelled in several ways.
func decodePart(part string) ([]byte, error) {
	// The decoder skips line ends, also in strict mode.
	if strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("not canonical base64url")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("not canonical base64url")
	}
	return raw, nil
}

func accepted(algorithm string) bool {
	for _, a := range algorithms {
		if a == algorithm {
			return true
		}
	}
	return false
}
