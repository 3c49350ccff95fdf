package approval

import (
	"cmp"
	"slices"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// rehearsed says what a rehearsal has shown, none where the rule lets there be none.
func rehearsed(r *eventv1.Rehearsal) []string {
	switch {
	case r == nil:
		return nil
	case r.Unknown != "":
		return append([]string{"Not rehearsed, so what it changes is not measured: " + r.Unknown}, bound(r)...)
	}
	var parts []string
	total := uint64(0)
	for _, e := range slices.SortedStableFunc(slices.Values(r.Changed), func(a, b *eventv1.Effect) int { return cmp.Compare(b.Rows, a.Rows) }) {
		total += e.Rows
		parts = append(parts, e.Verb+" "+exactly(e.Rows)+" of "+e.Relation)
	}
	s := "Rehearsed, and rolled back: no row changed"
	if len(parts) > 0 {
		s = "Rehearsed, and rolled back: " + strings.Join(parts, ", ")
	}
	if len(parts) > 1 {
		s += ": " + exactly(total) + " in all, foreign keys' included"
	}
	return append([]string{s + " (measured, in " + took(r.Duration.AsDuration()) + ")"}, bound(r)...)
}

// bound says why a rule's approve_if has not let the command pass.
func bound(r *eventv1.Rehearsal) []string {
	switch {
	case r.Bound == "":
		return nil
	case r.Unknown != "":
		return []string{"Asks a person, since approve_if could not be told: " + r.Bound}
	case r.Unbounded != "":
		return []string{"Asks a person although " + r.Bound + ": " + r.Unbounded}
	}
	return []string{"Asks a person, since it is not so that " + r.Bound}
}

func exactly(n uint64) string {
	if n == 1 {
		return "1 row"
	}
	return thousands(n) + " rows"
}
