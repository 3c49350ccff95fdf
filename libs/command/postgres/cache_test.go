package postgres

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func held(c *Cache) (entries, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += len(s.entries)
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}

func TestCache_givesWhatParseGives(t *testing.T) {
	c := NewCache(1 << 20)
	const sql = "SELECT email FROM customers WHERE id = $1; BEGIN"
	want := parsed(t, sql)
	for range 2 {
		got, err := c.Parse(sql)
		if err != nil || len(got) != 2 || render(got[0]) != render(want[0]) || got[1].Text != want[1].Text {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if n, _ := held(c); n != 1 {
		t.Errorf("%d entries", n)
	}
	if _, err := c.Parse("SELEC"); err == nil {
		t.Error("a syntax error is lost")
	}
	if n, _ := held(c); n != 1 {
		t.Errorf("%d entries after a syntax error", n)
	}
}

func TestCache_isBoundedAndKeepsWhatIsUsed(t *testing.T) {
	const limit = 256 << 10
	c := NewCache(limit)
	const hot = "SELECT 'hot'"
	first, err := c.Parse(hot)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if _, err := c.Parse(fmt.Sprintf("SELECT %d", i)); err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 {
			if _, err := c.Parse(hot); err != nil {
				t.Fatal(err)
			}
		}
	}
	n, bytes := held(c)
	if bytes > limit || n < 50 || n > 1000 {
		t.Errorf("%d entries of %d bytes, at most %d", n, bytes, limit)
	}
	if again, err := c.Parse(hot); err != nil || &again[0] != &first[0] {
		t.Errorf("what is used was dropped (%v)", err)
	}
	if _, err := c.Parse("SELECT '" + strings.Repeat("x", limit) + "'"); err != nil {
		t.Fatal(err)
	}
	if after, _ := held(c); after != n {
		t.Errorf("a text too large to keep drove %d others out", n-after)
	}
}

// TestCache_takesLongTextsOneByOne: their trees are large.
func TestCache_takesLongTextsOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(1 << 20)
		long := "SELECT '" + strings.Repeat("x", heavyText) + "'"
		c.heavy <- struct{}{} // one is being parsed
		done := make(chan error, 1)
		go func() {
			_, err := c.Parse(long)
			done <- err
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("a second long text did not wait")
		default:
		}
		if _, err := c.Parse("SELECT 1"); err != nil { // a short one does not wait
			t.Fatal(err)
		}
		<-c.heavy
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestCache_concurrently(t *testing.T) {
	c := NewCache(64 << 10)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				sql := fmt.Sprintf("SELECT a%d FROM t WHERE x = %d", i%40, g)
				st, err := c.Parse(sql)
				if err != nil || len(st) != 1 || st[0].Text != sql {
					t.Errorf("%s: %v, %v", sql, st, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestFingerprint_differsInMeaningOnly(t *testing.T) {
	same := [][2]string{
		{"SELECT a FROM t WHERE b = 1", "select  A from /* x */ T where b = 25 -- y"},
		{"SELECT 'a'", "SELECT E'b\\n'"},
		{"SELECT true, 1.5", "SELECT FALSE, 0x1F"},
	}
	different := [][2]string{
		{"SELECT a FROM t", "SELECT b FROM t"},
		{"SELECT a FROM t", `SELECT "A" FROM t`},
		{"SELECT a FROM t", "SELECT a FROM t LIMIT 1"},
		{"SELECT a::int FROM t", "SELECT a::text FROM t"},
		{"SELECT $1", "SELECT $2"},
		{"SELECT a AS b", "SELECT a AS c"},
		{"SELECT 1 IN (1)", "SELECT 1 IN (1, 2)"},
		{"SELECT a b", "SELECT ab"},
		{"SELECT - 1 - 1", "SELECT 1 - 1"},
	}
	for _, p := range same {
		if one(t, p[0]).Fingerprint != one(t, p[1]).Fingerprint {
			t.Errorf("%q and %q differ", p[0], p[1])
		}
	}
	for _, p := range different {
		if one(t, p[0]).Fingerprint == one(t, p[1]).Fingerprint {
			t.Errorf("%q and %q are the same", p[0], p[1])
		}
	}
}
