package dev

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/services/gatestay/internal/pki"
)

//go:embed files
var files embed.FS

// layout is the folder of gatestay dev: what is where.
type layout struct{ dir string }

func (l layout) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}
func (l layout) config() string          { return l.path("gatestay.yaml") }
func (l layout) key(name string) string  { return l.path("keys", name) }
func (l layout) data(name string) string { return l.path("data", name) }
func (l layout) dev() string             { return l.path("dev.json") }

// prepare makes the folder and the first configuration; what is there stays.
func (l layout) prepare(sample *sample) error {
	for _, d := range []string{"", "keys", "data", "policies", "masking", "tls"} {
		if err := os.MkdirAll(l.path(d), 0o700); err != nil {
			return fmt.Errorf("dev: %w", err)
		}
	}
	first := "files/gatestay.yaml"
	names := []string{"policies/people.yaml"}
	switch ruled, err := l.hasRules(); {
	case err != nil:
		return err
	case !ruled && sample == nil:
		names = append(names, "policies/rules.yaml")
	}
	if sample != nil {
		first = "files/gatestay-sample.yaml"
		names = append(names, "policies/shop.yaml", "policies/shop_test.yaml", "masking/shop.yaml")
	}
	raw, err := files.ReadFile(first)
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	if raw, err = render(raw, sample); err != nil {
		return err
	}
	if err := create(l.config(), raw); err != nil {
		return err
	}
	for _, name := range names {
		raw, err := files.ReadFile("files/" + name)
		if err != nil {
			return fmt.Errorf("dev: %w", err)
		}
		if err := create(l.path(filepath.FromSlash(name)), raw); err != nil {
			return err
		}
	}
	return nil
}

// hasRules reports whether there is a file that may hold rules: without one
// nothing can be published.
func (l layout) hasRules() (bool, error) {
	all, err := config.ReadDir(l.path("policies"))
	if err != nil {
		return false, fmt.Errorf("dev: %w", err)
	}
	for name := range all {
		if base := path.Base(name); base != "people.yaml" && !strings.HasSuffix(base, "_test.yaml") {
			return true, nil
		}
	}
	return false, nil
}

// certificate makes the gateway's loopback certificate.
func (l layout) certificate() error {
	_, err := pki.Ensure(pki.Files{CA: l.path("tls", "ca.pem"), Certificate: l.path("tls", "server.pem"), Key: l.path("tls", "server.key")},
		"localhost", "127.0.0.1", "::1")
	return err
}

func render(raw []byte, sample *sample) ([]byte, error) {
	if sample == nil {
		return raw, nil
	}
	t, err := template.New("gatestay.yaml").Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("dev: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, sample); err != nil {
		return nil, fmt.Errorf("dev: %w", err)
	}
	return out.Bytes(), nil
}

// create writes a file that is not there yet.
func create(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // below the dev folder
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	return nil
}

// lock makes sure that one gatestay dev at a time uses the folder.
func (l layout) lock() (release func(), err error) {
	path := l.path("dev.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // below the dev folder
	if err != nil {
		return nil, fmt.Errorf("dev: %w", err)
	}
	if err := flock(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another gatestay dev uses %s: stop it, or name another folder with --dir", strings.TrimSuffix(l.dir, "/"))
	}
	return func() { _ = f.Close() }, nil
}
