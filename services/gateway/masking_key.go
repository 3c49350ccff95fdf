package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// loadMaskingKey reads the 32 random bytes that hashes, tokens and tags are
// keyed with, or makes the file (mode 0600) where it is missing.
func loadMaskingKey(path string) ([32]byte, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if errors.Is(err, os.ErrNotExist) {
		raw = make([]byte, 32)
		if _, err = rand.Read(raw); err != nil {
			return [32]byte{}, fmt.Errorf("masking key: %w", err)
		}
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.WriteFile(path, raw, 0o600)
		}
	}
	if err != nil {
		return [32]byte{}, fmt.Errorf("masking key: %w", err)
	}
	if len(raw) != 32 {
		return [32]byte{}, fmt.Errorf("masking key: %s holds %d bytes; it must hold exactly 32 random ones", path, len(raw))
	}
	return [32]byte(raw), nil
}
