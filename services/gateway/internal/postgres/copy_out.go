package postgres

import (
	"errors"
	"fmt"
	"math"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/copydata"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// copyOut is a COPY TO STDOUT whose data comes.
type copyOut struct {
	stream *copydata.Stream // nil: the data passes as it is
}

// copyResponse reads the beginning of a COPY. Nothing of it passes before the
// command's intent is durable.
func (s *session) copyResponse(h wire.Header, e *expectation) (*run, wire.CopyResponse, []byte, error) {
	none := wire.CopyResponse{}
	message, err := s.up.in.Message(h, maxShape)
	if err != nil {
		return nil, none, nil, fmt.Errorf("postgres: target: %w", err)
	}
	m, err := wire.DecodeCopyResponse(message[len(message)-h.Length:])
	r := e.run()
	if err != nil || r == nil || e.inquiry != nil || e.told || e.copy != nil || e.kind != ofQuery && e.kind != ofExecute {
		return nil, none, nil, unexpected(h)
	}
	if r.copy == nil && r.known { // what could be read is no COPY
		return nil, none, nil, unexpected(h)
	}
	if err := s.release(r); err != nil {
		return nil, none, nil, err
	}
	return r, m, message, nil
}

// copyOutBegan handles a CopyOutResponse.
func (s *session) copyOutBegan(h wire.Header, e *expectation) error {
	r, m, message, err := s.copyResponse(h, e)
	if err != nil {
		return err
	}
	if r.copy != nil && r.copy.From {
		return unexpected(h)
	}
	e.copy = &copyOut{}
	if e.failure != nil {
		return nil
	}
	if r.copy == nil {
		s.giveUp(e, copyUnseen())
		return nil
	}
	if e.copy.stream, err = s.copyStream(r, m); err != nil {
		s.giveUp(e, err)
		return nil
	}
	s.send(message)
	return nil
}

// copyStream is what the data of a COPY goes through, nil for nothing.
func (s *session) copyStream(r *run, m wire.CopyResponse) (*copydata.Stream, error) {
	masker, err := s.copyMasker(r)
	if err != nil || masker == nil && r.limit == 0 && r.maxBytes == 0 {
		return nil, err
	}
	if m.Binary != (r.copy.Format == pgfacts.CopyBinary) || len(m.Formats) != len(r.columns) {
		return nil, copyUnlike("the target gives other columns, or another format, than it told before")
	}
	stream := copydata.New(r.copyFormat(), masker)
	stream.MaxRows, stream.MaxRow = r.limit, s.server.limits.Row
	return stream, nil
}

// copyFormat is how the data of a COPY TO STDOUT is written.
func (r *run) copyFormat() copydata.Format {
	f := copydata.Format{
		Kind: copyKinds[r.copy.Format], Delimiter: r.copy.Delimiter, Quote: r.copy.Quote, Escape: r.copy.Escape,
		Null: r.copy.Null, Header: r.copy.Header, Columns: make([]string, len(r.columns)),
	}
	for i, c := range r.columns {
		f.Columns[i] = c.Name
	}
	return f
}

var copyKinds = map[pgfacts.CopyFormat]copydata.Kind{
	pgfacts.CopyText: copydata.Text, pgfacts.CopyCSV: copydata.CSV, pgfacts.CopyBinary: copydata.Binary,
}

func copyUnlike(why string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.BinaryMasked, Message: "the data of this COPY cannot be masked: " + why,
		Hint: "COPY (SELECT …) TO STDOUT with the columns named and without unusual options can; or use SELECT.",
	}
}

// copied handles a CopyData, and those behind it that have come already.
func (s *session) copied(h wire.Header, e *expectation) error {
	if e.copy == nil || e.told {
		return unexpected(h)
	}
	if e.failure != nil || e.cut {
		return s.dropRow(h)
	}
	r := e.run()
	if e.copy.stream == nil {
		return s.passCopy(h, r)
	}
	body, err := s.up.in.Body(h, s.server.limits.Row)
	if err != nil {
		return tooLongRow(err)
	}
	s.scratch = wire.AppendCopyData(s.scratch[:0], func(dst []byte) []byte {
		dst, err = e.copy.stream.Feed(dst, body)
		return dst
	})
	if !r.room(len(s.scratch)) {
		s.overLimit(e, r)
		return nil
	}
	r.sent = e.copy.stream.Rows
	r.bytes += int64(len(s.scratch))
	s.send(s.scratch)
	if cap(s.scratch) > maxAhead {
		s.scratch = nil
	}
	switch {
	case errors.Is(err, copydata.ErrLimit):
		s.overLimit(e, r)
	case errors.Is(err, copydata.ErrTooLong):
		s.giveUp(e, tooLongRow(err))
	case err != nil:
		s.giveUp(e, copyUnlike(err.Error()))
	}
	return nil
}

// passCopy forwards whole blocks of data as they came. Clients count on a row in
// each message: only one that is larger than any buffer is cut.
func (s *session) passCopy(h wire.Header, r *run) error {
	block, n := s.up.in.Frames(wire.CopyData, math.MaxInt)
	if n == 0 && h.Length < wire.MaxBuffer { // the rest of it is on its way
		var err error
		if block, err = s.up.in.Message(h, wire.MaxBuffer); err != nil {
			return fmt.Errorf("postgres: target: %w", err)
		}
		n = 1
	}
	if n > 0 {
		r.bytes += int64(len(block))
		s.send(block)
		return nil
	}
	return s.pieces(s.up.in, h, func(message []byte) error {
		r.bytes += int64(len(message))
		s.send(message)
		return nil
	})
}

// copyOutDone handles a CopyDone: the data is complete.
func (s *session) copyOutDone(h wire.Header, e *expectation) error {
	if e.copy == nil || e.told {
		return unexpected(h)
	}
	message, err := s.up.in.Message(h, 0)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	stream := e.copy.stream
	e.copy = nil
	switch {
	case e.failure != nil:
		return nil
	case e.cut:
		s.send(wire.AppendCopyData(nil, stream.Trailer))
	case stream != nil:
		if err := stream.End(); err != nil {
			s.giveUp(e, copyUnlike(err.Error()))
			return nil
		}
	}
	s.send(message)
	return nil
}
