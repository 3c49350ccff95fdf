package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Secret is a reference to a secret: env:NAME or file:PATH. It prints as the
// reference, never as the value.
type Secret string

// Resolve reads the value. dir is the folder that a relative file: path starts
// from. A trailing newline of a file is cut.
func (s Secret) Resolve(dir string) (string, error) {
	kind, rest, ok := strings.Cut(string(s), ":")
	switch {
	case ok && kind == "env":
		v, set := os.LookupEnv(rest)
		if !set {
			return "", fmt.Errorf("environment variable %s is not set", rest)
		}
		return v, nil
	case ok && kind == "file":
		if !filepath.IsAbs(rest) {
			rest = filepath.Join(dir, rest)
		}
		raw, err := os.ReadFile(rest) //nolint:gosec // the operator names the file
		if err != nil {
			return "", fmt.Errorf("secret file: %w", err)
		}
		return strings.TrimRight(string(raw), "\r\n"), nil
	default:
		return "", fmt.Errorf("a secret is a reference: write env:NAME or file:PATH")
	}
}

// Valid reports whether the reference has a known form.
func (s Secret) Valid() bool {
	kind, rest, ok := strings.Cut(string(s), ":")
	return ok && rest != "" && (kind == "env" || kind == "file")
}
