package postgres

import (
	"slices"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam13_MaskWhoseColumnIsGone: ALTER TABLE RENAME does not take a mask
// away. Where the values are now is not known: where they may be is masked.
func TestRedteam13_MaskWhoseColumnIsGone(t *testing.T) {
	const clean, is, may = "clean", "masked", "tainted"
	for _, tc := range []struct {
		name    string
		rule    command.Column
		missing bool
		columns map[ColumnRef]string
		tainted []string
		pure    []string
	}{
		{
			name: "a renamed column", rule: command.Column{Schema: "public", Table: "customers", Name: "mail_address"}, missing: true,
			columns: map[ColumnRef]string{
				{oidCustomers, 1}: may, {oidCustomers, 2}: may, {oidChild, 2}: may, {oidContacts, 2}: may,
				{oidSafe, 2}: may, {oidOrders, 1}: clean, {oidScratch, 1}: clean, {oidClass, 2}: clean,
			},
			tainted: []string{"SELECT lower(email) FROM customers", "SELECT x || '' FROM (SELECT name AS x FROM customers) s", "SELECT to_json(c) FROM customers c"},
			pure:    []string{"SELECT count(*) FROM customers", "SELECT id + 1 FROM orders", "SELECT relname || '' FROM pg_class"},
		},
		{
			name: "a renamed table", rule: command.Column{Schema: "public", Table: "clients", Name: "email"}, missing: true,
			columns: map[ColumnRef]string{
				{oidCustomers, 2}: is, {oidChild, 2}: is, {oidCustomers, 1}: clean, {oidContacts, 2}: is, {oidContacts, 1}: clean,
			},
			tainted: []string{"SELECT lower(email) FROM customers", "SELECT lower(mail) FROM contacts"},
			pure:    []string{"SELECT lower(name) FROM customers"},
		},
		{
			name: "a renamed table, and a name of the system's", rule: command.Column{Table: "clients", Name: "relname"}, missing: true,
			columns: map[ColumnRef]string{{oidClass, 2}: clean, {oidCustomers, 2}: clean},
			pure:    []string{"SELECT oid + 1 FROM pg_class", "SELECT lower(name) FROM customers"},
		},
		{
			name: "one of two tables of the name", rule: command.Column{Table: "customers", Name: "email"},
			columns: map[ColumnRef]string{{oidCustomers, 2}: is, {oidCustomers, 3}: clean, {oidScratch, 1}: clean},
		},
		{
			name: "none of two tables of the name", rule: command.Column{Table: "customers", Name: "mail_address"}, missing: true,
			columns: map[ColumnRef]string{{oidCustomers, 2}: may, {oidScratch, 1}: may, {oidOrders, 1}: clean},
		},
		{
			name: "a column of a view", rule: command.Column{Schema: "public", Table: "contacts", Name: "gone"}, missing: true,
			columns: map[ColumnRef]string{{oidContacts, 1}: may, {oidOver, 1}: may, {oidCustomers, 2}: clean},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewCatalog(shop())
			m := c.Masks([]command.Column{tc.rule})
			if got := slices.Contains(m.Missing(), tc.rule); got != tc.missing || len(m.Missing()) > 1 {
				t.Errorf("missing %v", m.Missing())
			}
			for ref, want := range tc.columns {
				got := clean
				if _, masked, tainted := m.column(ref.OID, ref.Number); masked {
					got = is
				} else if tainted {
					got = may
				}
				if got != want {
					t.Errorf("%v is %s, want %s", ref, got, want)
				}
			}
			for i, sql := range append(tc.tainted, tc.pure...) {
				f := resolved(t, c, sql, public, "")
				if got, want := m.Taint(&f).Expressions, i < len(tc.tainted); got != want {
					t.Errorf("%s: tainted %v, want %v", sql, got, want)
				}
			}
		})
	}
	var none *Catalog
	if got := none.Masks(maskedEmail).Missing(); len(got) > 0 {
		t.Errorf("missing from no catalog: %v", got)
	}
}
