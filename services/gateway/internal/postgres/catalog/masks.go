package catalog

import (
	"slices"
	"sync"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// maskCache keeps the masked columns as resolved in one catalog, for the rules
// that were asked for lately: they change with the masking bundle, and with the
// copies of masked columns in temporary tables of a session.
type maskCache struct {
	mu     sync.Mutex
	kept   [8]keptMasks
	oldest int
}

type keptMasks struct {
	columns, copies []command.Column
	masks           *pgfacts.Masks
}

func (c *maskCache) get(catalog *pgfacts.Catalog, columns, copies []command.Column) *pgfacts.Masks {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.kept {
		if k := &c.kept[i]; k.masks != nil && slices.Equal(k.columns, columns) && slices.Equal(k.copies, copies) {
			return k.masks
		}
	}
	k := &c.kept[c.oldest]
	c.oldest = (c.oldest + 1) % len(c.kept)
	*k = keptMasks{slices.Clone(columns), slices.Clone(copies), catalog.Masks(columns, copies...)}
	return k.masks
}
