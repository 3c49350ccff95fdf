package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam18_SwappedWhileHeld lets another session change what a command
// touches while it waits for its approval.
func TestRedteam18_SwappedWhileHeld(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS held_a, held_b, held_old CASCADE; CREATE TABLE held_a (id int, note text); INSERT INTO held_a VALUES (1, 'a');
		CREATE TABLE held_b (id int, note text); INSERT INTO held_b VALUES (1, 'precious');
		CREATE OR REPLACE VIEW held_view AS SELECT id, note FROM held_a;
		CREATE OR REPLACE FUNCTION held_code() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM held_b; RETURN NEW; END $$;`
	hold := func(c *seam.Command) seamtest.Decision {
		return seamtest.Decision{Hold: strings.Contains(c.Text, "hold_it")}
	}
	for name, c := range map[string]struct{ text, meanwhile, want string }{
		"nothing":               {"UPDATE held_a SET note = 'x' /* hold_it */", "SELECT 1", "complete UPDATE 1"},
		"another table":         {"UPDATE held_a SET note = 'x' /* hold_it */", "CREATE TABLE beside (id int); DROP TABLE beside", "complete UPDATE 1"},
		"a swap by renaming":    {"UPDATE held_a SET note = 'x' /* hold_it */", "ALTER TABLE held_a RENAME TO held_old; ALTER TABLE held_b RENAME TO held_a", "error GS1206"},
		"a trigger":             {"UPDATE held_a SET note = 'x' /* hold_it */", "CREATE TRIGGER code BEFORE UPDATE ON held_a FOR EACH ROW EXECUTE FUNCTION held_code()", "error GS1206"},
		"a view of another":     {"UPDATE held_view SET note = 'x' /* hold_it */", "CREATE OR REPLACE VIEW held_view AS SELECT id, note FROM held_b", "error GS1206"},
		"it is gone":            {"DELETE FROM held_a /* hold_it */", "DROP TABLE held_a CASCADE", "error GS1206"},
		"a cascade":             {"DELETE FROM held_a /* hold_it */", "ALTER TABLE held_a ADD PRIMARY KEY (id); ALTER TABLE held_b ADD FOREIGN KEY (id) REFERENCES held_a ON DELETE CASCADE", "error GS1206"},
		"behind another":        {"UPDATE held_a SET note = 'x' /* hold_it */; DELETE FROM held_b", "ALTER TABLE held_b RENAME TO held_old; CREATE TABLE held_b (id int)", "error GS1206"},
		"in front of another":   {"DELETE FROM held_b; UPDATE held_a SET note = 'x' /* hold_it */", "ALTER TABLE held_b RENAME TO held_old; CREATE TABLE held_b (id int)", "error GS1206"},
		"an unreadable remains": {"SELEC 1 /* hold_it */", "SELECT 1", "error 42601"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := target.Exec(t.Context(), "postgres", setup); err != nil {
				t.Fatal(err)
			}
			g := start(t, &seamtest.Gate{Decide: hold})
			r := dialRaw(t, g.config(t))
			r.query(t, "SELECT * FROM held_a, held_b, held_view")
			r.send(t, &pgproto3.Query{String: c.text}) // a Parse would lock the table against others
			h := <-g.Held()
			if err := target.Exec(t.Context(), "postgres", c.meanwhile); err != nil {
				t.Fatal(err)
			}
			h.Approve()
			got := r.until(t, 1)
			if got[len(got)-2] != c.want {
				t.Errorf("%q, want %s", got, c.want)
			}
		})
	}
}
