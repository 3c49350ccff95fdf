package approval

import (
	"cmp"
	"fmt"
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
		parts = append(parts, e.Verb+" "+Rows(e.Rows)+" of "+e.Relation)
	}
	s := "Rehearsed, and rolled back: no row changed"
	if len(parts) > 0 {
		s = "Rehearsed, and rolled back: " + strings.Join(parts, ", ")
	}
	if len(parts) > 1 {
		s += ": " + Rows(total) + " in all, foreign keys' included"
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

// Rows says how many rows, exactly: "1 row", "1,187 rows".
func Rows(n uint64) string {
	if n == 1 {
		return "1 row"
	}
	return thousands(n) + " rows"
}

const (
	maxRowLine = 300 // characters
	maxCells   = 6   // of a row
)

// Measured are the lines of Radius, and a few rows before and after a rehearsal. The
// rows are for who decides, and are not recorded.
func Measured(r *eventv1.ApprovalRequest) []string {
	lines := Radius(r)
	m := r.GetRadius().GetRehearsal()
	for _, row := range m.GetSample().GetRows() {
		lines = append(lines, sampledRow(m.Sample, row))
	}
	if why := m.GetUnsampled(); why != "" && m.GetUnknown() == "" {
		lines = append(lines, Visible("No rows are shown: "+why))
	}
	return lines
}

// sampledRow names the row by its first column, which is of its key, and tells what
// changes of it.
func sampledRow(s *eventv1.RowSample, row *eventv1.RowPair) string {
	if len(row.Before) != len(s.Columns) || len(row.After) != 0 && len(row.After) != len(s.Columns) || len(s.Columns) == 0 {
		return "A row of the sample is not complete"
	}
	head := "Deletes "
	if len(row.After) > 0 {
		head = "Changes "
	}
	var cells []string
	more := 0
	for i, c := range s.Columns {
		cell := c + " " + row.Before[i]
		if len(row.After) > 0 && i > 0 {
			if row.Before[i] == row.After[i] {
				continue
			}
			cell += " → " + row.After[i]
		}
		if len(cells) == maxCells {
			more++
			continue
		}
		cells = append(cells, cell)
	}
	line := head + s.Relation + ": " + strings.Join(cells, ", ")
	if more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	if runes := []rune(Visible(line)); len(runes) > maxRowLine {
		return string(runes[:maxRowLine]) + "…"
	}
	return Visible(line)
}
