package localissuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SecretFile is the name of the mint secret's file in the folder of keys.
const SecretFile = "mint.secret"

// loadKey reads a PKCS #8 RSA key, or makes one. GitHub and GitLab sign with
// RS256, so this does too.
func loadKey(path string) (*rsa.PrivateKey, error) {
	raw, err := loadOrMake(path, func() ([]byte, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("localissuer: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("localissuer: %w", err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("localissuer: %s is not PEM; remove it and a new key is made", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("localissuer: %s: %w; remove it and a new key is made", path, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("localissuer: %s is not an RSA key; remove it and a new key is made", path)
	}
	return key, nil
}

func loadSecret(path string) (string, error) {
	raw, err := loadOrMake(path, func() ([]byte, error) {
		return []byte(random(32) + "\n"), nil
	})
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(raw))
	if len(secret) < 32 {
		return "", fmt.Errorf("localissuer: %s is too short; remove it and a new one is made", path)
	}
	return secret, nil
}

// loadOrMake reads a file that only its owner may read, or writes it. Two
// processes that start at once agree on one content: a link, unlike a rename,
// does not replace.
func loadOrMake(path string, content func() ([]byte, error)) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if err = writeNew(path, content); err != nil {
			return nil, err
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("localissuer: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("localissuer: others may read %s; run: chmod 600 %s", path, path)
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the caller names the folder
	if err != nil {
		return nil, fmt.Errorf("localissuer: %w", err)
	}
	return raw, nil
}

func writeNew(path string, content func() ([]byte, error)) error {
	raw, err := content()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("localissuer: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("localissuer: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("localissuer: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("localissuer: %w", err)
	}
	return nil
}

func keyID(key *rsa.PrivateKey) string {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return hex.EncodeToString(sum[:8])
}

// random returns n random bytes as base64url.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
