package postgres

import (
	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// handles are the cursors that SQL has declared and the statements that it has
// prepared, as far as it is certain what their names mean: they were given by
// statements that the target has said to have run, and nothing has run since that
// could have given them otherwise without being seen. Guarded by pipeline.mu.
type handles struct {
	known map[handle]*given
	// version changes with each name, epoch when all are forgotten.
	version, epoch uint64
	// coded: the open transaction has run code of the target's own, which may run
	// again at its end.
	coded bool
}

// maxHandles bounds the names; more of them are unknown.
const maxHandles = 1024

type handle struct {
	cursor bool
	name   string
}

// given is the statement that gave a name its query.
type given struct {
	statement pgfacts.Statement // with the facts as they were read
	// facts are as they were resolved then: a cursor's query means what its names
	// meant when it was declared. A prepared statement is planned anew.
	facts *command.Facts
	epoch uint64
}

// disturbs reports a command that may run code which gives names unseen.
func disturbs(f *command.Facts) bool {
	switch f.Class {
	case command.Read, command.Session:
		return f.Verb == "set constraints"
	case command.Write:
		return !f.Neutral
	case command.DDL, command.Admin, command.Unknown:
	}
	return true
}

// forwarded notes a command that will run.
func (h *handles) forwarded(r *run) {
	ends := r.facts.Transaction == "commit" || r.facts.Transaction == "rollback"
	switch {
	case disturbs(r.facts):
		h.forget()
		h.coded = true
	case ends && h.coded:
		h.forget()
		h.coded = false
	case r.gives != nil:
		r.gives.epoch = h.epoch
	}
}

// idle notes that the target has no open transaction any more. settled says that
// it has answered all that was forwarded.
func (h *handles) idle(settled bool) {
	if h.coded {
		h.forget()
	}
	h.coded = h.coded && !settled
}

func (h *handles) forget() {
	h.known = nil
	h.version++
	h.epoch++
}

// completed notes that a command has ended well.
func (h *handles) completed(r *run) {
	if r == nil || r.gives == nil {
		return
	}
	name := handle{r.gives.statement.Handle.Cursor, r.gives.statement.Handle.Name}
	h.version++
	delete(h.known, name)
	if r.gives.epoch != h.epoch || len(h.known) >= maxHandles {
		return
	}
	if h.known == nil {
		h.known = map[handle]*given{}
	}
	h.known[name] = r.gives
}

// taken notes that the protocol gives a name to something of its own.
func (h *handles) taken(cursor bool, name string) {
	if name != "" {
		delete(h.known, handle{cursor, name})
		h.version++
	}
}

// uses reports a text with a statement that uses a query by its name.
func (d *decoded) uses() bool {
	for i := range d.statements {
		if h := d.statements[i].Handle; h != nil && !h.Defines {
			return true
		}
	}
	return false
}

// givenBy returns what statement i of a text uses by its name, nil where that is
// not certain. facts are those of the statements before it, resolved.
func (s *session) givenBy(d *decoded, facts []command.Facts, i int) *given {
	use := d.statements[i].Handle
	if use == nil || use.Defines {
		return nil
	}
	for j := i - 1; j >= 0; j-- {
		if disturbs(&facts[j]) {
			return nil
		}
		if g := d.statements[j].Handle; g != nil && g.Defines && g.Cursor == use.Cursor && g.Name == use.Name {
			return &given{statement: d.statements[j], facts: &facts[j]}
		}
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	return s.handles.known[handle{use.Cursor, use.Name}]
}

// used returns a statement that uses a query by its name as what it does, with
// what its text is in full.
func (s *session) used(d *decoded, facts []command.Facts, i int) (pgfacts.Statement, bool) {
	g := s.givenBy(d, facts, i)
	if g == nil {
		return pgfacts.Statement{}, false
	}
	out := d.statements[i]
	source := g.statement.Facts
	if g.statement.Handle.Cursor {
		source = *g.facts
	}
	var ok bool
	out.Text, out.Facts, ok = pgfacts.Referred(&d.statements[i], g.statement.Text, source)
	return out, ok
}

// gives is what a command gives a name to, nil for most.
func (d *decoded) gives(facts []command.Facts, i int) *given {
	if d.unreadable != nil || d.statements[i].Handle == nil || !d.statements[i].Handle.Defines {
		return nil
	}
	return &given{statement: d.statements[i], facts: &facts[i]}
}
