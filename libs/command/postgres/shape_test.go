package postgres

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// other returns the text with other numbers of as many digits, and whether there
// are any.
func other(sql string, r *rand.Rand) (string, bool) {
	sh, ok := shapeOf(sql, lex(sql))
	if !ok {
		return "", false
	}
	text := []byte(sql)
	for _, t := range sh.numbers {
		for i := t.start; i < t.end; i++ {
			text[i] = '0' + byte(r.IntN(10))
		}
	}
	return string(text), true
}

// corpus is every statement that the package's tests have on file.
func corpus(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "facts", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files (%v)", err)
	}
	more, err := filepath.Glob(filepath.Join("testdata", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range append(files, more...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Split(strings.TrimSpace(string(raw)), "\n\n")...)
	}
	return append(all,
		"SELECT a FROM t WHERE b = 12 AND c IN (1, 22, 333) AND d BETWEEN 4 AND 55 ORDER BY a LIMIT 10 OFFSET 20",
		"INSERT INTO t VALUES (1, 22, 'x'), (3, 44, 'y')", "UPDATE t SET a = 7, b = b + 12 WHERE id = 12345; SELECT 1 + 1",
		"DELETE FROM t WHERE a = 1 OR b <> 2", "SELECT a, b FROM t WHERE c = 10 ORDER BY 1", "SELECT a, count(*) FROM t WHERE c = 10 GROUP BY 1",
		"SELECT a::varchar(10) FROM t WHERE b = 5", "SELECT substring(a from 2 for 3) FROM t WHERE b = 5", "SELECT - 5 + 3 FROM t", "SELECT a[1] FROM t WHERE a[2] = 3",
		"SELECT a FROM t WHERE b = 0", "SELECT a FROM t WHERE b = $1 AND c = 7", "WITH x AS (SELECT a FROM t WHERE b = 5) SELECT * FROM x WHERE a > 3 LIMIT 5",
		"SELECT a FROM t WHERE b = 5 /* 6 */ AND c = '7' -- 8", `SELECT "5" FROM t5 WHERE x5 = 5`, "PREPARE p AS SELECT a FROM t WHERE b = 5",
		"CREATE VIEW v AS SELECT a FROM t WHERE b = 5", "COPY (SELECT a FROM t WHERE b = 5) TO STDOUT", "EXECUTE p(5)", "DECLARE c CURSOR FOR SELECT a FROM t WHERE b = 5")
}

// TestShape_readsAsParseDoes is the proof by example of what shape's comment says:
// whatever comes of the cache for a text is what Parse makes of that text.
func TestShape_readsAsParseDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := NewCache(64 << 20)
	shared := 0
	for _, sql := range corpus(t) {
		if _, err := c.Parse(sql); err != nil {
			continue
		}
		for range 4 {
			text, ok := other(sql, r)
			if !ok {
				break
			}
			before, _ := held(c)
			got, err := c.Parse(text)
			want, wantErr := Parse(text)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
				t.Errorf("%s\nas another of its shape: %+v, %v\nparsed: %+v, %v", text, got, err, want, wantErr)
			}
			if after, _ := held(c); after == before && err == nil && text != sql {
				shared++
			}
		}
	}
	if shared < 40 {
		t.Errorf("only %d texts were read by another's shape: the test shows nothing", shared)
	}
}

// TestShape_notWhereTheValueMatters: each of these is parsed anew.
func TestShape_notWhereTheValueMatters(t *testing.T) {
	for _, pair := range [][2]string{
		{"SELECT a, b FROM t WHERE c = 10 ORDER BY 1", "SELECT a, b FROM t WHERE c = 10 ORDER BY 2"},
		{"SELECT a, b FROM t GROUP BY 1", "SELECT a, b FROM t GROUP BY 2"},
		{"SELECT x::float(24) FROM t", "SELECT x::float(25) FROM t"},
		{"SELECT f(1) FROM t", "SELECT f(2) FROM t"},
		{"SELECT $1 FROM t WHERE a = 1", "SELECT $2 FROM t WHERE a = 1"},
		{"SELECT a1 FROM t WHERE a = 1", "SELECT a2 FROM t WHERE a = 1"},
		{"SELECT '1' FROM t WHERE a = 1", "SELECT '2' FROM t WHERE a = 1"},
		{"SELECT a FROM t WHERE a = 5", "SELECT a FROM t WHERE a = 55"},
		{"SELECT a FROM t WHERE a = 1234567890", "SELECT a FROM t WHERE a = 9234567890"},
		{"SELECT a FROM t WHERE a = 1.5", "SELECT a FROM t WHERE a = 2.5"},
		{"SELECT a FROM t WHERE a = -5", "SELECT a FROM t WHERE a = -6"},
	} {
		c := NewCache(1 << 20)
		for i, sql := range pair {
			if _, err := c.Parse(sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			if n, _ := held(c); n != i+1 {
				t.Errorf("%s: %d entries, want %d", sql, n, i+1)
			}
		}
	}
}

// TestRedteam06_ShapeIsNoText: no text reaches what is kept for a shape but by
// being of it: neither the shape's own key, nor what the parser would not read.
func TestRedteam06_ShapeIsNoText(t *testing.T) {
	c := NewCache(1 << 20)
	if _, err := c.Parse("SELECT a FROM t WHERE b = 5"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"SELECT a FROM t WHERE b = 0x1", "SELECT a FROM t WHERE b = 0 ", "SELECT a FROM t WHERE b = 5x", "SELECT a FROM t WHERE b = 0\x00",
		"SELECT a FROM t WHERE b = $0", "SELECT a FROM t WHERE b = 5\xff", "SELECT a FROM t WHERE b = 5'",
	} {
		got, err := c.Parse(sql)
		want, wantErr := Parse(sql)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", sql, got, err)
		}
	}
	got, err := c.Parse("SELECT a FROM t WHERE b = 0") // what the key looks like
	if want, _ := Parse("SELECT a FROM t WHERE b = 0"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func BenchmarkCache_shape(b *testing.B) {
	c := NewCache(1 << 20)
	i := 0
	for b.Loop() {
		i++
		if _, err := c.Parse(fmt.Sprintf("SELECT abalance FROM pgbench_accounts WHERE aid = %d", 10000+i%90000)); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzShape(f *testing.F) {
	for _, sql := range []string{
		"SELECT a FROM t WHERE b = 5 LIMIT 10", "INSERT INTO t VALUES (1, 22)", "UPDATE t SET a = 7, b = b + 12 WHERE id = 12345; SELECT 1 + 1",
		"SELECT a FROM t WHERE b = 5 ORDER BY 1", "SELECT a::float(24), substring(a from 2 for 3) FROM t WHERE b IN (1, 2)",
	} {
		f.Add(sql, uint64(1))
	}
	f.Fuzz(func(t *testing.T, sql string, seed uint64) {
		c := NewCache(1 << 20)
		if len(sql) > maxShape {
			return
		}
		if _, err := c.Parse(sql); err != nil {
			return
		}
		text, ok := other(sql, rand.New(rand.NewPCG(seed, seed)))
		if !ok {
			return
		}
		got, err := c.Parse(text)
		if want, wantErr := Parse(text); fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nas another of its shape: %+v, %v\nparsed: %+v, %v", text, got, err, want, wantErr)
		}
	})
}
