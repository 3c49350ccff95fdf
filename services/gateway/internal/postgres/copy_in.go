package postgres

import (
	"crypto/rand"
	"fmt"
	"math"
	"strings"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// copyInBegan handles a CopyInResponse: the target wants the client's data.
func (s *session) copyInBegan(h wire.Header, e *expectation) error {
	r, m, message, err := s.copyResponse(h, e)
	if err != nil {
		return err
	}
	if r.copy != nil && !r.copy.From {
		return unexpected(h)
	}
	if e.failure == nil {
		e.failure = s.inspectCopy(r, m)
	}
	if e.failure != nil {
		return s.writeUp(wire.AppendCopyFail(nil, "the gateway cannot read the data"))
	}
	s.send(message)
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	p.copying, p.copyData, p.abort, p.abortedBy, p.strays = e, false, "", nil, 0
	p.moved.Broadcast()
	return nil
}

// writeUp writes to the target from the goroutine that serves it.
func (s *session) writeUp(message []byte) error {
	err := s.write(message)
	if err == nil {
		err = s.up.out.Flush()
	}
	if err != nil {
		return fmt.Errorf("postgres: copy: %w", err)
	}
	return nil
}

// copying returns the command whose data the target wants of the client, nil
// where there is none.
func (s *session) copying() *run {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.copying == nil || p.over {
		return nil
	}
	return p.copying.run()
}

// takeCopy handles a message while the target wants the data of a COPY, or
// wanted it when the gateway last heard: what fails on its side is known here
// later. All that is forwarded in this state is harmless in any other one.
func (s *session) takeCopy(h wire.Header, r *run) error {
	switch h.Type {
	case wire.CopyData:
		return s.copyIn(h, r)
	case wire.CopyDone, wire.CopyFail:
		message, err := s.in.Message(h, maxControl)
		if err != nil {
			return violation(err)
		}
		if cause := r.copyEnds(h.Type); cause != nil {
			return s.refuseCopy(cause)
		}
		s.endCopyIn("", nil)
		return s.write(message)
	case wire.Sync:
		return s.strayed(h)
	case wire.Flush:
		return s.skip(h)
	}
	// The target would end the connection, unless it has given up the COPY by
	// itself: then the message is one as any other.
	reason := "gatestay " + rand.Text()
	s.endCopyIn(reason, nil)
	if err := s.write(wire.AppendCopyFail(nil, reason)); err != nil {
		return err
	}
	_ = s.settle()
	p := s.pipeline
	p.mu.Lock()
	aborted := p.abort == ""
	p.mu.Unlock()
	if aborted {
		return violation(fmt.Errorf("message type %q in the data of a COPY", h.Type))
	}
	return s.take(h)
}

// endCopyIn says that the client has sent all its data: what comes next waits
// for the target's answer.
func (s *session) endCopyIn(abort string, cause error) {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	p.copying, p.abort, p.abortedBy = nil, abort, cause
}

// abortedCopy reports that an error of the target answers the gateway's own
// CopyFail, and why that was sent.
func (s *session) abortedCopy(message string) (aborted bool, cause error) {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.abort == "" || !strings.Contains(message, p.abort) {
		return false, nil
	}
	p.abort = ""
	return true, p.abortedBy
}

// copyIn forwards data: whole messages as they came, a huge one as several, so
// that none is ever left unfinished.
func (s *session) copyIn(h wire.Header, r *run) error {
	s.pipeline.mu.Lock()
	s.pipeline.copyData = true
	s.pipeline.mu.Unlock()
	if block, n := s.in.Frames(wire.CopyData, math.MaxInt); n > 0 {
		r.taken.Add(int64(len(block)))
		if cause := r.inspect(block); cause != nil {
			return s.refuseCopy(cause)
		}
		return s.write(block)
	}
	var cause error
	err := s.pieces(s.in, h, func(message []byte) error {
		r.taken.Add(int64(len(message)))
		if cause == nil {
			cause = r.inspect(message)
		}
		if cause != nil { // the rest of the message is dropped
			return nil
		}
		return s.write(message)
	})
	if err == nil && cause != nil {
		err = s.refuseCopy(cause)
	}
	return err
}

// pieces takes a CopyData as several smaller ones.
func (s *session) pieces(in *wire.Reader, h wire.Header, to func([]byte) error) error {
	header := 5 // the type and the length
	var message []byte
	err := in.Stream(h, func(piece []byte) error {
		n := min(header, len(piece))
		header -= n
		message = wire.AppendCopyData(message[:0], func(dst []byte) []byte { return append(dst, piece[n:]...) })
		if len(message) == 0 {
			return nil
		}
		return to(message)
	})
	if err != nil {
		return fmt.Errorf("postgres: copy: %w", err)
	}
	return nil
}
