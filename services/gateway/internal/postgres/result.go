package postgres

import (
	"fmt"
	"math"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// shape is what the rows of a result look like, and what is done to them.
type shape struct {
	masker  seam.Masker // nil: rows pass as they are
	touched []bool
	err     error // the rows must not pass
}

// shape makes the masker for a result of a command.
func (s *session) shape(r *run, columns []wire.Column, formats []int16) *shape {
	masker, err := r.permit.Result(s.columns(r, columns, formats))
	if err != nil || masker == nil {
		return &shape{err: err}
	}
	sh := &shape{masker: masker, touched: make([]bool, len(columns))}
	for i := range sh.touched {
		sh.touched[i] = !masker.Untouched(i)
	}
	return sh
}

// foretold reports that masking fits the result as its statement was described
// earlier, so that there is no need to wait for the portal's own description.
// That still decides when it comes.
func (s *session) foretold(p *portal) bool {
	s.pipeline.mu.Lock()
	columns := p.statement.columns
	s.pipeline.mu.Unlock()
	return columns != nil && s.shape(p.run, columns, p.formats).err == nil
}

// rowDescription handles the shape of a result that is to come, or of a
// statement.
func (s *session) rowDescription(h wire.Header, e *expectation) error {
	message, err := s.up.in.Message(h, maxShape)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	columns, err := wire.DecodeRowDescription(message[len(message)-h.Length:])
	if err != nil {
		return unexpected(h)
	}
	switch {
	case e.kind == ofQuery && !e.told && e.at < len(e.runs):
		return s.simpleResult(e, columns, message)
	case e.kind != ofDescribe:
		return unexpected(h)
	}
	if p := e.portal; p != nil && p.run != nil {
		if err := s.release(p.run); err != nil {
			return err
		}
		sh := s.shape(p.run, columns, p.formats)
		s.pipeline.mu.Lock()
		p.shape = sh
		s.pipeline.mu.Unlock()
	}
	if e.inquiry == nil {
		s.send(message)
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	if e.named && e.statement != nil {
		e.statement.columns = columns
	}
	s.pipeline.pop()
	return nil
}

// simpleResult begins a result of a Query.
func (s *session) simpleResult(e *expectation, columns []wire.Column, message []byte) error {
	r := e.runs[e.at]
	if err := s.release(r); err != nil {
		return err
	}
	if e.failure != nil {
		return nil
	}
	e.shape = s.shape(r, columns, nil)
	if e.shape.err != nil {
		s.giveUp(e, e.shape.err)
		return nil
	}
	s.send(message)
	return nil
}

func (s *session) noData(h wire.Header, e *expectation) error {
	if e.kind != ofDescribe {
		return unexpected(h)
	}
	message, err := s.up.in.Message(h, 0)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	if e.inquiry == nil {
		s.send(message)
	}
	s.pop()
	return nil
}

func (s *session) parameterDescription(h wire.Header, e *expectation) error {
	if e.kind != ofDescribe || !e.named {
		return unexpected(h)
	}
	message, err := s.up.in.Message(h, maxShape)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	types, err := wire.DecodeParameterDescription(message[len(message)-h.Length:])
	if err != nil {
		return unexpected(h)
	}
	s.send(message)
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	if e.statement != nil {
		e.statement.types = types
	}
	return nil
}

// row handles a DataRow, and those behind it that have come already.
func (s *session) row(h wire.Header, e *expectation) error {
	if e.kind != ofQuery && e.kind != ofExecute || e.told {
		return unexpected(h)
	}
	if e.inquiry != nil {
		return s.ownRow(h, e)
	}
	r := e.run()
	sh := s.shapeOf(e)
	if r == nil || sh == nil && e.failure == nil {
		return unexpected(h)
	}
	if e.failure != nil || e.cut {
		return s.dropRow(h)
	}
	if sh.err != nil {
		return fmt.Errorf("postgres: result: %w", sh.err)
	}
	if err := s.release(r); err != nil {
		return err
	}
	if r.limit > 0 && r.sent >= r.limit {
		s.overLimit(e, r)
		return s.dropRow(h)
	}
	if sh.masker != nil {
		return s.maskRow(h, r, sh)
	}
	return s.passRows(h, r)
}

func (s *session) shapeOf(e *expectation) *shape {
	if e.portal == nil {
		return e.shape
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	return e.portal.shape
}

func (s *session) dropRow(h wire.Header) error {
	if err := s.up.in.Skip(h); err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	return nil
}

// passRows forwards whole blocks of rows as they came. A row larger than any
// buffer goes through in pieces.
func (s *session) passRows(h wire.Header, r *run) error {
	most := math.MaxInt
	if r.limit > 0 {
		most = int(r.limit - r.sent)
	}
	block, n := s.up.in.Frames(wire.DataRow, most)
	if n > 0 {
		r.sent += int64(n)
		r.bytes += int64(len(block))
		s.send(block)
		return nil
	}
	r.sent++
	r.bytes += int64(h.Length)
	if h.Length < wire.MaxBuffer { // the rest of it is on its way
		message, err := s.up.in.Message(h, wire.MaxBuffer)
		if err != nil {
			return fmt.Errorf("postgres: target: %w", err)
		}
		s.send(message)
		return nil
	}
	err := s.out.Exclusive(func(write func([]byte) error) error {
		return s.up.in.Stream(h, func(piece []byte) error {
			if s.silent.Load() {
				return nil
			}
			_ = write(piece) // its error sticks, and shows at the next flush
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	return nil
}

// maskRow rewrites the cells that a rule touches.
func (s *session) maskRow(h wire.Header, r *run, sh *shape) error {
	body, err := s.up.in.Body(h, s.server.limits.Row)
	if err != nil {
		return tooLongRow(err)
	}
	s.cells, err = wire.DecodeDataRow(s.cells[:0], body)
	if err != nil || len(s.cells) != len(sh.touched) {
		return unexpected(h)
	}
	for i, touched := range sh.touched {
		if touched && s.cells[i] != nil {
			s.cells[i], _ = sh.masker.Mask(i, s.cells[i])
		}
	}
	s.scratch = wire.AppendDataRow(s.scratch[:0], s.cells)
	r.sent++
	r.bytes += int64(len(s.scratch))
	s.send(s.scratch)
	if cap(s.scratch) > maxAhead {
		s.scratch = nil
	}
	return nil
}

func tooLongRow(err error) error {
	return fmt.Errorf("%w: %w", &refusal.Refusal{
		Code: refusal.LimitReached, Message: "a row is longer than this gateway can mask", Hint: "Select fewer, or shorter, columns.",
	}, err)
}

func (s *session) ownRow(h wire.Header, e *expectation) error {
	body, err := s.up.in.Body(h, maxReport)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	cells, err := wire.DecodeDataRow(nil, append([]byte(nil), body...))
	if err != nil || e.inquiry.row != nil {
		return unexpected(h)
	}
	e.inquiry.row = cells
	return nil
}

// overLimit ends a result at its row limit. A read fails, so that nobody takes
// a part for the whole; what has been written is written, so there only the
// rows that tell of it are cut.
func (s *session) overLimit(e *expectation, r *run) {
	if !reads(r.facts.Class) {
		e.cut = true
		return
	}
	s.giveUp(e, &refusal.Refusal{
		Code: refusal.LimitReached, Message: fmt.Sprintf("the result has more than the %d rows that the rule allows", r.limit),
		Hint: fmt.Sprintf("Add LIMIT %d, or aggregate.", r.limit),
	})
}

func cutNotice(limit int64) wire.Report {
	return notice(seam.Notice{Code: string(refusal.LimitReached), Message: fmt.Sprintf("the command took effect; of the rows it returned, %d are shown", limit)})
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
	s.sendReport(wire.ErrorResponse, report(e.failure, severityError))
	if e.kind == ofQuery {
		s.takeBack(e, codeOf(e.failure), "")
		return nil // its ReadyForQuery tells whether there is a transaction to fail
	}
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
