package postgres

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestParse_isBounded gives the parser what would overflow its stack, keep it
// busy or fill the memory. Each must come back, read or refused, in time.
func TestParse_isBounded(t *testing.T) {
	const limit = 20 * time.Second // under the race detector on a busy machine; each takes far less
	for _, tc := range []struct {
		name, head, part, tail string
		times                  int
		refused                bool
	}{
		{"brackets", "SELECT ", "(", "1", 100_000, true},
		{"closed brackets", "SELECT " + strings.Repeat("(", 100_000) + "1", ")", "", 100_000, true},
		{"some brackets", "SELECT " + strings.Repeat("(", 500) + "1", ")", "", 500, false},
		{"sub-selects", "SELECT ", "(SELECT ", "1", 50_000, true},
		{"left-leaning sum", "SELECT 1", "+1", "", 100_000, true},
		{"a sum that fits", "SELECT 1", "+1", "", 900, false},
		{"casts", "SELECT 1", "::int", "", 100_000, true},
		{"unions", "SELECT 1", " UNION SELECT 1", "", 30_000, true},
		{"unions with lists", "SELECT 1,2", " UNION SELECT 1,2", "", 30_000, true},
		{"joins", "SELECT FROM a", " JOIN a ON x AND y", "", 30_000, true},
		{"negations", "SELECT ", "NOT ", "true", 100_000, true},
		{"minus signs", "SELECT ", "- ", "1", 100_000, true},
		{"nested CASE", "SELECT ", "CASE WHEN a AND b THEN 1 ELSE ", "1", 20_000, true},
		{"subscripts", "SELECT a", "[1]", "", 20_000, true},
		{"conditions", "SELECT 1 WHERE a", " AND b OR c", "", 10_000, false},
		{"comments", "SELECT 1", "/**/", "", 250_000, true},
		{"comments apart", "SELECT 1", " /**/", "", 100_000, false},
		{"nested comments", "SELECT 1 ", "/*", "", 200_000, true},
		{"operators", "SELECT ", "*+", "1", 200_000, true},
		{"rows of dashes", "SELECT 1\n", "-----------------------------\n", "", 20_000, false},
		{"statements", "", "SELECT 1;", "", 20_000, false},
		{"semicolons", "", ";", "", 200_000, false},
		{"columns", "SELECT ", "a,", "b", 30_000, false},
		{"constants", "SELECT * FROM t WHERE id IN (", "1,", "2)", 30_000, false},
		{"stars", "SELECT ", "*,", "* FROM t", 30_000, false},
		{"FROM items", "SELECT * FROM ", "t,", "t", 30_000, false},
		{"named joins", "SELECT FROM " + strings.Repeat("(", 200) + "a", " JOIN a ON x) AS j", "", 200, false},
		{"stars doubled", "", "SELECT *,* FROM (", "SELECT * FROM t, json_each('{}')" + strings.Repeat(") x", 60), 60, false},
		{"stars of a name", "SELECT " + strings.Repeat("t.*,", 10_000) + "1 FROM ", "t,", "t", 10_000, false},
		{"WITH", "WITH a AS (SELECT 1)", ",a AS (TABLE a)", " SELECT 1", 10_000, false},
		{"rows", "INSERT INTO t VALUES ", "(1,'x'),", "(1,'x')", 10_000, false},
		{"assigned lists", "UPDATE t SET (" + strings.Repeat("a,", 1000) + "b) = (SELECT '", "x", "')", 100_000, true},
		{"assigned rows", "UPDATE t SET ", "(a,b) = (1,2),", "c = 1", 3_000, false},
		{"compared rows", "SELECT 1 WHERE ", "(a,b) = (1,2) OR ", "true", 3_000, false},
		{"parameters", "SELECT ", "$65535,", "1", 20_000, false},
		{"huge parameter", "SELECT $", "9", "", 5, false},
		{"too many words", "SELECT ", "1,", "1", 400_000, true},
		{"one long literal", "SELECT '", "x", "'", MaxText - 20, false},
		{"too long", "SELECT '", "x", "'", MaxText, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			began := time.Now()
			_, err := Parse(tc.head + strings.Repeat(tc.part, tc.times) + tc.tail)
			var se *SyntaxError
			if err != nil && !errors.As(err, &se) {
				t.Fatalf("error %v", err)
			}
			if refused := se != nil && se.Unread; refused != tc.refused || (err != nil) != tc.refused {
				t.Errorf("refused %v (%v), want %v", refused, err, tc.refused)
			}
			if took := time.Since(began); took > limit {
				t.Errorf("took %s", took)
			}
		})
	}
}

// TestMasks_areBounded: lineage of what doubles with each level is given up in time.
func TestMasks_areBounded(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	for _, from := range []string{"customers", "customers, json_each('{}')", "json_each('{}')"} {
		sql := "CREATE TABLE x AS " + strings.Repeat("SELECT *, * FROM (", 60) + "SELECT * FROM " + from + strings.Repeat(") x", 60)
		began := time.Now()
		f := resolved(t, c, sql, public, "")
		copies := m.Taint(&f).Copies()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: took %s", from, took)
		}
		if strings.HasPrefix(from, "customers") && len(copies) == 0 {
			t.Errorf("%s: nothing is copied", from)
		}
	}
}

// TestCallsWithoutArguments: what the grammar takes, and the server does not.
func TestCallsWithoutArguments(t *testing.T) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	read := 0
	for _, call := range []string{"()", "(*)", "(DISTINCT a)", "() OVER ()", "(VARIADIC a)", "() WITHIN GROUP (ORDER BY a)"} {
		for name := range maps.Keys(total) {
			sql := `SELECT "` + name + `"` + call + `, pg_catalog."` + name + `"` + call
			st, err := Parse(sql)
			if err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			f := c.Resolve(st[0].Facts, public, "")
			m.Taint(&f).Copies()
			m.Compared(&f)
			read++
		}
	}
	if read == 0 {
		t.Error("no call was read")
	}
}
