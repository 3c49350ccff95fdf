package pgcatalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
)

// attack runs statements on a real server, each of which must run, and looks
// for planted values in what would pass.
func attack(t *testing.T, schema string, masked command.Column, statements ...string) {
	t.Helper()
	conn := database(t, plantedShop+schema)
	c := load(t, conn)
	if _, err := conn.Exec(t.Context(), "PREPARE stored_write AS INSERT INTO archive (note) SELECT mail FROM contacts RETURNING note"); err != nil {
		t.Fatal(err)
	}
	l := &leakFinder{conn: conn, catalog: c, masks: c.Masks([]command.Column{masked})}
	for _, sql := range statements {
		l.run(t, sql)
	}
	if l.ran != len(statements) || l.seen < l.ran {
		t.Errorf("%d of %d statements ran, with %d planted values in their results", l.ran, len(statements), l.seen)
	}
}

var email = command.Column{Schema: "public", Table: "customers", Name: "email"}

func TestRedteam13_JoinAlias(t *testing.T) {
	attack(t, `CREATE TABLE suppliers (id int, email text); INSERT INTO suppliers VALUES (1, 'open')`, email,
		"SELECT upper(c.email) FROM customers c, (suppliers c CROSS JOIN suppliers d) AS j",
		"SELECT upper(c.email) FROM (suppliers c CROSS JOIN suppliers d) AS j, customers c",
		"SELECT (SELECT string_agg(c.email, ',') FROM (suppliers s JOIN suppliers c ON true) AS k) FROM customers c",
		"SELECT j.upper || '' FROM suppliers s, (customers c CROSS JOIN LATERAL upper(c.email)) AS j",
		"SELECT upper(j.email) FROM (customers c CROSS JOIN orders d) AS j",
	)
}

func TestRedteam13_WriteGivesBackWhatItRead(t *testing.T) {
	attack(t, `CREATE TABLE logt (msg text, at timestamptz DEFAULT now());
		CREATE TABLE doubled (msg text, twice text GENERATED ALWAYS AS (msg || msg) STORED);
		CREATE VIEW safe_mail AS SELECT email FROM customers;
		CREATE VIEW first_mail AS SELECT min(email) FROM customers;
		CREATE VIEW log_view AS SELECT msg AS said, msg || '' AS again FROM logt;
		CREATE TABLE parted (id int, msg text) PARTITION BY RANGE (id);
		CREATE TABLE parted_1 PARTITION OF parted DEFAULT`, email,
		"INSERT INTO logt SELECT email FROM customers WHERE id < 3 RETURNING msg",
		"INSERT INTO logt (msg) SELECT email FROM customers RETURNING logt.*",
		"INSERT INTO logt (msg) TABLE safe_mail RETURNING msg",
		"INSERT INTO logt (msg) VALUES ((TABLE first_mail)) RETURNING msg",
		"INSERT INTO doubled SELECT email FROM customers RETURNING twice",
		"INSERT INTO log_view SELECT email FROM customers RETURNING said",
		"INSERT INTO doubled (msg) SELECT email FROM customers RETURNING twice",
		"INSERT INTO log_view (said) SELECT email FROM customers RETURNING *",
		"INSERT INTO log_view (said) SELECT email FROM customers RETURNING again",
		"EXECUTE stored_write",
		"INSERT INTO parted SELECT id, email FROM customers RETURNING msg",
		"INSERT INTO parted_1 SELECT id, email FROM customers RETURNING msg",
		"WITH w AS (INSERT INTO logt SELECT email FROM customers RETURNING *) SELECT * FROM w",
		"WITH w AS (INSERT INTO logt SELECT email FROM customers RETURNING *) INSERT INTO archive (note) SELECT msg FROM w RETURNING note",
		"WITH s AS (SELECT email AS e FROM customers) INSERT INTO logt SELECT e FROM s RETURNING msg",
		"UPDATE orders SET total = 1 FROM customers RETURNING email",
		"UPDATE customers SET (name, doc) = ROW (email, doc) RETURNING name",
	)
}

// TestRedteam13_WriteRunsCode: a rule, a trigger or a default decides what
// RETURNING shows, and the statement names nothing of it.
func TestRedteam13_WriteRunsCode(t *testing.T) {
	attack(t, `
		CREATE TABLE trapped (id int, msg text);
		CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN NEW.msg := (SELECT min(email) FROM customers); RETURN NEW; END';
		CREATE TRIGGER fill BEFORE INSERT ON trapped FOR EACH ROW EXECUTE FUNCTION fill();
		CREATE VIEW above AS SELECT id, msg FROM trapped;
		CREATE VIEW instead AS SELECT 1 AS id, 'x'::text AS msg;
		CREATE TRIGGER fill INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION fill();
		CREATE TABLE ruled (id int, msg text);
		CREATE RULE r AS ON INSERT TO ruled DO INSTEAD
			INSERT INTO archive SELECT id, email FROM customers RETURNING id, note;
		CREATE FUNCTION first() RETURNS text STABLE LANGUAGE sql AS 'SELECT min(email) FROM customers';
		CREATE TABLE defaulted (id int, msg text DEFAULT first());
		CREATE TABLE parted (id int, msg text) PARTITION BY RANGE (id);
		CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
		CREATE TRIGGER fill BEFORE INSERT ON parted_1 FOR EACH ROW EXECUTE FUNCTION fill()`, email,
		"INSERT INTO trapped VALUES (1) RETURNING msg",
		"INSERT INTO trapped VALUES (1) RETURNING id, upper(msg)",
		"INSERT INTO above VALUES (1) RETURNING msg",
		"INSERT INTO instead VALUES (1) RETURNING msg",
		"INSERT INTO ruled VALUES (1) RETURNING msg",
		"INSERT INTO ruled VALUES (1) RETURNING upper(msg)",
		"INSERT INTO defaulted VALUES (1) RETURNING msg",
		"INSERT INTO parted VALUES (1) RETURNING msg",
		"WITH w AS (INSERT INTO trapped VALUES (1) RETURNING msg) SELECT upper(msg) FROM w",
	)
}

// TestRedteam13_HarmlessCodeStaysClean: what runs after the row is written, and
// extensions' triggers that set the time, give nothing back.
func TestRedteam13_HarmlessCodeStaysClean(t *testing.T) {
	conn := database(t, plantedShop+`
		CREATE FUNCTION noise() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER noise AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION noise();
		CREATE TRIGGER same BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
		CREATE TABLE lines (id int REFERENCES orders ON DELETE CASCADE);
		CREATE TABLE stamped (id serial, at timestamptz DEFAULT now())`)
	c := load(t, conn)
	masks := c.Masks([]command.Column{email})
	for _, sql := range []string{
		"INSERT INTO orders VALUES (7) RETURNING id, total + 1",
		"UPDATE orders SET total = 1 WHERE id = 7 RETURNING id",
		"INSERT INTO stamped DEFAULT VALUES RETURNING id, at",
	} {
		taint := masks.Taint(ptr(resolve(t, c, sql)))
		sd, err := conn.Prepare(t.Context(), "", sql)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range sd.Fields {
			if _, is, tainted := taint.Column(fd.TableOID, int16(fd.TableAttributeNumber)); is || tainted {
				t.Errorf("%s: %s is masked", sql, fd.Name)
			}
		}
	}
}

// TestRedteam13_ColumnsThatHaveTheValues: of other tables, and of other names.
func TestRedteam13_ColumnsThatHaveTheValues(t *testing.T) {
	attack(t, `
		CREATE TABLE mails (mail text REFERENCES customers (email), n int,
			twice text GENERATED ALWAYS AS (mail || mail) STORED,
			lazy text GENERATED ALWAYS AS (upper(mail)) VIRTUAL,
			UNIQUE (mail), UNIQUE (twice));
		INSERT INTO mails VALUES ('planted1@secret.example', 1);
		CREATE TABLE mails_of (m text REFERENCES mails (mail), t text REFERENCES mails (twice));
		INSERT INTO mails_of SELECT mail, twice FROM mails;
		CREATE TABLE part_of (n int, m text REFERENCES mails (mail)) PARTITION BY RANGE (n);
		CREATE TABLE part_of_1 PARTITION OF part_of DEFAULT;
		INSERT INTO part_of SELECT 1, mail FROM mails;
		CREATE VIEW mail_view AS SELECT upper(t) AS t, m FROM mails_of;
		CREATE TABLE second (email text, seen int);
		CREATE TABLE both_of () INHERITS (customers, second);
		INSERT INTO both_of (id, email) VALUES (9, 'planted9@secret.example');
		CREATE VIEW second_view AS SELECT lower(email) AS l FROM second`, email,
		"SELECT mail FROM mails",
		"SELECT twice FROM mails",
		"SELECT lazy FROM mails",
		"SELECT upper(mail) FROM mails",
		"SELECT upper(twice) FROM mails",
		"SELECT m FROM mails_of",
		"SELECT t FROM mails_of",
		"SELECT lower(t) || '' FROM mails_of",
		"SELECT m FROM part_of",
		"SELECT upper(m) FROM part_of_1",
		"SELECT to_json(p) FROM part_of p",
		"SELECT * FROM mail_view",
		"SELECT email FROM second",
		"SELECT upper(email) FROM second",
		"SELECT l FROM second_view",
		"SELECT email FROM both_of",
	)
}

// TestRedteam13_RenamedUnderTheMask: a mask that names what is no longer there.
func TestRedteam13_RenamedUnderTheMask(t *testing.T) {
	for _, tc := range []struct{ name, change, column, table string }{
		{"column", `ALTER TABLE customers RENAME email TO mail_address`, "mail_address", "customers"},
		{"table", `ALTER TABLE customers RENAME TO clients`, "email", "clients"},
		{"schema", `CREATE SCHEMA crm; ALTER TABLE customers SET SCHEMA crm`, "email", "crm.customers"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			attack(t, tc.change, email,
				"SELECT "+tc.column+" FROM "+tc.table,
				"SELECT upper("+tc.column+") FROM "+tc.table,
				"SELECT to_json(c) FROM "+tc.table+" c",
				"SELECT * FROM over",
				"SELECT mail FROM contacts",
			)
		})
	}
}

// TestRedteam13_PreamblesAreNotTainted: what psql and drivers ask is not
// hidden by any of this.
func TestRedteam13_PreamblesAreNotTainted(t *testing.T) {
	conn := database(t, plantedShop+`ALTER TABLE customers RENAME email TO mail_address`)
	c := load(t, conn)
	for _, m := range []*postgres.Masks{
		c.Masks([]command.Column{email}),
		c.Masks([]command.Column{{Schema: "public", Table: "customers", Name: "mail_address"}}),
		c.Masks([]command.Column{{Schema: "public", Table: "none", Name: "name"}}),
	} {
		for _, file := range []string{"psql.sql", "drivers.sql"} {
			raw, err := os.ReadFile(filepath.Join("..", "command", "postgres", "testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			st, err := postgres.Parse(string(raw))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range st {
				f := c.Resolve(s.Facts, []string{"public"}, "")
				if f.Catalog && m.Taint(&f).Expressions {
					t.Errorf("%s: tainted:\n%s", file, strings.TrimSpace(s.Text))
				}
			}
		}
	}
}
