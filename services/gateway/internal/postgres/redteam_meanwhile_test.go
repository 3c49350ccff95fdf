package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam14_DefinedAnewBeforeTheCopy lets another session change the table at
// each message that the gateway sends for a COPY, also between the description of
// its columns and the COPY itself.
func TestRedteam14_DefinedAnewBeforeTheCopy(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS raced; CREATE TABLE raced (id int, name text, email text, note text);
		INSERT INTO raced VALUES (1, 'name', 'planted@example.com', 'note')`
	masked := []seam.MaskedColumn{{Schema: "public", Table: "raced", Column: "email"}}
	swap := "ALTER TABLE raced RENAME email TO e2; ALTER TABLE raced RENAME name TO email; ALTER TABLE raced RENAME e2 TO name"
	r := &race{}
	up := upstreamOf(t)
	up.Address, up.TLS = (&tamperer{rewrite: r.rewrite}).start(t), "disable"
	g := start(t, &seamtest.Gate{Masked: masked, Upstream: up})
	for i, ddl := range []string{
		"ALTER TABLE raced DROP COLUMN name, ADD COLUMN last text", "ALTER TABLE raced DROP COLUMN id", swap,
	} {
		for _, text := range []string{"COPY raced TO STDOUT", "COPY raced (name, email) TO STDOUT", "COPY (SELECT * FROM raced) TO STDOUT", "SELECT 1; COPY raced TO STDOUT", "BEGIN ISOLATION LEVEL REPEATABLE READ; COPY raced TO STDOUT; COMMIT", "BEGIN; COPY raced TO STDOUT; COMMIT"} {
			for _, extended := range []bool{false, true} {
				for at := 1; ; at++ {
					if i > 0 && text != "COPY raced TO STDOUT" || extended && strings.Contains(text, ";") {
						break
					}
					if err := target.Exec(t.Context(), "postgres", setup); err != nil {
						t.Fatal(err)
					}
					if !r.copy(t, g, text, ddl, extended, at) {
						break
					}
				}
			}
		}
	}
}

// TestRedteam14_CopyInAnOldSnapshot: a transaction reads older names of columns
// than its COPY goes by.
func TestRedteam14_CopyInAnOldSnapshot(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", `DROP TABLE IF EXISTS snapped; CREATE TABLE snapped (id int, name text, email text); INSERT INTO snapped VALUES (1, 'name', 'planted@example.com')`); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "snapped", Column: "email"}}})
	r := dialRaw(t, g.config(t))
	r.query(t, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	r.query(t, "SELECT 1 FROM customers")
	if err := target.Exec(t.Context(), "postgres", "ALTER TABLE snapped RENAME email TO e2; ALTER TABLE snapped RENAME name TO email; ALTER TABLE snapped RENAME e2 TO name"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.query(t, "COPY snapped TO STDOUT"), " "); strings.Contains(got, "planted") {
		t.Error(got)
	}
	r.query(t, "ROLLBACK")
	if got := strings.Join(r.query(t, "COPY snapped TO STDOUT"), " "); !strings.Contains(got, "complete COPY 1") {
		t.Error(got)
	}
}

// race does something at one message of the gateway's to the target.
type race struct {
	mu       sync.Mutex
	at, seen int
	do       func()
}

func (r *race) rewrite([]byte) ([]byte, []byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen++; r.seen == r.at {
		r.do()
	}
	return nil, nil, false
}

func (r *race) set(at int, do func()) (seen int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen = r.seen
	r.at, r.seen, r.do = at, 0, do
	return seen
}

// copy runs a COPY, and a change of definitions at one of its messages. It
// reports false where there are not so many.
func (r *race) copy(t *testing.T, g *gateway, text, ddl string, extended bool, at int) bool {
	t.Helper()
	c := dialRaw(t, g.config(t))
	defer func() { _ = c.Close() }()
	c.query(t, "SELECT id FROM raced")
	// Where it cannot get its lock, it does not happen.
	r.set(at, func() { _ = target.Exec(context.Background(), "postgres", "SET lock_timeout = '100ms'; "+ddl) })
	if extended {
		c.send(t, &pgproto3.Parse{Query: text}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	} else {
		c.send(t, &pgproto3.Query{String: text})
	}
	got := c.until(t, 1)
	seen := r.set(0, nil)
	// Where the catalog was read after a renaming, the mask is on what is called
	// email by now.
	renamed := strings.Contains(ddl, "RENAME") && strings.Contains(strings.Join(got, " "), `1\t***\tplanted`)
	if strings.Contains(strings.Join(got, " "), "planted") && !renamed {
		t.Errorf("%s (extended %v), %s at message %d: %q", text, extended, ddl, at, got)
	}
	if got := c.query(t, "SELECT 1 AS a"); strings.Contains(got[len(got)-1], "T") || strings.Contains(got[len(got)-1], "E") {
		c.query(t, "ROLLBACK")
	}
	equal(t, "in step", c.query(t, "SELECT 1 AS a"), []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
	return seen >= at
}

// TestRedteam13_DefinedAnewMeanwhile: what another session has made since the
// catalog was read is no way round a mask, prepared before or not.
func TestRedteam13_DefinedAnewMeanwhile(t *testing.T) {
	masked := []seam.MaskedColumn{{Schema: "public", Table: "since", Column: "email"}}
	for ddl, texts := range map[string][]string{
		"ALTER TABLE since ADD made text GENERATED ALWAYS AS (upper(email)) STORED": {"SELECT made FROM since", "SELECT lower(made) FROM since", "SELECT s.made || '' FROM since s", "SELECT * FROM since", "SELECT max(made) FROM since"},
		"ALTER TABLE since RENAME email TO e2; ALTER TABLE since RENAME name TO email": {
			"SELECT * FROM since", "SELECT e2 FROM since", "SELECT upper(e2) FROM since", "SELECT x.e2 || '' FROM (SELECT * FROM since) x", "SELECT row_to_json(s) FROM since s",
		},
		"ALTER TABLE since RENAME email TO e2":                                     {"SELECT * FROM since", "SELECT upper(e2) FROM since"},
		"CREATE OR REPLACE VIEW since_view AS SELECT id, email AS name FROM since": {"SELECT * FROM since_new", "SELECT upper(name) FROM since_new"},
		"ALTER TABLE since RENAME TO since_old; CREATE TABLE since AS SELECT id, email AS name, name AS email FROM since_old; DROP TABLE since_old CASCADE": {"SELECT email FROM since"},
	} {
		for i, text := range texts {
			for _, prepared := range []bool{false, true} {
				const setup = `DROP TABLE IF EXISTS since CASCADE; DROP VIEW IF EXISTS since_new; CREATE TABLE since (id int, name text, email text); INSERT INTO since VALUES (1, 'planted_name', 'planted@example.com');
					CREATE VIEW since_view AS SELECT id, name FROM since`
				if err := target.Exec(t.Context(), "postgres", setup); err != nil {
					t.Fatal(err)
				}
				g := start(t, &seamtest.Gate{Masked: masked})
				r := dialRaw(t, g.config(t))
				r.query(t, "SELECT id FROM since")
				if prepared {
					if text != "SELECT * FROM since" {
						continue // the names are not there yet
					}
					r.send(t, &pgproto3.Parse{Name: "p", Query: text}, &pgproto3.Describe{ObjectType: 'S', Name: "p"}, &pgproto3.Sync{})
					r.until(t, 1)
				}
				change := ddl
				if strings.Contains(text, "since_new") {
					change = strings.Replace(ddl, "since_view", "since_new", 1)
				}
				if err := target.Exec(t.Context(), "postgres", change); err != nil {
					t.Fatal(err)
				}
				if prepared {
					r.send(t, &pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{})
				} else {
					r.send(t, &pgproto3.Query{String: text})
				}
				got := strings.ToLower(strings.Join(r.until(t, 1), " "))
				if strings.Contains(got, "planted@") || strings.Contains(ddl, "AS name, name AS email") && strings.Contains(got, "planted") {
					t.Errorf("%s, %d %s (prepared %v): %s", change, i, text, prepared, got)
				}
			}
		}
	}
}
