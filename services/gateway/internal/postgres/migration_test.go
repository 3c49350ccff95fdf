package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// migration is a run of n statements as a migration tool sends them, each in a
// transaction of its own.
func migration(prefix string, n int) []string {
	var out []string
	for i := 0; len(out) < n; i++ {
		name := fmt.Sprintf("%s_%d", prefix, i)
		out = append(
			out, fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, note text)", name),
			fmt.Sprintf("ALTER TABLE %s ADD COLUMN at timestamptz DEFAULT now()", name),
			fmt.Sprintf("CREATE INDEX ON %s (note)", name),
			fmt.Sprintf("ALTER TABLE %s ALTER COLUMN note SET NOT NULL", name),
		)
	}
	return out[:n]
}

func migrate(t testing.TB, conn *pgx.Conn, list []string) {
	t.Helper()
	for _, text := range list {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(text, err)
		}
	}
}

// TestMigrationReadsTheCatalogOnce: after each change of a definition the next
// statement knows of it, without all else being read anew.
func TestMigrationReadsTheCatalogOnce(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails})
	conn := g.connect(t)
	reads := func() int {
		return strings.Count(targetLog(t), "relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_toast' AND true")
	}
	before := reads()
	migrate(t, conn, migration("once", 40))
	if n := reads() - before; n > 1 {
		t.Errorf("the whole catalog was read %d times", n)
	}
	commands := g.Admitted("once_9")
	for _, c := range commands {
		if o := c.Command.Facts.Objects; len(o) == 0 || o[0].Schema != "public" || c.Command.Facts.IsUnknown("objects") {
			t.Errorf("%s: %+v", c.Command.Text, c.Command.Facts)
		}
	}
	if len(commands) != 4 {
		t.Errorf("%d commands", len(commands))
	}
}

// BenchmarkMigration compares 80 statements that change definitions, directly and
// through a gateway.
func BenchmarkMigration(b *testing.B) {
	g := start(b, &seamtest.Gate{Masked: emails})
	for name, conn := range map[string]*pgx.Conn{"direct": direct(b), "gateway": g.connect(b)} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				migrate(b, conn, []string{"DROP SCHEMA IF EXISTS bench CASCADE", "CREATE SCHEMA bench"})
				b.StartTimer()
				migrate(b, conn, migration("bench.t", 80))
			}
		})
	}
}
