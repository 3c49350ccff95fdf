package command

import "slices"

// Same reports that two readings of one text say that it does the same, to the
// same things: so much of the facts as depends on what names mean. The order
// of lists says nothing.
func (f *Facts) Same(g *Facts) bool {
	return f.Class == g.Class && f.Verb == g.Verb && f.Neutral == g.Neutral && f.Changes == g.Changes && f.Catalog == g.Catalog &&
		sameSet(f.Copies, g.Copies) && f.WholeRow == g.WholeRow &&
		sameSet(f.Objects, g.Objects) && sameSet(f.Columns, g.Columns) && sameSet(f.Unknown, g.Unknown) && sameSet(f.Functions, g.Functions) &&
		sameSet(f.Compared, g.Compared) && sameSet(f.Triggers, g.Triggers)
}

func sameSet[T comparable](a, b []T) bool {
	within := func(a, b []T) bool {
		return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
	}
	return within(a, b) && within(b, a)
}
