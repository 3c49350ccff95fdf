package postgres

import (
	"strings"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// describe handles a Describe, which passes.
func (s *session) describe(message, body []byte) error {
	kind, name, err := wire.DecodeTarget(body)
	if err != nil {
		return s.refuse(ofDescribe, "", violation(err))
	}
	e := &expectation{kind: ofDescribe, named: kind == wire.Statement}
	s.pipeline.mu.Lock()
	if kind == wire.Statement {
		e.statement = s.names.statements[string(name)]
	} else if e.portal = s.names.portals[string(name)]; e.portal != nil {
		e.portal.described = true
	}
	s.pipeline.mu.Unlock()
	return s.forward(e, message, nil)
}

// execute handles an Execute: the command of a portal runs, or goes on.
func (s *session) execute(message, body []byte) error {
	name, _, err := wire.DecodeExecute(body)
	if err != nil {
		return s.refuse(ofExecute, "", violation(err))
	}
	p, err := s.portalNamed(string(name))
	if err != nil {
		return err
	}
	if p == nil {
		return s.fail(ofExecute, like(stateNoPortal, `portal "`+clean(string(name))+`" does not exist`, ""))
	}
	if err := s.stillFits(p); err != nil {
		if isAnswer(err) {
			return s.fail(ofExecute, err)
		}
		return err
	}
	if p.run != nil && p.run.measured != nil {
		s.awaiting = p
		return nil
	}
	if p.run != nil {
		if err := s.shapeFirst(p); err != nil {
			if isAnswer(err) {
				return s.fail(ofExecute, err)
			}
			return err
		}
	}
	e := &expectation{kind: ofExecute, portal: p}
	return s.forward(e, message, func() {
		if p.run == nil {
			return
		}
		e.first = !p.executed
		p.executed = true
		p.unanswered++
		if e.first {
			s.track.forwarded(p.run.facts, p.statement.text.statement(0))
			s.handles.forwarded(p.run)
		}
		if touchesNames(p.run.facts) {
			s.names.forgetPortals()
		}
		if p.run.limit > 0 || p.run.maxBytes > 0 || p.run.copy != nil && p.run.copy.From {
			s.pipeline.barrier = true
		}
	})
}

// portalNamed returns a portal, nil where there is none: once all is answered,
// since a message that took the name away may yet fail.
func (s *session) portalNamed(name string) (*portal, error) {
	p := s.pipeline
	p.mu.Lock()
	found := s.names.portals[name]
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	if err := s.settle(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.names.portals[name], nil
}

// closeName handles a Close of a statement or a portal.
func (s *session) closeName(message, body []byte) error {
	kind, name, err := wire.DecodeTarget(body)
	if err != nil {
		return s.refuse(ofClose, "", violation(err))
	}
	e := &expectation{kind: ofClose}
	return s.forward(e, message, func() {
		if kind == wire.Statement {
			e.undo = s.names.unprepare(string(name))
			return
		}
		e.replaced, e.undo = s.names.unbind(string(name))
	})
}

// stillFits refuses to run a command under another state of the session, or other
// rules, than it was decided under.
func (s *session) stillFits(p *portal) error {
	if p.run == nil {
		return nil
	}
	uses := p.statement.text.uses()
	if uses {
		if err := s.settle(); err != nil {
			return err
		}
	}
	s.pipeline.mu.Lock()
	same := !uses || p.handles == s.handles.version
	known, failed, tx, begun := s.track.known, s.track.tx == wire.Failed, s.track.tx, p.executed
	s.pipeline.mu.Unlock()
	if failed {
		return nil // the target refuses
	}
	if !known {
		if err := s.settle(); err != nil {
			return err
		}
		if err := s.ask(); err != nil {
			return err
		}
		if err := s.fixed(); err != nil {
			s.end(err)
			return errOver
		}
	}
	if p.version == s.asked.version && p.tx == tx && same {
		return p.run.permit.Stands(begun) //nolint:wrapcheck // a refusal, for the client
	}
	return &refusal.Refusal{
		Code: refusal.StateChanged, Message: "the session's state is not the one that this command was decided under",
		Detail: "Role, search path, settings or transaction have changed between Bind and Execute.",
		Hint:   "Bind it again: it is decided anew.",
	}
}

// shapeFirst makes sure that the shape of the result is known before its rows
// come: masking depends on it. The plan is described, not the statement, since
// it is the plan that runs.
func (s *session) shapeFirst(p *portal) error {
	s.pipeline.mu.Lock()
	described := p.described
	p.described = true
	s.pipeline.mu.Unlock()
	if p.run.copy != nil {
		return s.copyFirst(p)
	}
	if !described {
		e := &expectation{kind: ofDescribe, portal: p, inquiry: &inquiry{}}
		if err := s.forward(e, wire.AppendTarget(nil, wire.Describe, wire.Portal, p.name), nil); err != nil {
			return err
		}
	}
	// A mask that does not fit a binary value is found out before the command
	// runs. Text can always be masked.
	if !wantsBinary(p.formats) {
		return nil
	}
	s.pipeline.mu.Lock()
	known := p.shape != nil
	s.pipeline.mu.Unlock()
	if !known && !s.foretold(p) {
		if err := s.settle(); err != nil {
			return err
		}
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	if p.shape != nil && p.shape.err != nil {
		return p.shape.err
	}
	return nil
}

func wantsBinary(formats []int16) bool {
	for _, f := range formats {
		if f == 1 {
			return true
		}
	}
	return false
}

// endsImplicit reports a command that leaves no transaction open for the group of
// messages that it is in: the target commits at once behind it.
func endsImplicit(p *portal) bool {
	text := p.statement.text.statement(0)
	switch p.run.facts.Transaction {
	case "commit", "rollback":
		return !chained(text)
	}
	return p.run.facts.Verb == "discard" && strings.EqualFold(strings.Join(strings.Fields(text), " "), "discard all")
}

// copyFirst asks for the columns of a portal's COPY TO STDOUT, which its own
// description does not have.
func (s *session) copyFirst(p *portal) error {
	s.pipeline.mu.Lock()
	begun := p.executed
	s.pipeline.mu.Unlock()
	if p.run.copy.From || begun {
		return nil
	}
	if err := s.settle(); err != nil {
		return err
	}
	return s.describeCopy(p.run, true, false)
}
