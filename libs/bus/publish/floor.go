package publish

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Floor is a file that remembers the highest version ever published, so that
// versions grow even over the loss of the bus's disk. Empty: not remembered.
type Floor string

// Read returns the highest version, 0 where none was published.
func (f Floor) Read() (uint64, error) {
	if f == "" {
		return 0, nil
	}
	raw, err := os.ReadFile(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("publish: %s is damaged: write the highest version ever published into it: %w", f, err)
	}
	return v, nil
}

// Raise remembers a version, where it is higher. A reader sees the old number
// or the new one.
func (f Floor) Raise(version uint64) error {
	have, err := f.Read()
	if err != nil || f == "" || have >= version {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return fmt.Errorf("publish: remember version %d: %w", version, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone after the rename
	_, err = fmt.Fprintln(tmp, version)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("publish: remember version %d: %w", version, err)
	}
	if err := os.Rename(tmp.Name(), string(f)); err != nil {
		return fmt.Errorf("publish: remember version %d: %w", version, err)
	}
	return nil
}
