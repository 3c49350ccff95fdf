package postgres

import (
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// query handles a simple Query. All that came before has been answered when it
// is forwarded, as a server answers one message after the other.
func (s *session) query(message, body []byte) error {
	if err := s.settle(); err != nil {
		return err
	}
	text, err := wire.DecodeQuery(body)
	if err != nil {
		return s.refuse(ofQuery, "", violation(err))
	}
	d := s.decode(text)
	s.pipeline.mu.Lock()
	s.names.forget("") // the target drops it, whatever comes of the text
	if s.track.tx == wire.Idle && !s.pipeline.executed && !d.begins() {
		// So it does with portals that wait for an Execute, and what the gateway
		// asks before may end their group now.
		s.names.endTransaction(s.pipeline.group + 1)
	}
	s.pipeline.mu.Unlock()
	e := &expectation{kind: ofQuery, whole: d.unreadable != nil}
	if !d.empty() {
		if e.runs, err = s.decide(d, nil); err != nil {
			if isAnswer(err) {
				return s.refuse(ofQuery, "", err)
			}
			return err
		}
		if len(e.runs) == 1 && e.runs[0].measured != nil {
			return s.queryMeasured(e.runs[0])
		}
		if err := s.describeCopies(d, e.runs); err != nil {
			return s.unforwarded(e.runs, err)
		}
	}
	err = s.forward(e, message, func() {
		e.implicit = s.tx == wire.Idle
		for i, r := range e.runs {
			s.track.forwarded(r.facts, d.statement(i))
			s.handles.forwarded(r)
			if r.facts.Transaction != "" {
				e.implicit = false
			}
			if touchesNames(r.facts) {
				s.names.forgetPortals()
			}
		}
	})
	if err != nil && !isAnswer(err) { // the target has not seen it
		return s.unforwarded(e.runs, err)
	}
	return err
}

// unforwarded refuses a Query whose commands were admitted, and do not run.
func (s *session) unforwarded(runs []*run, err error) error {
	for _, r := range runs {
		r.finish(statusNotExecuted, "", "")
	}
	if !isAnswer(err) {
		return err
	}
	return s.refuse(ofQuery, "", err)
}
