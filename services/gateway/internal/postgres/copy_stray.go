package postgres

import (
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// A Sync in the middle of a COPY FROM STDIN is ignored by the target, unless
// data before it has made the COPY fail: then it is answered as any other. The
// gateway does not know which of the two at the time. So it passes such a Sync
// on, and once the COPY has failed it asks in a way whose answer tells: a Sync of
// its own, and behind that a Close. The ReadyForQuery before the CloseComplete is
// its own; those before are the client's. A client that has terminated the session
// by then has no more to send, so that all answers are its own.

// stray is the state of that question.
type stray struct {
	ready  int    // how many ReadyForQuery have come
	own    []byte // the last of them, which may be the gateway's own
	broken bool   // the target drops messages, where it has answered none of the client's Syncs
	theirs bool   // the client has terminated: nothing was asked, and all answers are the client's
}

// strayed handles a Sync inside of a COPY.
func (s *session) strayed(h wire.Header) error {
	if err := s.skip(h); err != nil {
		return err
	}
	if err := s.up.out.Flush(); err != nil {
		return err //nolint:wrapcheck // wire's, wrapped already
	}
	p := s.pipeline
	p.mu.Lock()
	copying := p.copying != nil
	if copying && p.copyData {
		p.strays++
		// Under the lock, so that none is written behind the question.
		err := s.up.out.Append(func(dst []byte) []byte { return wire.AppendEmpty(dst, wire.Sync) })
		p.mu.Unlock()
		return err //nolint:wrapcheck // wire's, wrapped already
	}
	p.mu.Unlock()
	if copying {
		return nil
	}
	// It has failed meanwhile, and is known to have.
	s.passBarrier()
	return s.forward(&expectation{kind: ofSync}, wire.AppendEmpty(nil, wire.Sync), nil)
}

// askStrays puts the question, where there is one. The COPY has failed.
func (s *session) askStrays() error {
	p := s.pipeline
	p.mu.Lock()
	if p.strays == 0 || p.over {
		p.mu.Unlock()
		return nil
	}
	e := &expectation{kind: ofSync, stray: &stray{broken: p.broken}}
	p.strays, p.barrier = 0, true
	p.group++
	e.group = p.group
	p.queue = append(p.queue, e)
	if e.stray.theirs = s.left.Load(); e.stray.theirs {
		p.mu.Unlock()
		return nil
	}
	err := s.up.out.Append(func(dst []byte) []byte {
		dst = wire.AppendEmpty(dst, wire.Sync)
		dst = wire.AppendTarget(dst, wire.Close, wire.Statement, ownName)
		return wire.AppendEmpty(dst, wire.Flush)
	})
	p.mu.Unlock()
	if err == nil {
		err = s.up.out.Flush()
	}
	return err //nolint:wrapcheck // wire's, wrapped already
}

// strayReady handles a ReadyForQuery that is the answer of a client's Sync, or of
// the gateway's own.
func (s *session) strayReady(e *expectation, message []byte) {
	if e.stray.theirs {
		s.send(message)
		return
	}
	if e.stray.ready > 0 {
		s.send(e.stray.own)
	}
	e.stray.ready++
	e.stray.own = append(e.stray.own[:0], message...)
}

// strayClosed handles the end of the question.
func (s *session) strayClosed(h wire.Header, e *expectation) error {
	if _, err := s.up.in.Message(h, 0); err != nil || e.stray.ready == 0 {
		return unexpected(h)
	}
	tx, err := wire.DecodeReadyForQuery(e.stray.own[len(e.stray.own)-1:])
	if err != nil {
		return unexpected(h)
	}
	s.pipeline.mu.Lock()
	s.pipeline.broken = e.stray.broken && e.stray.ready == 1
	s.pipeline.mu.Unlock()
	idle, draining := s.over(e, tx)
	if idle && draining {
		s.end(shuttingDown())
	}
	return nil
}
