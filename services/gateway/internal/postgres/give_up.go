package postgres

import (
	"fmt"
	"slices"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// room reports that so many more bytes of a result may go to the client.
func (r *run) room(bytes int) bool { return r.maxBytes == 0 || r.bytes+int64(bytes) <= r.maxBytes }

// overLimit ends a result at its limit of rows or bytes. A read fails, so that nobody takes
// a part for the whole; what has been written is written, so there only the
// rows that tell of it are cut.
func (s *session) overLimit(e *expectation, r *run) {
	if !reads(r.facts.Class) {
		e.cut = true
		return
	}
	if r.limit == 0 || r.sent < r.limit {
		s.giveUp(e, &refusal.Refusal{
			Code: refusal.LimitReached, Message: fmt.Sprintf("the result has more than the %d bytes that the rule allows", r.maxBytes),
			Hint: "Select fewer columns or rows, or aggregate.",
		})
		return
	}
	s.giveUp(e, &refusal.Refusal{
		Code: refusal.LimitReached, Message: fmt.Sprintf("the result has more than the %d rows that the rule allows", r.limit),
		Hint: fmt.Sprintf("Add LIMIT %d, or aggregate.", r.limit),
	})
}

func cutNotice(shown int64) wire.Report {
	return notice(seam.Notice{Code: string(refusal.LimitReached), Message: fmt.Sprintf("the command took effect; of the rows it returned, %d are shown", shown)})
}

// giveUp drops the rest of a result and lets the target stop early.
func (s *session) giveUp(e *expectation, cause error) {
	e.failure = cause
	p := s.pipeline
	p.mu.Lock()
	p.cancels++ // nothing is forwarded meanwhile, so that nothing else is hit
	p.mu.Unlock()
	s.background.Go(func() {
		if err := s.up.cancel(); err != nil {
			s.log.Debug().Err(err).Msg("cancelling on the target failed")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cancels--
		p.moved.Broadcast()
	})
}

// tooLate handles a statement that ended well although its client gets an
// error: the target did not hear the cancel in time, so its transaction is made
// to fail.
func (s *session) tooLate(e *expectation, r *run) error {
	if e.kind == ofQuery {
		if !e.late && !e.whole {
			r.finish(statusError, codeOf(e.failure), "")
		}
		e.late = true
		return nil // what is behind it in the text may run: the Query's end tells
	}
	s.sendReport(wire.ErrorResponse, report(e.failure, severityError))
	p := s.pipeline
	p.mu.Lock()
	e.portal.unanswered--
	r.finish(statusError, codeOf(e.failure), "")
	p.pop()
	ok := p.push(&expectation{kind: ofParse, mute: true})
	p.barrier = true
	p.mu.Unlock()
	if !ok {
		return errOver
	}
	return s.mark(ofParse, wire.Flush)
}

// ranWhole tells the client of a Query that failed here and ended well on the
// target, which the cancel did not reach in time: what was in its text besides
// has run. Where it did more than read and is not in a transaction that can be
// made to fail, the error says so.
func (s *session) ranWhole(e *expectation, tx byte) {
	failed := report(e.failure, severityError)
	if tx == wire.Idle && slices.ContainsFunc(e.runs, func(r *run) bool { return r.facts.Class != command.Read }) {
		for i := range failed {
			if failed[i].Code == wire.FieldDetail {
				failed[i].Value = "The target had run the whole text by then, and it took effect.\n" + failed[i].Value
			}
		}
	}
	s.sendReport(wire.ErrorResponse, failed)
	e.told = true
	if e.whole {
		e.run().finish(statusError, codeOf(e.failure), "the target had run the whole text")
	}
}

// failTransaction fails the transaction of a Query that ended too late.
func (s *session) failTransaction(e *expectation) error {
	p := s.pipeline
	p.mu.Lock()
	for _, r := range e.runs {
		r.finish(statusNotExecuted, "", "")
	}
	p.pop()
	ok := p.push(&expectation{kind: ofQuery, mute: true})
	p.mu.Unlock()
	if !ok {
		return errOver
	}
	return s.mark(ofQuery, 0)
}

// mark writes a marker from the goroutine that serves the target. The client's
// one is waiting at the barrier.
func (s *session) mark(k kind, then byte) error {
	err := s.up.out.Append(func(dst []byte) []byte {
		dst = appendMarker(dst, k, ownName)
		if then != 0 {
			dst = wire.AppendEmpty(dst, then)
		}
		return dst
	})
	if err == nil {
		err = s.up.out.Flush()
	}
	if err != nil {
		return fmt.Errorf("postgres: mark: %w", err)
	}
	return nil
}
