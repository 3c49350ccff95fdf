package postgres

import (
	"slices"
	"sync"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// kind says what the target answers a forwarded message with.
type kind int

const (
	ofQuery    kind = iota // results of each statement, then ReadyForQuery
	ofParse                // ParseComplete
	ofBind                 // BindComplete
	ofDescribe             // ParameterDescription, RowDescription or NoData
	ofExecute              // rows, then CommandComplete or PortalSuspended
	ofClose                // CloseComplete
	ofSync                 // ReadyForQuery
)

// expectation is one forwarded message that the target has still to answer.
type expectation struct {
	kind kind
	// inquiry is set where the gateway asked on its own: the answer is not for
	// the client.
	inquiry *inquiry
	// refused is set on a marker: what to say in place of the target's error.
	refused error
	// mute is set on a marker that fails a transaction whose client has its
	// error already.
	mute bool

	// instead is what the client gets for the answer to an empty Query.
	instead []byte

	runs []*run // of a Query, one a statement; of an Execute or Bind, one
	at   int    // the statement of a Query that is being answered
	// whole is set where a Query's text could not be split into statements: one
	// run stands for all of it.
	whole bool
	// call is set where it is a FunctionCall, returned once its result came.
	call, returned bool

	portal    *portal
	statement *statement // of a Describe
	// replaced is the portal that a Bind or Close puts an end to.
	replaced *portal
	shape    *shape // of the rows that come
	copy     *copyOut
	named    bool   // a Describe of a statement, not of a portal
	group    uint64 // of a Query or Sync: which one of the session
	// implicit is set on a Query that runs in a transaction of its own.
	implicit bool
	stray    *stray
	undo     func() // takes back what the message would have done to names
	// lasting is set where that remains when the message fails: the target drops
	// the unnamed statement before it reads a new one.
	lasting bool

	// failure is what the client gets in place of the rest of the result.
	failure error
	// late is set on a Query once the statement that failure belongs to has ended
	// well on the target, which goes on with the next.
	late  bool
	cut   bool // rows above a limit were left out
	first bool // of an Execute: the portal's first
	// told is set when the client has its error and only ReadyForQuery is due.
	told bool
}

// run returns the command that is being answered, nil where there is none.
func (e *expectation) run() *run {
	switch {
	case e.portal != nil && e.portal.run != nil:
		return e.portal.run
	case e.at < len(e.runs):
		return e.runs[e.at]
	}
	return nil
}

// pipeline is what was forwarded to the target and is not yet answered, in
// order. The goroutine that serves the client pushes, the one that serves the
// target takes off.
type pipeline struct {
	mu    sync.Mutex
	moved sync.Cond // something was answered, or it is over
	queue []*expectation
	limit int

	// broken: a message of the extended protocol failed, and the target drops
	// what comes until Sync.
	broken bool
	// open: messages of the extended protocol were forwarded since the last Sync.
	open bool
	// executed: an Execute was among them, so that the target has begun a
	// transaction for the group.
	executed bool
	// barrier: nothing may be forwarded before all is answered.
	barrier bool
	// copying is the COPY whose data the target wants of the client.
	copying *expectation
	// copyData: data was forwarded for it, so that it may have failed already.
	copyData bool
	// abort is the text of the gateway's own CopyFail, while it is not answered, and
	// abortedBy why it was sent, nil for a message that has no place there.
	abort     string
	abortedBy error
	// strays is how many Syncs were forwarded in the middle of a COPY's data.
	strays int
	// cancels is how many requests to cancel are on their way to the target.
	cancels int
	group   uint64 // of the last Query or Sync
	over    bool
}

func newPipeline(limit int) *pipeline {
	p := &pipeline{limit: limit}
	p.moved.L = &p.mu
	return p
}

// push adds an expectation, or reports false where the target would drop the
// message, or all is over: it must not be forwarded then. The caller holds mu.
func (p *pipeline) push(e *expectation) bool {
	if p.over || (p.broken && e.kind != ofSync) {
		return false
	}
	switch e.kind {
	case ofSync:
		p.broken, p.open, p.executed = false, false, false
		p.group++
		e.group = p.group
	case ofQuery:
		p.barrier = true
		p.group++
		e.group = p.group
	case ofExecute:
		p.open, p.executed = true, true
	case ofParse, ofBind, ofDescribe, ofClose:
		p.open = true
	}
	p.queue = append(p.queue, e)
	return true
}

// front returns the expectation that the target answers now, or nil.
func (p *pipeline) front() *expectation {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	return p.queue[0]
}

// pop takes the front off. The caller holds mu.
func (p *pipeline) pop() {
	p.queue[0] = nil
	p.queue = p.queue[1:]
	if len(p.queue) == 0 {
		p.queue, p.barrier = p.queue[:0:0], false
	}
	p.moved.Broadcast()
}

// fail takes off the front, which failed, and all that the target drops
// because of it, and returns those. The caller holds mu.
func (p *pipeline) fail() (dropped []*expectation) {
	p.pop()
	for len(p.queue) > 0 && p.queue[0].kind != ofSync {
		dropped = append(dropped, p.queue[0])
		p.pop()
	}
	if len(p.queue) == 0 {
		p.broken = true
	}
	for i := len(dropped) - 1; i >= 0; i-- {
		if undo := dropped[i].undo; undo != nil {
			undo()
		}
	}
	p.moved.Broadcast()
	return dropped
}

// end makes everybody stop waiting.
func (p *pipeline) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.moved.Broadcast()
}

// full reports that more must not be forwarded before some is answered.
func (p *pipeline) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) >= p.limit
}

// transacts reports a command among what is forwarded that begins or ends a
// transaction, or a part of one. The caller holds mu.
func (p *pipeline) transacts() bool {
	return slices.ContainsFunc(p.queue, func(e *expectation) bool {
		if e.portal != nil && e.portal.run != nil && e.portal.run.facts.Transaction != "" {
			return true
		}
		return slices.ContainsFunc(e.runs, func(r *run) bool { return r.facts.Transaction != "" })
	})
}

// pending reports whether the target has something to answer.
func (p *pipeline) pending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) > 0
}

// marker is text that no version of PostgreSQL takes.
const marker = "gatestay refused a command here"

// appendMarker appends the message that stands in for a refused one. An
// extended one carries a name of its own, so that no statement of the client is
// dropped; a refused Parse drops what the target would have dropped.
func appendMarker(dst []byte, k kind, statement string) []byte {
	if k == ofQuery {
		return wire.AppendQuery(dst, marker)
	}
	return wire.AppendParse(dst, statement, marker)
}
