package postgres

import (
	"slices"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// TestRedteam08_ColumnWithoutItsName: a condition that asks for a column sees it
// where a statement takes it without naming it.
func TestRedteam08_ColumnWithoutItsName(t *testing.T) {
	s := shop()
	s.Relations = append(s.Relations,
		table(500, "s2", "plain", 'r', "id", "k"), table(501, "s2", "id", 'r', "id", "k"), table(502, "s2", "other", 'r', "id", "p"),
		viewOf(table(503, "s2", "v", 'v', "id", "w", "up"), `SELECT id, k AS w, upper(k) AS up FROM s2.plain`, ColumnRef{500, 1}, ColumnRef{500, 2}),
		viewOf(table(504, "s2", "vv", 'v', "id", "w", "up"), `SELECT id, w, up FROM s2.v`, ColumnRef{503, 1}, ColumnRef{503, 2}, ColumnRef{503, 3}),
		viewOf(table(505, "s2", "rows", 'm', "j"), `SELECT to_jsonb(p.*) AS j FROM s2.plain p`, ColumnRef{500, 0}),
	)
	c := NewCatalog(s)
	k := command.Column{Schema: "s2", Table: "plain", Name: "k"}
	for sql, want := range map[string]bool{
		`SELECT p FROM s2.plain p`: true, `SELECT row_to_json(p) FROM s2.plain p`: true, `SELECT p::text FROM s2.plain p`: true,
		`SELECT (p).* FROM s2.plain p`: true, `SELECT to_jsonb(p)->>'k' FROM s2.plain p`: true, `SELECT array_agg(p) FROM s2.plain p`: true,
		`WITH q AS (SELECT p FROM s2.plain p) SELECT q FROM q`: true, `UPDATE s2.plain p SET id = '1' RETURNING p`: true,
		`UPDATE s2.plain SET id = '1' RETURNING old`: true, `DELETE FROM s2.plain RETURNING plain`: true, `SELECT plain FROM s2.plain`: true,
		`SELECT p.to_json FROM s2.plain p`: true, `SELECT (SELECT p) FROM s2.plain p`: true, `SELECT 1 FROM s2.plain p ORDER BY p`: true,
		`SELECT p, (SELECT count(*) FROM s2.other) FROM s2.plain p`: true, `SELECT b FROM s2.plain x(a, b)`: true, `SELECT k FROM s2.plain AS k(a, b)`: true,
		`SELECT j FROM (s2.plain a CROSS JOIN s2.other b) AS j`: true, `SELECT c FROM (s2.plain x JOIN s2.other y ON true) AS j(a, b, c)`: true,
		`SELECT 1 FROM s2.plain NATURAL JOIN (VALUES ('x')) v(k)`: true, `COPY s2.plain TO STDOUT`: true, `COPY (SELECT p FROM s2.plain p) TO STDOUT`: true,
		`INSERT INTO archive (note) SELECT p::text FROM s2.plain p`: true, `INSERT INTO s2.plain (id) VALUES ('1') RETURNING plain`: true,
		`SELECT w FROM s2.v`: true, `SELECT up FROM s2.v`: true, `SELECT up FROM s2.vv`: true, `SELECT w FROM s2.vv`: true, `SELECT v FROM s2.v`: true,
		`SELECT j FROM s2.rows`: true, `SELECT * FROM s2.vv`: true, `SELECT id FROM s2.v WHERE w = 'x'`: true,

		`SELECT id FROM s2.plain p`: false, `SELECT p.id FROM s2.plain p`: false, `SELECT count(*) FROM s2.plain p`: false, `SELECT id FROM s2.v`: false,
		`SELECT id FROM s2.vv`: false, `SELECT id FROM s2.plain id`: false, `SELECT x.id FROM (SELECT id FROM s2.plain) x`: false, `SELECT a.p FROM s2.other a, s2.plain p`: false,
		`UPDATE s2.plain p SET id = '1' RETURNING p.id`: false,
	} {
		f := resolved(t, c, sql, public, "")
		if got := slices.Contains(f.Columns, k) || f.IsUnknown("columns"); got != want {
			t.Errorf("%s: seen %v, want %v: %v", sql, got, want, f.Columns)
		}
	}
	if f := resolved(t, c, `SELECT id FROM s2.v WHERE w = 'x'`, public, ""); !slices.Contains(f.Filters, k) {
		t.Errorf("filters %v", f.Filters)
	}
}
