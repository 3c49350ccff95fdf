package postgres

import (
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// statement is a prepared statement: what the client parsed under a name.
type statement struct {
	name string
	text *decoded
	// types of the parameters as far as the client gave them, then as the
	// target describes them.
	types []uint32
	// columns as the target described them, formats left open; a hint only,
	// since a plan may be made anew.
	columns []wire.Column
}

// portal is a statement bound to parameters: one admitted command.
type portal struct {
	name      string
	statement *statement
	run       *run // nil where the statement is empty
	formats   []int16
	group     uint64 // the group of messages that made it
	version   uint64 // of the session's state that it was admitted under
	handles   uint64 // of what names mean, then
	tx        byte
	// described: the target was asked for the shape of the result.
	described  bool
	shape      *shape
	executed   bool
	unanswered int  // Executes that were forwarded and not answered
	gone       bool // closed, replaced, or its transaction is over
}

// drop ends a portal: a command that was never executed, or not to its end,
// gets its outcome; one that is still being executed gets it with the answer.
func (p *portal) drop() {
	if p == nil {
		return
	}
	p.gone = true
	switch {
	case p.unanswered > 0:
	case p.run != nil && p.run.undecided: // its transaction's end tells
	case p.executed:
		p.run.finish(statusOK, "", "")
	default:
		p.run.finish(statusNotExecuted, "", "")
	}
}

// names are the prepared statements and portals of a session, as they will be
// once the target has taken all that was forwarded; what it then refuses is
// undone.
type names struct {
	statements map[string]*statement
	portals    map[string]*portal
	bytes      int // of the statements' texts
}

func newNames() names {
	return names{statements: map[string]*statement{}, portals: map[string]*portal{}}
}

func (n *names) put(st *statement) {
	n.forget(st.name)
	n.statements[st.name] = st
	n.bytes += len(st.text.text)
}

func (n *names) forget(name string) {
	if st := n.statements[name]; st != nil {
		n.bytes -= len(st.text.text)
		delete(n.statements, name)
	}
}

// prepare puts a statement under its name, and returns how to undo that.
func (n *names) prepare(st *statement) (undo func()) {
	before := n.statements[st.name]
	n.put(st)
	return func() {
		if n.statements[st.name] != st {
			return
		}
		n.forget(st.name)
		if before != nil {
			n.put(before)
		}
	}
}

// unprepare takes a name away.
func (n *names) unprepare(name string) (undo func()) {
	before := n.statements[name]
	n.forget(name)
	return func() {
		if _, ok := n.statements[name]; !ok && before != nil {
			n.put(before)
		}
	}
}

// bind puts a portal under its name.
func (n *names) bind(p *portal) (replaced *portal, undo func()) {
	before := n.portals[p.name]
	n.portals[p.name] = p
	return before, func() {
		if n.portals[p.name] != p {
			return
		}
		if before == nil || before.gone {
			delete(n.portals, p.name)
			return
		}
		n.portals[p.name] = before
	}
}

func (n *names) unbind(name string) (closed *portal, undo func()) {
	before := n.portals[name]
	delete(n.portals, name)
	return before, func() {
		if _, ok := n.portals[name]; !ok && before != nil && !before.gone {
			n.portals[name] = before
		}
	}
}

// endTransaction drops the portals that were made up to a group of messages:
// none outlives its transaction.
func (n *names) endTransaction(group uint64) {
	for name, p := range n.portals {
		if p.group <= group {
			delete(n.portals, name)
			p.drop()
		}
	}
}

// forgetPortals makes the gateway ignorant of all portals: SQL may have put
// another cursor under one of their names.
func (n *names) forgetPortals() {
	for name, p := range n.portals {
		delete(n.portals, name)
		p.drop()
	}
}

// plainVerbs are those whose statements do not touch cursors or prepared
// statements by name.
var plainVerbs = map[string]bool{
	"select": true, "insert": true, "update": true, "delete": true, "merge": true, "values": true, "table": true,
	"begin": true, "savepoint": true, "copy": true, "fetch": true, "move": true, "execute": true, "release": true, "show": true, "explain": true, "set": true,
}

// touchesNames reports that a statement may change what a portal's name means.
func touchesNames(f *command.Facts) bool {
	return f.Class == command.Unknown || !plainVerbs[f.Verb]
}

// named counts the prepared statements that have a name.
func (n *names) named() int {
	if n.statements[""] != nil {
		return len(n.statements) - 1
	}
	return len(n.statements)
}

// boundIn reports a portal that was made in a group of messages.
func (n *names) boundIn(group uint64) bool {
	for _, p := range n.portals {
		if p.group == group {
			return true
		}
	}
	return false
}
