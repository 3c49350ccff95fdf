package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// credential is one sign-in, as kept in the file.
type credential struct {
	IDToken string    `json:"id_token"`
	Account string    `json:"account"`
	Expiry  time.Time `json:"expiry"`
}

// store is the file of sign-ins, by issuer (see keyOf).
type store struct{ path string }

func openStore(env *cli.Env) (*store, error) {
	dir := env.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
	}
	return &store{path: filepath.Join(dir, "gatestay", "credentials.json")}, nil
}

// load reads all sign-ins; a missing file is none. It refuses a file that
// others may read: its tokens must be considered known.
func (s *store) load() (map[string]credential, error) {
	all := map[string]credential{}
	info, err := os.Stat(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("login: others may read %s; remove it and run 'gatestay login' again", s.path)
	}
	raw, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("login: %s is damaged; remove it and run 'gatestay login' again", s.path)
	}
	return all, nil
}

// update changes the sign-ins and replaces the file in one step.
func (s *store) update(change func(map[string]credential)) error {
	all, err := s.load()
	if err != nil {
		return err
	}
	change(all)
	raw, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), ".credentials-*") // mode 0600
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(raw, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	if err := os.Rename(f.Name(), s.path); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	return nil
}
