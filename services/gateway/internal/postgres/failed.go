package postgres

import (
	"errors"
	"fmt"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// failed handles an ErrorResponse.
func (s *session) failed(h wire.Header, e *expectation) error {
	body, err := s.up.in.Body(h, maxReport)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	r, err := wire.DecodeReport(body)
	if err != nil {
		return unexpected(h)
	}
	if severity := r.Get(wire.FieldSeverityFixed); e == nil || severity == severityFatal || severity == "PANIC" {
		return s.fatal(r, e)
	}
	if e.told && !e.mute {
		return unexpected(h)
	}
	if err := s.release(e.run()); err != nil {
		return err
	}
	if aborted, cause := s.abortedCopy(r.Get(wire.FieldMessage)); aborted {
		if cause == nil {
			s.takeBack(e, r.Get(wire.FieldCode), "")
			return violation(errors.New("another message in the data of a COPY"))
		}
		s.sendReport(wire.ErrorResponse, report(cause, severityError))
		s.takeBack(e, codeOf(cause), cause.Error())
		return s.askStrays()
	}
	r = s.reported(r, e)
	switch {
	case e.mute:
	case e.inquiry != nil && e.kind == ofDescribe && e.portal != nil: // it stands before the client's Execute
		s.sendReport(wire.ErrorResponse, r)
	case e.inquiry != nil:
		e.inquiry.err = &answer{r}
	case e.refused != nil:
		s.sendReport(wire.ErrorResponse, report(e.refused, severityError))
	case e.failure != nil:
		s.sendReport(wire.ErrorResponse, report(e.failure, severityError))
	default:
		s.sendReport(wire.ErrorResponse, r)
	}
	s.takeBack(e, r.Get(wire.FieldCode), r.Get(wire.FieldMessage))
	return s.askStrays()
}

// fatal handles an error after which the target hangs up, or one that answers
// nothing, such as an administrator's command.
func (s *session) fatal(r wire.Report, e *expectation) error {
	r = s.reported(r, e)
	if e != nil {
		if err := s.release(e.run()); err != nil {
			return err
		}
		e.run().finish(status(r.Get(wire.FieldCode)), r.Get(wire.FieldCode), r.Get(wire.FieldMessage))
		if e.kind == ofQuery {
			for _, r := range e.runs {
				r.finish(statusNotExecuted, "", "")
			}
		}
	}
	s.end(&answer{r})
	return errOver
}

// takeBack closes the accounts of a message that failed, and of those that the
// target drops because of it.
func (s *session) takeBack(e *expectation, code, message string) {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range s.done { // of the same implicit transaction
		r.finish(statusError, code, "rolled back: a later command of its implicit transaction failed")
	}
	s.done = s.done[:0]
	p.copying = nil
	if e.kind == ofQuery || e.kind == ofSync {
		e.told = true
		if e.at < len(e.runs) {
			e.runs[e.at].finish(status(code), code, message)
		}
		for _, r := range e.runs {
			r.finish(statusNotExecuted, "", "")
		}
		return
	}
	dropped := p.fail()
	unnamed := s.names.statements[""]
	if e.undo != nil {
		e.undo()
	}
	if e.lasting && s.names.statements[""] != unnamed { // and not one that was parsed since
		s.names.forget("")
	}
	e.drop(code, message)
	for _, d := range dropped {
		d.drop("", "")
	}
}

// drop closes the accounts of one message of the extended protocol that failed
// with a condition or, without one, that was dropped. The caller holds
// pipeline.mu.
func (e *expectation) drop(code, message string) {
	p := e.portal
	if p == nil || p.run == nil {
		return
	}
	switch e.kind {
	case ofExecute:
		p.unanswered--
		if code != "" {
			p.run.finish(status(code), code, message)
			return
		}
		if e.first {
			p.executed = false
		}
		if p.gone {
			p.drop()
		}
	case ofBind:
		if code != "" {
			p.run.finish(status(code), code, message)
		} else {
			p.run.finish(statusNotExecuted, "", "")
		}
	case ofQuery, ofParse, ofDescribe, ofClose, ofSync:
	}
}
