package masking

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"
)

// The prefixes by which hashes and tokens are recognised.
const (
	HashPrefix  = "gsh_"
	TokenPrefix = "gst_"
)

const (
	hashBytes  = 12 // 96 bits: no collision among 10^12 values
	tagBytes   = 3  // a tag tells equal from different at a glance; it is no identity
	checkBytes = 3  // 24 bits: text that merely looks like a token is told apart
)

// ErrToken is returned for text that is no token of this key.
var ErrToken = errors.New("masking: not a token of this key")

var tokenEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// tokenContext is the associated data of every token. It names no column, so
// that equal values of two columns give equal tokens and joins keep working.
var tokenContext = []byte("gatestay/masking/token/v1")

// keys are the secrets derived from the gateway's masking key, one per use.
// Safe for concurrent use.
type keys struct {
	hashKey, tagKey, compareKey []byte

	siv *subtle.AESSIV
}

func newKeys(master [32]byte) (*keys, error) {
	siv, err := subtle.NewAESSIV(append(derive(master, "token/1"), derive(master, "token/2")...))
	if err != nil {
		return nil, fmt.Errorf("masking: token key: %w", err)
	}
	return &keys{hashKey: derive(master, "hash"), tagKey: derive(master, "tag"), compareKey: derive(master, "compare"), siv: siv}, nil
}

// derive is HKDF-Expand (RFC 5869) of one block: the master is uniformly
// random already, so that no extraction is needed.
func derive(master [32]byte, use string) []byte {
	h := hmac.New(sha256.New, master[:])
	h.Write([]byte("gatestay/masking/" + use))
	h.Write([]byte{1})
	return h.Sum(nil)
}

func mac(key, value []byte, n int) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(value)
	return h.Sum(nil)[:n]
}

func (k *keys) hash(value []byte) []byte {
	return []byte(HashPrefix + hex.EncodeToString(mac(k.hashKey, value, hashBytes)))
}

// tag returns " #a1b2c3", or nothing without a key.
func (k *keys) tag(value []byte) string {
	if k == nil {
		return ""
	}
	return " #" + hex.EncodeToString(mac(k.tagKey, value, tagBytes))
}

// token encrypts deterministically (AES-SIV, RFC 5297). The wire form is the
// prefix and base32 of check || siv || ciphertext.
func (k *keys) token(value []byte) []byte {
	sealed, err := k.siv.EncryptDeterministically(value, tokenContext)
	if err != nil {
		return []byte(redacted) // only for values near 2^63 bytes
	}
	return append([]byte(TokenPrefix), tokenEncoding.EncodeToString(append(check(sealed), sealed...))...)
}

func check(sealed []byte) []byte {
	sum := sha256.Sum256(append([]byte(TokenPrefix), sealed...))
	return sum[:checkBytes]
}

// unwrap returns what a token carries, where its check holds.
func unwrap(token string) ([]byte, bool) {
	if len(token) < len(TokenPrefix) || token[:len(TokenPrefix)] != TokenPrefix {
		return nil, false
	}
	raw, err := tokenEncoding.DecodeString(token[len(TokenPrefix):])
	if err != nil || len(raw) < checkBytes+16 {
		return nil, false
	}
	sealed := raw[checkBytes:]
	return sealed, bytes.Equal(raw[:checkBytes], check(sealed))
}

// IsToken reports whether text has the form of a token: prefix and check hold.
// It needs no key and proves nothing about who made it.
func IsToken(text string) bool {
	_, ok := unwrap(text)
	return ok
}

// Detokenise returns the value of a token made under the engine's key, or
// ErrToken.
func (e *Engine) Detokenise(token string) ([]byte, error) {
	sealed, ok := unwrap(token)
	if !ok || e.keys == nil {
		return nil, ErrToken
	}
	value, err := e.keys.siv.DecryptDeterministically(sealed, tokenContext)
	if err != nil {
		return nil, ErrToken
	}
	return value, nil
}
