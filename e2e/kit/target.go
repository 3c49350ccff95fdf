package kit

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TargetLog returns all statements that PostgreSQL logged, with the parameters.
func (g *Gatestay) TargetLog(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile(g.DB.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// plans marks, in the log's prefix, the session in which a held command is
// planned to say what it would touch; explained is all that it may send of it.
const (
	plans     = " gatestay radius "
	explained = ": EXPLAIN (VERBOSE, FORMAT JSON) "
)

// TargetRan is the log without what was only planned: the EXPLAIN of a held command in
// the gateway's own read-only session, and its parameters.
func (g *Gatestay) TargetRan(t testing.TB) string {
	t.Helper()
	var out strings.Builder
	kept := true
	for line := range strings.Lines(g.TargetLog(t)) {
		if !strings.HasPrefix(line, "\t") { // not the last entry's next line
			head, said, _ := strings.Cut(line, plans)
			planned := !strings.Contains(head, ": ") && (strings.HasPrefix(said, "DETAIL:") || strings.Contains(said, explained))
			kept = !planned
		}
		if kept {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TargetSaw reports whether PostgreSQL was sent the text to be run, in any
// statement or parameter.
func (g *Gatestay) TargetSaw(t testing.TB, text string) bool {
	t.Helper()
	return strings.Contains(g.TargetRan(t), text)
}

// NotSeen returns an error once the target has seen the text; for Never.
func (g *Gatestay) NotSeen(t testing.TB, text string) func() error {
	return func() error {
		if g.TargetSaw(t, text) {
			return fmt.Errorf("the target has seen %q", text)
		}
		return nil
	}
}

// SQL runs statements at the target as its superuser, around the gateway.
func (g *Gatestay) SQL(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.DB.Exec(ctx, "shop", sql); err != nil {
		t.Fatal(err)
	}
}

// Marker returns a text that occurs nowhere else, to be looked for in what the
// target saw, what the approver was shown and what the audit holds.
func Marker(what string) string { return what + "_" + random()[:10] }

// TargetPassword is the password of the account that the gateway logs in with:
// what no job may ever see.
func (g *Gatestay) TargetPassword() string { return g.targetPass }

// TargetCount returns how many statements with the text PostgreSQL has run.
func (g *Gatestay) TargetCount(t testing.TB, text string) int {
	t.Helper()
	return strings.Count(g.TargetRan(t), text)
}

// TargetCountIs returns an error unless the count is still n; for Never.
func (g *Gatestay) TargetCountIs(t testing.TB, text string, n int) error {
	t.Helper()
	if now := g.TargetCount(t, text); now != n {
		return fmt.Errorf("the target has seen %q %d times, before %d", text, now, n)
	}
	return nil
}
