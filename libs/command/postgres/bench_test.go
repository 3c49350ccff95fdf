package postgres

import (
	"fmt"
	"testing"
)

const benchStatement = `SELECT o.id, c.name, sum(i.price * i.count) FROM orders o
 JOIN customers c ON c.id = o.customer JOIN items i ON i.order_id = o.id
 WHERE o.placed > $1 AND c.country = $2 AND o.state IN ('paid', 'sent') GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 50`

func BenchmarkCache_hit(b *testing.B) {
	c := NewCache(1 << 20)
	for b.Loop() {
		if _, err := c.Parse(benchStatement); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCache_hitParallel(b *testing.B) {
	c := NewCache(1 << 20)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := c.Parse(benchStatement); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, sql := range map[string]string{"select 1": "SELECT 1", "pgbench": "SELECT abalance FROM pgbench_accounts WHERE aid = 42", "report": benchStatement} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse(sql); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCatalog_Resolve(b *testing.B) {
	c := NewCatalog(shop())
	m := c.Masks(maskedEmail)
	f := one(b, "SELECT o.id, c.name, c.email FROM orders o JOIN customers c ON c.id = o.customer WHERE o.total > 5")
	b.Run("resolve", func(b *testing.B) {
		for b.Loop() {
			_ = c.Resolve(f, public, "")
		}
	})
	r := c.Resolve(f, public, "")
	b.Run("taint", func(b *testing.B) {
		for b.Loop() {
			_ = m.Taint(&r)
		}
	})
}

// BenchmarkNewCatalog is a database of 2,000 tables with a view over each.
func BenchmarkNewCatalog(b *testing.B) {
	var s Snapshot
	for i := range uint32(2000) {
		name := fmt.Sprintf("t%d", i)
		s.Relations = append(s.Relations,
			table(2*i+1, "public", name, 'r', "id", "a", "b", "c", "d", "e"),
			viewOf(table(2*i+2, "public", "v"+name, 'v', "id", "a"), "SELECT t.id, t.a FROM public."+name+" t WHERE (t.b > 5)", ColumnRef{2*i + 1, 1}))
	}
	for b.Loop() {
		_ = NewCatalog(&s)
	}
}
