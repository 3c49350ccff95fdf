package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam14_MaskedTypesOfUsers: a masked column of an enum, a composite type, a
// range or an array of these is a text in text format; in binary, by SELECT, COPY
// or a cursor, it is refused before anything runs, by name, with a way out, and the
// session goes on.
func TestRedteam14_MaskedTypesOfUsers(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS typed; DROP TYPE IF EXISTS typed_mood, typed_place; DROP DOMAIN IF EXISTS typed_mail;
		CREATE TYPE typed_mood AS ENUM ('planted'); CREATE TYPE typed_place AS (street text, n int); CREATE DOMAIN typed_mail AS text;
		CREATE TABLE typed (id int, mood typed_mood, place typed_place, moods typed_mood[], places typed_place[], reach int4range, spans textrange, mail typed_mail)`
	if err := target.Exec(t.Context(), "postgres", "DROP TABLE IF EXISTS typed; DROP TYPE IF EXISTS textrange CASCADE; CREATE TYPE textrange AS RANGE (subtype = text)"); err != nil {
		t.Fatal(err)
	}
	if err := target.Exec(t.Context(), "postgres", setup+`; INSERT INTO typed VALUES (1, 'planted', ('planted', 1), '{planted}', ARRAY[('planted', 1)::typed_place], '[1,2)', '[planted,q)', 'planted')`); err != nil {
		t.Fatal(err)
	}
	for _, column := range []string{"mood", "place", "moods", "places", "spans"} {
		g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "typed", Column: column}}})
		r := dialRaw(t, g.config(t))
		if got := r.query(t, "SELECT "+column+" FROM typed"); len(got) != 4 || got[1] != `row ["***"]` {
			t.Errorf("%s in text: %q", column, got)
		}
		for _, messages := range [][]pgproto3.FrontendMessage{
			{&pgproto3.Parse{Query: "SELECT id, " + column + " FROM typed"}, &pgproto3.Bind{ResultFormatCodes: []int16{1}}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}},
			{&pgproto3.Parse{Query: "SELECT id, " + column + " FROM typed"}, &pgproto3.Bind{ResultFormatCodes: []int16{0, 1}}, &pgproto3.Execute{}, &pgproto3.Sync{}},
			simple("COPY typed (" + column + ") TO STDOUT (FORMAT binary)"),
		} {
			r.send(t, messages...)
			got := strings.Join(r.until(t, 1), "; ")
			if !strings.Contains(got, "error GS1204") || strings.Contains(got, "planted") || strings.Contains(got, "complete") {
				t.Errorf("%s in binary: %s", column, got)
			}
		}
		equal(t, column+": in step", r.query(t, "SELECT 1 AS a"), []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
	}
	// A domain over text is a text.
	g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "typed", Column: "mail"}}})
	r := dialRaw(t, g.config(t))
	r.send(t, &pgproto3.Parse{Query: "SELECT mail FROM typed"}, &pgproto3.Bind{ResultFormatCodes: []int16{1}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if got := strings.Join(r.until(t, 1), "; "); !strings.Contains(got, `row ["***"]`) {
		t.Errorf("a domain over text: %s", got)
	}
}
