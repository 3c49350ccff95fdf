// Package seal signs exact bytes with Ed25519 and opens them again. A context
// string separates the uses of a key: a signature made for a bundle is worth
// nothing as an approval.
package seal

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// The contexts in use.
const (
	ContextBundle   = "gatestay/bundle/v1"
	ContextApproval = "gatestay/approval/v1"
	ContextLease    = "gatestay/lease/v1"
	ContextBatch    = "gatestay/batch/v1"
	ContextLift     = "gatestay/lift/v1"
	// ContextPeople is of a people map in force, ContextPeopleChange of the request to
	// change it.
	ContextPeople       = "gatestay/people/v1"
	ContextPeopleChange = "gatestay/people-change/v1"
)

// ErrSignature is returned by Open for any message that does not verify.
var ErrSignature = errors.New("seal: signature does not verify")

// Key is a private signing key. It is safe for concurrent use.
type Key struct {
	id      string
	private ed25519.PrivateKey
}

// ID returns the first 16 hex digits of the SHA-256 of the public key.
func (k *Key) ID() string { return k.id }

// Derive returns a secret of 32 bytes for a purpose of its own (HKDF-SHA256 over
// the private key), the same for every holder of this key. It tells nothing
// about the key.
func (k *Key) Derive(purpose string) ([]byte, error) {
	secret, err := hkdf.Key(sha256.New, k.private.Seed(), nil, "gatestay/"+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("seal: derive: %w", err)
	}
	return secret, nil
}

// Public returns the key as a trust set of one.
func (k *Key) Public() Trust {
	return Trust{k.id: k.private.Public().(ed25519.PublicKey)}
}

// Trust is the set of public keys that Open accepts, by key id.
type Trust map[string]ed25519.PublicKey

// Generate makes a new key.
func Generate() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seal: generate: %w", err)
	}
	return newKey(private), nil
}

func newKey(private ed25519.PrivateKey) *Key {
	return &Key{id: keyID(private.Public().(ed25519.PublicKey)), private: private}
}

func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// Sign signs context || 0x00 || payload.
func (k *Key) Sign(context string, payload []byte) *eventv1.Signed {
	return &eventv1.Signed{
		Payload:   payload,
		KeyId:     k.id,
		Signature: ed25519.Sign(k.private, message(context, payload)),
	}
}

// Open returns the payload if a trusted key signed it for this context, else
// ErrSignature.
func (t Trust) Open(context string, s *eventv1.Signed) ([]byte, error) {
	public, ok := t[s.GetKeyId()]
	if !ok {
		return nil, fmt.Errorf("%w: key %q is not trusted", ErrSignature, s.GetKeyId())
	}
	if !ed25519.Verify(public, message(context, s.GetPayload()), s.GetSignature()) {
		return nil, ErrSignature
	}
	return s.GetPayload(), nil
}

func message(context string, payload []byte) []byte {
	m := make([]byte, 0, len(context)+1+len(payload))
	m = append(m, context...)
	m = append(m, 0)
	return append(m, payload...)
}

// LoadOrGenerate reads a PKCS #8 PEM key, or makes one (mode 0600) and its
// public half beside it (path + ".pub", PKIX PEM) where none is there.
func LoadOrGenerate(path string) (*Key, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if errors.Is(err, os.ErrNotExist) {
		return generateFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: read key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("seal: %s is not PEM; expected a PKCS #8 Ed25519 key", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("seal: parse %s: %w", path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("seal: %s is not an Ed25519 key", path)
	}
	return newKey(private), nil
}

func generateFile(path string) (*Key, error) {
	k, err := Generate()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := os.WriteFile(path+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644); err != nil { //nolint:gosec // public half
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return k, nil
}

// LoadTrust reads public keys (PKIX PEM) from files.
func LoadTrust(paths ...string) (Trust, error) {
	t := Trust{}
	for _, path := range paths {
		raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, fmt.Errorf("seal: read public key: %w", err)
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, fmt.Errorf("seal: %s is not PEM; expected a PKIX Ed25519 public key", path)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("seal: parse %s: %w", path, err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("seal: %s is not an Ed25519 public key", path)
		}
		t[keyID(public)] = public
	}
	return t, nil
}
