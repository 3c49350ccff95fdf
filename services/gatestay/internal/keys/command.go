// Package keys is gatestay keys: it makes the keys and certificates that a
// deployment's gatestay.yaml names, so that the services may start in any
// order.
package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/pki"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const help = `Make the keys that gatestay.yaml names and that are not there yet: each service's
signing key with its public half beside it (FILE.pub), the gateway's masking key,
and, where the gateway's certificate is missing, a certificate of a local
authority (ca.pem beside it) for gateway.advertise_host and localhost.

Give each service only its own private keys, and the public halves under trust.
Existing files are never changed. Back the keys up: without the masking key,
tokens in masked data cannot be read back; without a signing key its service
starts with another one, which the others must be told to trust.`

// Command returns gatestay keys.
func Command(env *cli.Env) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: "keys", Short: "Make the keys and certificates that gatestay.yaml names", Long: help,
		Example: "  gatestay keys --config deploy/compose/config/gatestay.yaml", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			made, err := Make(cfg)
			p := ui.New(env, env.Stdout)
			for _, m := range made {
				p.Progress("made " + m)
			}
			if err == nil && len(made) == 0 {
				p.Progress("every key is there already")
			}
			return err
		},
	}
	c.Flags().StringVar(&path, "config", "gatestay.yaml", "configuration file")
	return c
}

// Make makes what is missing and returns the files it made.
func Make(cfg *config.Config) (made []string, err error) {
	var errs []error
	for _, path := range []string{cfg.Gateway.Key, cfg.Policy.Key, cfg.Masking.Key, cfg.Approval.Key, cfg.Archival.Key} {
		if path = cfg.Path(path); path == "" || exists(path) {
			continue
		}
		if _, err := seal.LoadOrGenerate(path); err != nil {
			errs = append(errs, err)
			continue
		}
		made = append(made, path, path+".pub")
	}
	if path := cfg.Path(cfg.Gateway.MaskingKey); path != "" && !exists(path) {
		if err := writeRandom(path); err != nil {
			errs = append(errs, err)
		} else {
			made = append(made, path)
		}
	}
	if l := cfg.Gateway.Postgres; l.Certificate != "" && !exists(cfg.Path(l.Certificate)) {
		f := pki.Files{Certificate: cfg.Path(l.Certificate), Key: cfg.Path(l.Key)}
		f.CA = filepath.Join(filepath.Dir(f.Certificate), "ca.pem")
		hosts := []string{"localhost", "127.0.0.1", "::1"}
		if cfg.Gateway.AdvertiseHost != "" {
			hosts = append(hosts, cfg.Gateway.AdvertiseHost)
		}
		if _, err := pki.Ensure(f, hosts...); err != nil {
			errs = append(errs, err)
		} else {
			made = append(made, f.CA, f.Certificate, f.Key)
		}
	}
	return made, errors.Join(errs...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func writeRandom(path string) error {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}
