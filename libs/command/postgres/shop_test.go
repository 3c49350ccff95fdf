package postgres

import (
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// shop is the catalog that the tests of this package resolve names in. OIDs
// are what the tests say a RowDescription has.
const (
	oidCustomers = 100 + iota
	oidOrders
	oidArchive
	oidContacts  // view: id, email AS mail, lower(name)
	oidSafe      // view over columns that are not masked
	oidWhole     // view with row_to_json
	oidOver      // view over contacts
	oidEvents    // partitioned
	oidEvents26  // its partition
	oidEvilView  // view that calls app.evil
	oidScratch   // pg_temp_3.customers
	oidAppOrders // app.orders
	oidStats     // pg_catalog.pg_stats
	oidClass     // pg_catalog.pg_class
	oidTriggered
	oidChild       // inherits customers
	oidLargeObject // pg_catalog.pg_largeobject
)

func table(oid uint32, schema, name string, kind byte, columns ...string) Relation {
	r := Relation{OID: oid, Schema: schema, Name: name, Kind: kind}
	for i, c := range columns {
		r.Columns = append(r.Columns, CatalogColumn{Name: c, Number: int16(i + 1), Type: 25, TypeName: "text"})
	}
	return r
}

func viewOf(r Relation, definition string, reads ...ColumnRef) Relation {
	r.Definition, r.Reads = definition, reads
	return r
}

func shop() *Snapshot {
	partition := table(oidEvents26, "public", "events_2026", 'r', "id", "secret")
	partition.Parents = []uint32{oidEvents}
	triggered := table(oidTriggered, "public", "triggered", 'r', "id")
	triggered.WriteCode = true
	child := table(oidChild, "public", "child", 'r', "id", "email", "name", "tags", "doc")
	child.Parents = []uint32{oidCustomers}
	return &Snapshot{
		Relations: []Relation{
			table(oidCustomers, "public", "customers", 'r', "id", "email", "name", "tags", "doc"),
			table(oidOrders, "public", "orders", 'r', "id", "customer", "total"),
			table(oidArchive, "public", "archive", 'r', "id", "note"),
			viewOf(table(oidContacts, "public", "contacts", 'v', "id", "mail", "lowered"),
				`SELECT id, email AS mail, lower(name) AS lowered FROM public.customers`,
				ColumnRef{oidCustomers, 1}, ColumnRef{oidCustomers, 2}, ColumnRef{oidCustomers, 3}),
			viewOf(table(oidSafe, "public", "safe", 'v', "id", "name"),
				`SELECT id, name FROM public.customers`, ColumnRef{oidCustomers, 1}, ColumnRef{oidCustomers, 3}),
			viewOf(table(oidWhole, "public", "whole", 'v', "id", "doc"),
				`SELECT id, row_to_json(c.*) AS doc FROM public.customers c`, ColumnRef{oidCustomers, 1}),
			viewOf(table(oidOver, "public", "over", 'v', "id", "mail"),
				`SELECT contacts.id, contacts.mail FROM public.contacts`, ColumnRef{oidContacts, 1}, ColumnRef{oidContacts, 2}),
			table(oidEvents, "public", "events", 'p', "id", "secret"),
			partition,
			viewOf(table(oidEvilView, "public", "evil_view", 'v', "x"), `SELECT app.evil() AS x`),
			table(oidScratch, "pg_temp_3", "customers", 'r', "id"),
			table(oidAppOrders, "app", "orders", 'r', "id", "secret"),
			table(oidStats, "pg_catalog", "pg_stats", 'v', "tablename", "most_common_vals"),
			table(oidClass, "pg_catalog", "pg_class", 'r', "oid", "relname"),
			triggered,
			child,
			table(oidLargeObject, "pg_catalog", "pg_largeobject", 'r', "loid", "pageno", "data"),
		},
		Functions: []Function{
			{Name: Name{"app", "evil"}}, {Name: Name{"app", "lower"}}, {Name: Name{"ext", "upper"}, Plain: true},
		},
		Operators: []Name{{"app", "="}},
		Types: []Type{
			{Name: Name{"public", "mood"}, OID: 900, Plain: true},
			{Name: Name{"app", "sneaky"}, OID: 901},
			{Name: Name{"public", "checked"}, OID: 902, Plain: true, Checks: []string{"(app.evil() > 0)"}},
		},
	}
}

var public = []string{"public"}

// resolved resolves a statement in the shop.
func resolved(t testing.TB, c *Catalog, sql string, path []string, temp string) command.Facts {
	t.Helper()
	return c.Resolve(one(t, sql), path, temp)
}
