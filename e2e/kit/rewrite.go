package kit

import (
	"fmt"
	"os"
)

// Rewrite changes a file of the configuration ("gatestay.yaml",
// "policies/shop.yaml") as an editor does: a new file takes the old one's place.
// A missing file is empty; an empty result removes it.
func (g *Gatestay) Rewrite(name string, change func(string) string) error {
	path := g.path(name)
	raw, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("kit: %w", err)
	}
	next := change(string(raw))
	if next == "" {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("kit: %w", err)
		}
		return nil
	}
	beside := path + ".new"
	if err := os.WriteFile(beside, []byte(next), 0o600); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	if err := os.Rename(beside, path); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	return nil
}
