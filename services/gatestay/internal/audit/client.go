package audit

import (
	"fmt"

	"github.com/gatestay/gatestay/services/gatestay/internal/remote"
)

// client calls archival as the person who is signed in.
func (t *tool) client() (*remote.Client, error) {
	c, err := remote.New(t.env, remote.Console, t.token)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return c, nil
}
