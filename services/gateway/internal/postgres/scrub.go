package postgres

import (
	"errors"
	"fmt"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// scrub masks the fields of a report that may quote values. The others are
// names of the schema, codes and places.
func (s *session) scrub(r wire.Report) wire.Report {
	for i := range r {
		switch r[i].Code {
		case wire.FieldMessage, wire.FieldDetail, wire.FieldHint, wire.FieldInternalQuery, wire.FieldWhere:
			r[i].Value = clean(s.gate.ScrubError(r[i].Value))
		}
	}
	return r
}

// readable returns a report whose words pass, without what a terminal would obey.
func readable(r wire.Report) wire.Report {
	for i := range r {
		switch r[i].Code {
		case wire.FieldMessage, wire.FieldDetail, wire.FieldHint:
			r[i].Value = clean(r[i].Value)
		}
	}
	return r
}

// codeOf returns the code of a refusal, for an outcome.
func codeOf(err error) string {
	var r *refusal.Refusal
	if errors.As(err, &r) {
		return string(r.Code)
	}
	return stateInternal
}

// notice handles a NoticeResponse. It may quote what a command has read.
func (s *session) notice(h wire.Header) error {
	body, err := s.up.in.Body(h, maxReport)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	r, err := wire.DecodeReport(body)
	if err != nil {
		return unexpected(h)
	}
	e := s.pipeline.front()
	if e != nil && e.inquiry != nil {
		return nil // the client has asked nothing
	}
	if e != nil {
		if err := s.release(e.run()); err != nil {
			return err
		}
	}
	s.sendReport(wire.NoticeResponse, s.reported(r, e))
	return nil
}

// withheldPayload stands for what a notification says, where columns are masked.
const withheldPayload = "(withheld: columns of this target are masked)"

// notification handles a NotificationResponse: another session's words.
func (s *session) notification(h wire.Header) error {
	body, err := s.up.in.Body(h, maxReport)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	n, err := wire.DecodeNotification(body)
	if err != nil {
		return unexpected(h)
	}
	// No command of this session can be asked whether it derives from a masked
	// column: the words may be another's.
	if n.Payload = clean(s.gate.ScrubError(n.Payload)); n.Payload != "" && len(s.gate.Masks()) > 0 {
		n.Payload = withheldPayload
	}
	if n.PID == s.up.pid {
		n.PID = s.pid // the client knows itself by this one
	}
	s.send(wire.AppendNotification(nil, n))
	return nil
}

// parameterStatus handles a report of a setting that has changed.
func (s *session) parameterStatus(h wire.Header) error {
	body, err := s.up.in.Body(h, maxControl)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	name, value, err := wire.DecodeParameterStatus(body)
	if err != nil {
		return unexpected(h)
	}
	if e := s.pipeline.front(); e != nil && e.inquiry == nil {
		if err := s.release(e.run()); err != nil {
			return err
		}
	}
	s.pipeline.mu.Lock()
	s.status[name] = value
	s.track.known = false
	own := s.track.hearsay.reported(name, value)
	s.pipeline.mu.Unlock()
	if own || len(s.gate.Masks()) == 0 {
		s.send(wire.AppendParameterStatus(nil, name, s.shown(name, value)))
	}
	switch {
	case name == "client_encoding" && !utf8Name(value):
		return fmt.Errorf("postgres: target: %w", encodingFixed())
	case name == "standard_conforming_strings" && value != "on":
		return fmt.Errorf("postgres: target: %w", stringsFixed())
	}
	return nil
}
