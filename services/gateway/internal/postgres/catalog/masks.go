package catalog

import (
	"slices"
	"sync"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// maskCache keeps the masked columns as resolved in one catalog, for the rules
// that were asked for last: they change with the masking bundle only.
type maskCache struct {
	mu      sync.Mutex
	columns []command.Column
	masks   *pgfacts.Masks
}

func (c *maskCache) get(catalog *pgfacts.Catalog, columns []command.Column) *pgfacts.Masks {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.masks == nil || !slices.Equal(c.columns, columns) {
		c.columns, c.masks = slices.Clone(columns), catalog.Masks(columns)
	}
	return c.masks
}
