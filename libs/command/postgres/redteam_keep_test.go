package postgres

import (
	"slices"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam13_AnotherMaskIsNoCover: a masked column's values in another masked
// column are a copy: that one's mask may tell more.
func TestRedteam13_AnotherMaskIsNoCover(t *testing.T) {
	c := NewCatalog(shop())
	email := maskedEmail[0]
	doc := command.Column{Schema: "public", Table: "customers", Name: "doc"}
	m := c.Masks([]command.Column{doc, email})
	into := func(over command.Column) []command.Copy { return []command.Copy{{From: email, To: doc, Over: over}} }
	for sql, want := range map[string][]command.Copy{
		"UPDATE customers SET doc = email":                                                                         into(doc),
		"UPDATE customers SET doc = left(email, 4)":                                                                into(doc),
		"INSERT INTO customers (doc) SELECT email FROM customers":                                                  into(doc),
		"INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET doc = (SELECT email FROM customers)": into(doc),
		"MERGE INTO customers c USING customers d ON c.id = d.id WHEN MATCHED THEN UPDATE SET doc = d.email":       into(doc),
		"UPDATE customers SET email = lower(email)":                                                                nil,
		"UPDATE customers SET doc = 'x' WHERE email = 'a'":                                                         nil,
		"INSERT INTO customers (email) SELECT email FROM customers":                                                nil,
	} {
		f := resolved(t, c, sql, public, "")
		if got := m.Taint(&f).Copies(); !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", sql, got, want)
		}
	}
}

// TestRedteam13_LocksKeepValues: pg_locks shows the number of an advisory lock
// to everybody.
func TestRedteam13_LocksKeepValues(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks([]command.Column{{Schema: "public", Table: "orders", Name: "total"}})
	for _, sql := range []string{
		"SELECT pg_advisory_lock(total) FROM orders",
		"SELECT pg_catalog.pg_try_advisory_xact_lock_shared(1, total) FROM orders",
		"SELECT 1 FROM orders WHERE pg_try_advisory_lock(total)",
		"SELECT count(*) FILTER (WHERE pg_try_advisory_lock_shared(total)) FROM orders",
		"DELETE FROM orders WHERE pg_try_advisory_lock(total)",
	} {
		f := resolved(t, c, sql, public, "")
		if len(m.Taint(&f).Copies()) == 0 {
			t.Errorf("%s: no copy", sql)
		}
	}
	f := resolved(t, c, "SELECT pg_advisory_lock(id) FROM orders", public, "")
	if got := m.Taint(&f).Copies(); len(got) > 0 {
		t.Errorf("what is not masked: %v", got)
	}
}
