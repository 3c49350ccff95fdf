package postgres

import "github.com/gatestay/gatestay/libs/command"

// Touches reports that a resolved statement names a relation that has a masked
// column, or a view that reads one: what it says of its rows may quote them,
// even where it mentions none of the columns. What is not in the catalog may
// be such a relation.
func (m *Masks) Touches(f *command.Facts) bool {
	if !m.any {
		return false
	}
	for _, o := range f.Objects {
		if o.Kind != "" || o.New {
			continue
		}
		rel := m.catalog.relations[Name{o.Schema, o.Name}]
		if rel == nil || m.tables[rel.OID] || m.views[rel.OID] {
			return true
		}
	}
	return false
}
