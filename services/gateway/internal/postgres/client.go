package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// errTerminated is a client that said goodbye.
var errTerminated = errors.New("postgres: the client has terminated the session")

// serveClient takes the client's messages until it has no more.
func (s *session) serveClient() {
	defer s.server.survive("client", s.broken)
	err := s.takeAll()
	var protocol *refusal.Refusal
	switch {
	case errors.Is(err, errTerminated), closedInOrder(err), errors.Is(err, errOver):
		// What runs, runs on, as with a server; its results still go out.
	case errors.As(err, &protocol):
		s.end(protocol)
	default:
		s.log.Debug().Err(err).Msg("a client was lost")
		s.lose(s.pipeline.pending())
	}
	_ = s.up.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	s.pipeline.mu.Lock() // what asks the target something knows whether it still hears
	s.left.Store(true)
	_ = s.up.out.Append(func(dst []byte) []byte { return wire.AppendEmpty(dst, wire.Terminate) })
	s.pipeline.mu.Unlock()
	_ = s.up.out.Flush()
}

func (s *session) takeAll() error {
	for {
		h, err := s.in.Next()
		if err != nil {
			if errors.Is(err, wire.ErrMalformed) {
				return violation(err)
			}
			return fmt.Errorf("postgres: client: %w", err)
		}
		if err := s.take(h); err != nil && !errors.Is(err, errDropped) {
			return err
		}
	}
}

// take handles one message.
func (s *session) take(h wire.Header) error {
	if h.Type == wire.Terminate {
		return errTerminated
	}
	s.passBarrier()
	if r := s.copying(); r != nil {
		return s.takeCopy(h, r)
	}
	if s.dropping() && h.Type != wire.Sync {
		return s.skip(h)
	}
	limit := maxControl
	switch h.Type {
	case wire.Query, wire.Parse, wire.Bind, wire.Function:
		limit = s.server.limits.Message
	case wire.Describe, wire.Execute, wire.Close, wire.Sync, wire.Flush:
	case wire.CopyData, wire.CopyDone, wire.CopyFail:
		// No COPY is under way, and a server drops these then.
		return s.skip(h)
	default:
		return violation(fmt.Errorf("invalid message type %q", h.Type))
	}
	message, err := s.in.Message(h, limit)
	var long *wire.TooLongError
	if errors.As(err, &long) {
		return s.tooLong(h, long)
	}
	if err != nil {
		return fmt.Errorf("postgres: client: %w", err)
	}
	if (h.Type == wire.Sync || h.Type == wire.Flush) && h.Length > 0 {
		// A server answers it with an error that nothing here waits for.
		return violation(fmt.Errorf("a message of type %q with a body", h.Type))
	}
	return s.handle(h.Type, message, message[len(message)-h.Length:])
}

func (s *session) handle(typ byte, message, body []byte) error {
	if s.awaiting != nil {
		if err := s.await(typ); err != nil && !errors.Is(err, errDropped) {
			return err
		}
	}
	switch typ {
	case wire.Query:
		return s.query(message, body)
	case wire.Parse:
		return s.parse(message, body)
	case wire.Bind:
		return s.bind(message, body)
	case wire.Describe:
		return s.describe(message, body)
	case wire.Execute:
		return s.execute(message, body)
	case wire.Close:
		return s.closeName(message, body)
	case wire.Sync:
		return s.forward(&expectation{kind: ofSync}, message, nil)
	case wire.Flush:
		return s.write(message)
	default:
		return s.function(body)
	}
}

func (s *session) skip(h wire.Header) error {
	if err := s.in.Skip(h); err != nil {
		return fmt.Errorf("postgres: client: %w", err)
	}
	return nil
}

// tooLong refuses a message that is not read.
func (s *session) tooLong(h wire.Header, long *wire.TooLongError) error {
	if err := s.skip(h); err != nil {
		return err
	}
	k := ofExecute
	switch h.Type {
	case wire.Query, wire.Function:
		if err := s.settle(); err != nil {
			return err
		}
		k = ofQuery
	case wire.Sync:
		return violation(long)
	}
	tooLong := &refusal.Refusal{
		Code: refusal.LimitReached, Message: fmt.Sprintf("a message of %d bytes is longer than the %d that this gateway decides", long.Length, long.Limit),
		Hint: "Split it into smaller ones.",
	}
	if h.Type == wire.Function {
		return s.refuseCall(tooLong)
	}
	return s.refuse(k, "", tooLong)
}

// passBarrier waits where the target must have answered all before anything is
// forwarded: after a Query, after a result with a row limit, after a COPY that
// may want data, and while a cancel is on its way.
func (s *session) passBarrier() {
	p := s.pipeline
	p.mu.Lock()
	wait := (p.barrier && len(p.queue) > 0 && p.copying == nil) || p.cancels > 0
	p.mu.Unlock()
	if !wait {
		return
	}
	_ = s.settle()
	p.mu.Lock()
	for p.cancels > 0 && !p.over {
		p.moved.Wait()
	}
	p.mu.Unlock()
}

// dropping reports that a message of this group has failed.
func (s *session) dropping() bool {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken || p.over
}
