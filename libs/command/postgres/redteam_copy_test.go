package postgres

import "testing"

// TestRedteam13_CopiesOfAMaskedColumn: approvers and rules are told where
// masked values are stored without a mask.
func TestRedteam13_CopiesOfAMaskedColumn(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for sql, want := range map[string]bool{
		"INSERT INTO archive SELECT id, email FROM customers":                                                 true,
		"INSERT INTO archive (note) SELECT mail FROM over":                                                    true,
		"UPDATE customers SET name = email":                                                                   true,
		"CREATE TABLE t AS SELECT email FROM customers":                                                       true,
		"CREATE MATERIALIZED VIEW t AS TABLE customers":                                                       true,
		"SELECT email INTO t FROM customers":                                                                  true,
		"WITH w AS (INSERT INTO archive SELECT id, email FROM customers) SELECT 1":                            true,
		"MERGE INTO archive a USING customers c ON false WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.email)": true,
		"INSERT INTO archive SELECT id, name FROM customers":                                                  false,
		"INSERT INTO customers (id, email) VALUES (1, 'x') RETURNING id":                                      false,
		"UPDATE customers SET email = 'x' WHERE id = 1":                                                       false,
		"DELETE FROM customers WHERE email = 'x'":                                                             false,
		"CREATE TABLE t AS SELECT name FROM customers":                                                        false,
		"SELECT lower(email) FROM customers":                                                                  false,
	} {
		f := resolved(t, c, sql, public, "")
		if got := m.Taint(&f).Copies(); got != want {
			t.Errorf("%s: copies %v, want %v", sql, got, want)
		}
		if c.Taint(&f, nil).Copies() {
			t.Errorf("%s: copies, though nothing is masked", sql)
		}
	}
}

// TestRedteam13_ReturningStaysClean: what a write returns is masked where the
// write takes values from elsewhere, and only there.
func TestRedteam13_ReturningStaysClean(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for _, tc := range []struct {
		sql     string
		oid     uint32
		tainted bool
	}{
		{"INSERT INTO customers (id, email) VALUES (1, 'x') RETURNING name", oidCustomers, false},
		{"UPDATE customers SET name = 'x' WHERE email = 'y' RETURNING name", oidCustomers, false},
		{"INSERT INTO archive SELECT id, name FROM customers RETURNING note", oidArchive, false},
		{"INSERT INTO archive SELECT id, email FROM customers RETURNING note", oidArchive, true},
		{"UPDATE customers SET tags = tags || 'x' WHERE email = 'y' RETURNING name", oidCustomers, false},
		{"FETCH c", oidArchive, false},
		{"EXECUTE p", oidArchive, true},
	} {
		f := resolved(t, c, tc.sql, public, "")
		if _, is, tainted := m.Taint(&f).Column(tc.oid, 3-int16(min(tc.oid-oidCustomers, 1))); is || tainted != tc.tainted {
			t.Errorf("%s: masked %v, tainted %v; want %v", tc.sql, is, tainted, tc.tainted)
		}
	}
}
