package pgcatalog_test

import (
	"fmt"
	"net/url"
	"testing"
)

// TestRedteam13_ForeignTableThatLeadsBack: a foreign table of this very database, by
// other names, and one that is a part of a table.
func TestRedteam13_ForeignTableThatLeadsBack(t *testing.T) {
	u, err := url.Parse(server.URL("t" + t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	attack(t, fmt.Sprintf(`
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname '%s');
		CREATE USER MAPPING FOR PUBLIC SERVER back OPTIONS (user '%s', password '%s');
		CREATE FOREIGN TABLE far (id int, plain text OPTIONS (column_name 'email')) SERVER back OPTIONS (table_name 'customers');
		CREATE TABLE parted (id int, plain text) PARTITION BY RANGE (id);
		CREATE FOREIGN TABLE parted_1 (id int, plain text OPTIONS (column_name 'email')) SERVER back OPTIONS (table_name 'customers');
		ALTER TABLE parted ATTACH PARTITION parted_1 DEFAULT;
		CREATE VIEW over_far AS SELECT id, plain AS p FROM far`,
		u.Hostname(), u.Port(), "t"+t.Name(), u.User.Username(), password), email,
		"SELECT plain FROM far",
		"SELECT upper(plain) FROM far",
		"SELECT to_jsonb(f) FROM far f",
		"SELECT plain FROM parted",
		"SELECT * FROM parted_1",
		"SELECT p FROM over_far",
		"WITH w AS (SELECT plain AS id FROM parted) SELECT id FROM w",
	)
}
