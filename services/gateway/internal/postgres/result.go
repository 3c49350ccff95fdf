package postgres

import (
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// shape is what the rows of a result look like, and what is done to them.
type shape struct {
	masker  seam.Masker // nil: rows pass as they are
	touched []bool
	err     error // the rows must not pass
	// whole are the columns that are masked whole, since they may derive from
	// masked ones.
	whole []string
}

// mask returns what stands in a cell's place.
func (sh *shape) mask(cell int, value []byte) []byte {
	masked, _ := sh.masker.Mask(cell, value)
	return masked
}

// shape makes the masker for a result of a command.
func (s *session) shape(r *run, columns []wire.Column, formats []int16) *shape {
	judged := s.columns(r, columns, formats)
	masker, err := r.permit.Result(judged)
	if err != nil || masker == nil {
		return &shape{err: err}
	}
	sh := &shape{masker: masker, touched: make([]bool, len(columns))}
	for i := range sh.touched {
		sh.touched[i] = !masker.Untouched(i)
		if judged[i].Tainted {
			sh.whole = append(sh.whole, judged[i].Name)
		}
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
		s.tellWhole(sh)
	}
	if e.inquiry == nil {
		s.send(message)
	} else {
		e.inquiry.columns = columns
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
	s.tellWhole(e.shape)
	s.send(message)
	return nil
}

// tellWhole tells the client of columns that are masked whole, once in a
// session: a NULL in their place looks like data.
func (s *session) tellWhole(sh *shape) {
	const most = 256 // different ones that are told in a session
	names := strings.Join(sh.whole, ", ")
	if names == "" || s.toldWhole[names] || len(s.toldWhole) >= most {
		return
	}
	if s.toldWhole == nil {
		s.toldWhole = map[string]bool{}
	}
	s.toldWhole[names] = true
	s.sendReport(wire.NoticeResponse, notice(seam.Notice{
		Message: "masked whole, since they may derive from masked columns: " + clean(names),
		Hint:    "What does not touch a masked column passes: select it by itself.",
	}))
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
	if e.kind != ofDescribe || !e.named && e.inquiry == nil {
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
	if e.inquiry == nil {
		s.send(message)
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	if e.statement != nil {
		e.statement.types = types
	}
	return nil
}
