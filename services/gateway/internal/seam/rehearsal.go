package seam

import (
	"cmp"
	"slices"
	"time"
)

// Rehearsal is what a command has changed, as the target counts it: in a
// transaction that was rolled back, or in its own, before that is committed.
type Rehearsal struct {
	Unknown  string   // why it is not known, in words; empty where it is
	Changed  []Effect // insert, update and delete, over all tables, whatever changed them
	Duration time.Duration
	// Alone is why a run could not be measured in the same way, in words; empty
	// where it could be.
	Alone string
	// Sample is some of the rows, nil for none; Unsampled why, in words, where that is
	// worth telling.
	Sample    *Sample
	Unsampled string
	// Sent reports that the command was sent to the target.
	Sent bool
}

// Sample is a few rows of the table that a command changes. Values are as they may be
// shown: cut, in quotes and escaped; NULL and what stands for a masked value are not
// in quotes.
type Sample struct {
	Relation string
	Columns  []string
	Rows     []SampledRow
}

// SampledRow is one of them, by column; After is empty where it is deleted.
type SampledRow struct{ Before, After []string }

// Rows is how many rows were changed, over all tables.
func (r *Rehearsal) Rows() uint64 {
	var n uint64
	for _, e := range r.Changed {
		n += e.Rows
	}
	return n
}

// Tables are the names of the tables that were changed, in order.
func (r *Rehearsal) Tables() []string {
	var out []string
	for _, e := range r.Changed {
		out = append(out, e.Relation)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Sorted are the changes, the most rows first.
func (r *Rehearsal) Sorted() []Effect {
	return slices.SortedFunc(slices.Values(r.Changed), func(a, b Effect) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Relation, b.Relation), cmp.Compare(a.Verb, b.Verb))
	})
}
