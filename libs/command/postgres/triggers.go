package postgres

import (
	"github.com/gatestay/gatestay/libs/command"
)

// The events of Trigger.
const (
	firesInsert int16 = 1 << (iota + 2)
	firesDelete
	firesUpdate
	firesTruncate
)

// triggers names the functions that a write may fire: those of the relations that
// it writes, of their partitions and heirs, and of what foreign keys change along.
// What these functions do themselves is not looked into. named are the objects that
// the statement itself names.
func (r *resolver) triggers(named []command.Object) {
	if len(r.written) == 0 {
		return
	}
	events := r.fires(named)
	var out set[string]
	for _, rel := range r.written {
		own := events
		list := []uint32{rel.OID}
		if rel.view != nil { // writing a view writes what is below it
			for _, b := range rel.below() {
				list = append(list, b.OID)
			}
		}
		for _, oid := range list {
			list = append(list, r.catalog.descendants(oid)...)
			if b := r.catalog.byOID[oid]; b != nil && b.Kind == 'p' && own&firesUpdate != 0 {
				own |= firesInsert | firesDelete // a row that moves to another partition
			}
		}
		for _, oid := range list {
			r.fired(oid, own, &out)
			switch {
			case own&(firesDelete|firesUpdate) != 0:
				for _, child := range closure(oid, r.catalog.cascades) {
					r.fired(child, firesDelete|firesUpdate, &out)
				}
			case own == firesTruncate && r.f.IsUnknown("objects"): // CASCADE: whatever the foreign keys say
				for _, child := range closure(oid, r.catalog.referring) {
					r.fired(child, firesTruncate, &out)
				}
			}
		}
	}
	r.f.Triggers = out.list
}

func (r *resolver) fired(oid uint32, events int16, out *set[string]) {
	rel := r.catalog.byOID[oid]
	if rel == nil {
		return
	}
	for _, t := range rel.Triggers {
		if t.Events&events != 0 {
			out.add(t.Function.Schema + "." + t.Function.Name)
		}
	}
}

// referring are the relations that have a foreign key to one.
func (c *Catalog) referring(oid uint32) []uint32 {
	var out []uint32
	if rel := c.byOID[oid]; rel != nil {
		for _, col := range rel.Columns {
			for _, ref := range c.references[ColumnRef{oid, col.Number}] {
				out = append(out, ref.OID)
			}
		}
	}
	return out
}

// fires are the events of a statement: of one whose parts may be several, all.
func (r *resolver) fires(named []command.Object) int16 {
	writes := 0
	for _, o := range named {
		if o.Access == command.Write {
			writes++
		}
	}
	switch {
	case r.f.Verb == "truncate":
		return firesTruncate
	case writes == 1 && (r.f.Verb == "insert" || r.f.Verb == "copy") && !r.f.Changes:
		return firesInsert
	case writes == 1 && r.f.Verb == "insert":
		return firesInsert | firesUpdate
	case writes == 1 && r.f.Verb == "update":
		return firesUpdate
	case writes == 1 && r.f.Verb == "delete":
		return firesDelete
	}
	return firesInsert | firesDelete | firesUpdate
}
