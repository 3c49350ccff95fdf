package postgres

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// A masking rule may leave the schema out: it then names the table in every
// schema.
func TestRedteam13_MaskWithoutSchemaCoversEverySchema(t *testing.T) {
	columns := []CatalogColumn{{Name: "id", Number: 1}, {Name: "email", Number: 2}}
	c := NewCatalog(&Snapshot{Relations: []Relation{
		{OID: 1, Schema: "public", Name: "customers", Kind: 'r', Columns: columns},
		{OID: 2, Schema: "archive", Name: "customers", Kind: 'r', Columns: columns},
		{OID: 3, Schema: "public", Name: "orders", Kind: 'r', Columns: columns},
	}})
	m := c.Masks([]command.Column{{Table: "customers", Name: "email"}})
	for oid, want := range map[uint32]bool{1: true, 2: true, 3: false} {
		if _, is, tainted := m.column(oid, 2); is != want || tainted {
			t.Errorf("relation %d: masked %v, tainted %v", oid, is, tainted)
		}
		if _, is, _ := m.column(oid, 1); is {
			t.Errorf("relation %d: the id is masked", oid)
		}
	}
}
