package postgres

import (
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// track follows what forwarded commands may have done to the session, so that
// the target is asked again before it matters. Guarded by pipeline.mu.
type track struct {
	// known: the state that was last asked is the present one.
	known bool
	// moved: the open transaction changed the state, so that its end may change
	// it back.
	moved bool
	// suspect: a prepared statement may mean something else than was parsed.
	suspect bool
	// dirty: the open transaction has written or locked something.
	dirty bool
	// redefined: what the open transaction did to definitions, which a catalog
	// that is read from outside of it does not show.
	redefined redefinition
	// doubtful: it ran code of the target's, which may have done that too.
	doubtful bool
	hearsay  hearsay
	// tx is the transaction's state once all that was forwarded has run.
	tx byte
	// draining: the session ends as soon as it is idle.
	draining bool
}

// admitted notes a command that may take locks from now on.
func (t *track) admitted(f *command.Facts) {
	if !reads(f.Class) {
		t.dirty = true
	}
}

// forwarded notes a command that will run.
func (t *track) forwarded(f *command.Facts, text string) {
	if touchesNames(f) {
		t.suspect = true
	}
	t.hearsay.forwarded(f, text)
	t.redefined = t.redefined.after(f)
	if undoes(f) {
		t.redefined = t.redefined.unsure()
	}
	t.doubtful = t.doubtful || f.Class == command.Write && !f.Neutral
	switch f.Transaction {
	case "begin":
		t.tx = wire.InTransaction
	case "commit", "rollback":
		if !chained(text) {
			t.tx = wire.Idle
		}
		t.known = t.known && !t.moved // it may take back, or end, what moved it
	case "rollback to":
		t.known = t.known && !t.moved
	case "savepoint", "release":
	default:
		if !f.Neutral {
			t.known, t.moved = false, true
		}
	}
}

// undoes reports a command that may take back what its transaction has made.
func undoes(f *command.Facts) bool {
	switch f.Transaction {
	case "", "begin", "savepoint", "release":
		return false
	}
	return true
}

// settled notes what the target says when all was answered. It reports whether
// definitions have changed for good, or may have by what the target ran itself.
func (t *track) settled(tx byte) (redefined, doubtful bool) {
	t.tx = tx
	if tx != wire.Idle {
		return false, false
	}
	redefined, doubtful = t.redefined != redefinition{}, t.doubtful
	t.known = t.known && !t.moved
	t.moved, t.dirty, t.redefined, t.doubtful = false, false, redefinition{}, false
	return redefined, doubtful
}

// chained reports COMMIT or ROLLBACK AND CHAIN. A comment between the words
// hides it until the target says how it is.
func chained(text string) bool {
	words := strings.Fields(strings.ToLower(strings.TrimRight(text, "; \t\r\n")))
	n := len(words)
	return n >= 2 && words[n-1] == "chain" && words[n-2] == "and"
}
