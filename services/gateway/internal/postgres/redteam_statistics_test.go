package postgres_test

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam14_StatisticsOfAMaskedColumn: ANALYZE keeps samples of what is in a
// table, in its catalogs of statistics.
func TestRedteam14_StatisticsOfAMaskedColumn(t *testing.T) {
	const setup = `DROP TABLE IF EXISTS sampled CASCADE; CREATE TABLE sampled (id int, name text, email text);
		INSERT INTO sampled SELECT g, 'name', 'planted@example.com' FROM generate_series(1, 1000) g;
		CREATE INDEX sampled_up ON sampled (upper(email)); CREATE STATISTICS sampled_st (mcv) ON name, email FROM sampled;
		CREATE STATISTICS sampled_ex ON (lower(email)) FROM sampled; ANALYZE sampled`
	if err := target.Exec(t.Context(), "postgres", setup); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "sampled", Column: "email"}}})
	r := dialRaw(t, g.config(t))
	for _, text := range []string{
		"SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'sampled' AND attname = 'email'", "SELECT * FROM pg_stats WHERE tablename = 'sampled'", "SELECT * FROM pg_stats WHERE tablename = 'sampled_up'",
		"SELECT stavalues1 FROM pg_statistic WHERE starelid = 'sampled'::regclass", "SELECT stavalues1::text || '' FROM pg_statistic WHERE starelid = 'sampled'::regclass", "SELECT s FROM pg_statistic s WHERE starelid = 'sampled'::regclass",
		"SELECT * FROM pg_stats_ext", "SELECT most_common_vals::text FROM pg_stats_ext", "SELECT * FROM pg_stats_ext_exprs", "SELECT stxdmcv FROM pg_statistic_ext_data", "SELECT m.* FROM pg_statistic_ext_data, pg_mcv_list_items(stxdmcv) m", "SELECT stxdexpr FROM pg_statistic_ext_data", "SELECT encode(pg_mcv_list_send(stxdmcv), 'escape') FROM pg_statistic_ext_data",
		"TABLE pg_stats", "SELECT row_to_json(s) FROM pg_stats s WHERE tablename = 'sampled'", "COPY pg_statistic TO STDOUT", "SELECT array_to_json(histogram_bounds::text::text[]) FROM pg_stats", "WITH s AS (SELECT * FROM pg_stats) SELECT most_common_vals FROM s",
	} {
		got := strings.ToLower(strings.Join(r.query(t, text), " "))
		if strings.Contains(got, "planted") {
			t.Errorf("%s: %.300s", text, got)
		}
	}
}
