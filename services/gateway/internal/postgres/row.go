package postgres

import (
	"fmt"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

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
		return s.maskRows(h, e, r, sh)
	}
	if !r.room(wire.FrameSize(h)) {
		s.overLimit(e, r)
		return s.dropRow(h)
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
	block, n := s.up.in.Frames(wire.DataRow, r.most())
	if n > 0 {
		r.sent += int64(n)
		r.bytes += int64(len(block))
		s.send(block)
		return nil
	}
	r.sent++
	r.bytes += int64(wire.FrameSize(h))
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

// maskRows rewrites the cells that a rule touches, of all rows that have come.
func (s *session) maskRows(h wire.Header, e *expectation, r *run, sh *shape) error {
	block, n := s.up.in.Frames(wire.DataRow, r.most())
	if n == 0 { // the rest of it is on its way
		var err error
		if block, err = s.up.in.Message(h, s.server.limits.Row); err != nil {
			return tooLongRow(err)
		}
		n = 1
	}
	if s.silent.Load() {
		r.sent += int64(n)
		return nil
	}
	malformed, over := false, false
	err := s.out.Append(func(dst []byte) []byte {
		before := len(dst)
		out, err := wire.MaskDataRows(dst, block, sh.touched, sh.mask)
		if malformed = err != nil; malformed {
			return dst // nothing of what does not fit passes
		}
		if over = !r.room(len(out) - before); over {
			return dst
		}
		r.bytes += int64(len(out) - before)
		return out
	})
	if malformed {
		return unexpected(h)
	}
	if over {
		s.overLimit(e, r)
		return nil
	}
	if err != nil {
		s.lose(s.pipeline.pending())
	}
	r.sent += int64(n)
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
