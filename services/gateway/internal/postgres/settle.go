package postgres

import (
	"errors"
	"fmt"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

var (
	errOver = errors.New("postgres: the session is over")
	// errDropped is no failure: the target drops what comes up to Sync, so the
	// message at hand is dropped here.
	errDropped = errors.New("postgres: dropped up to Sync")
)

// answered waits until the target has answered all that was forwarded, or wants
// the client's data. It reports false when the session is over.
func (s *session) answered() bool {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 && !p.over && p.copying == nil {
		p.moved.Wait()
	}
	return !p.over
}

// settle lets the target answer all that was forwarded. It returns errDropped
// where one of it failed, so that the target drops the message at hand, and
// errOver when the session is over.
func (s *session) settle() error {
	p := s.pipeline
	p.mu.Lock()
	waiting := len(p.queue) > 0
	p.mu.Unlock()
	if waiting {
		if err := s.up.out.Append(func(dst []byte) []byte { return wire.AppendEmpty(dst, wire.Flush) }); err != nil {
			return fmt.Errorf("postgres: flush: %w", err)
		}
		if err := s.up.out.Flush(); err != nil {
			return fmt.Errorf("postgres: flush: %w", err)
		}
		s.answered()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return errOver
	case p.broken:
		return errDropped
	}
	return nil
}

// forward pushes what the target will answer, and writes the message. It
// returns errDropped where the target would drop the message.
func (s *session) forward(e *expectation, message []byte, note func()) error {
	p := s.pipeline
	if p.full() {
		if err := s.settle(); err != nil && !errors.Is(err, errDropped) {
			return err
		}
	}
	p.mu.Lock()
	if !p.push(e) {
		over := p.over
		p.mu.Unlock()
		if over {
			return errOver
		}
		return errDropped
	}
	if note != nil {
		note()
	}
	p.mu.Unlock()
	return s.write(message)
}

func (s *session) write(message []byte) error {
	if _, err := s.up.out.Write(message); err != nil {
		return fmt.Errorf("postgres: forward: %w", err)
	}
	return nil
}

// refuse answers a message with an error, in its order: see the package's doc.
func (s *session) refuse(k kind, name string, cause error) error {
	e := &expectation{kind: ofParse, refused: cause}
	if k == ofQuery {
		e.kind = ofQuery
	}
	if k != ofParse {
		name = ownName
	}
	return s.forward(e, appendMarker(nil, k, name), func() {
		if k == ofParse && name == "" {
			e.undo, e.lasting = s.names.unprepare(""), true
		}
	})
}
