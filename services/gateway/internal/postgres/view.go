package postgres

import (
	"maps"
	"slices"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
)

// view is the target's catalog as one statement sees it: with the tables that its
// own transaction has made, which a catalog that is read from outside of it does
// not show.
type view struct {
	snapshot *catalog.Snapshot
	masks    *pgfacts.Masks // in that catalog
	// fresh are the tables' names, unqualified; false where one is made that is not
	// all known, or several.
	fresh map[string]bool
}

// has reports a name that is known although the transaction has made what has it.
func (v *view) has(name string) bool { return v.fresh[name] }

// viewed is the last view of a session's open transaction, and of what.
type viewed struct {
	view
	base  *catalog.Snapshot
	under *pgfacts.Masks
	after *relations
}

// view returns what the next statement sees of a snapshot, behind what the open
// transaction has changed.
func (s *session) view(base *catalog.Snapshot, masks *pgfacts.Masks, after *relations) view {
	out := view{snapshot: base, masks: masks}
	if !after.made() {
		s.seen = viewed{}
		return out
	}
	if s.seen.base == base && s.seen.under == masks && s.seen.after == after {
		return s.seen.view
	}
	var all []*pgfacts.Fresh
	for r := after; r != nil; r = r.before {
		all = append(all, r.fresh)
	}
	for _, t := range slices.Backward(all) {
		out = s.with(out, t)
	}
	s.seen = viewed{out, base, masks, after}
	return out
}

// with adds a table to a view, unless masks concern it: what is compared with
// their columns the catalog has to say. nil adds none.
func (s *session) with(v view, t *pgfacts.Fresh) view {
	if t == nil || v.snapshot.Catalog == nil {
		return v
	}
	_, again := v.fresh[t.Name()]
	next := view{fresh: maps.Clone(v.fresh), snapshot: v.snapshot.With(t)}
	if next.fresh == nil {
		next.fresh = map[string]bool{}
	}
	if next.masks = masksIn(next.snapshot, s.gate.Masks()); again || next.masks.Concerns(t) {
		next.snapshot, next.masks = v.snapshot, v.masks
		next.fresh[t.Name()] = false
		return next
	}
	next.fresh[t.Name()] = true
	return next
}
