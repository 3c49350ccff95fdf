package session

import (
	"sync"

	"github.com/gatestay/gatestay/services/gateway/internal/copied"
)

// copies keep those that a session was let make from being lifted while it is
// there.
type copies struct {
	mu       sync.Mutex
	releases map[copied.Mask]func()
	over     bool
}

// holds reports a copy that is kept already.
func (c *copies) holds(m copied.Mask) bool {
	m.By = ""
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.releases[m] != nil
}

// hold keeps one until end.
func (c *copies) hold(m copied.Mask, release func()) {
	m.By = ""
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.releases[m] != nil {
		release()
		return
	}
	if c.releases == nil {
		c.releases = map[copied.Mask]func(){}
	}
	c.releases[m] = release
}

func (c *copies) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, release := range c.releases {
		release()
	}
	c.releases = nil
}
