package postgres

import (
	"errors"
	"fmt"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// serveUpstream takes the target's answers until there are no more.
func (s *session) serveUpstream() {
	defer s.server.survive("upstream", s.broken)
	for {
		h, err := s.up.in.Next()
		if err == nil {
			err = s.answer(h)
		}
		if err == nil {
			continue
		}
		var r *refusal.Refusal
		switch {
		case errors.As(err, &r):
			s.log.Error().Err(err).Msg("a session was ended")
			s.end(r)
		case s.ctx.Err() == nil && !s.left.Load():
			s.log.Debug().Err(err).Msg("a target ended the connection")
			s.end(&refusal.Refusal{
				Code: refusal.UpstreamLost, Message: fmt.Sprintf("%s ended the connection", s.open.target),
				Hint: "Connect again in a moment; what ran last may or may not have taken effect.",
			})
		default:
			_ = s.flushClient()
			s.lose(false)
		}
		return
	}
}

// unexpected is an answer that fits no question: the gateway and the target do
// not agree any more on where they are, so nothing may pass.
func unexpected(h wire.Header) error {
	return &refusal.Refusal{
		Code: refusal.ProtocolViolation, Message: fmt.Sprintf("the target sent a message %q that fits no command", h.Type),
		Hint: "Operators: please report this with the gateway's log.",
	}
}

// answer handles one message of the target.
func (s *session) answer(h wire.Header) error {
	switch h.Type {
	case wire.NoticeResponse:
		return s.notice(h)
	case wire.NotificationResponse:
		return s.notification(h)
	case wire.ParameterStatus:
		return s.parameterStatus(h)
	}
	e := s.pipeline.front()
	if h.Type == wire.ErrorResponse {
		return s.failed(h, e)
	}
	if e == nil || e.refused != nil && h.Type != wire.ReadyForQuery || e.call && h.Type != wire.FunctionCallResponse && h.Type != wire.ReadyForQuery {
		return unexpected(h)
	}
	switch h.Type {
	case wire.DataRow:
		return s.row(h, e)
	case wire.RowDescription:
		return s.rowDescription(h, e)
	case wire.NoData:
		return s.noData(h, e)
	case wire.ParameterDescription:
		return s.parameterDescription(h, e)
	case wire.CommandComplete, wire.EmptyQueryResponse, wire.PortalSuspended:
		return s.complete(h, e)
	case wire.ParseComplete:
		return s.acknowledge(h, e, ofParse)
	case wire.BindComplete:
		return s.acknowledge(h, e, ofBind)
	case wire.CloseComplete:
		if e.stray != nil {
			return s.strayClosed(h, e)
		}
		return s.acknowledge(h, e, ofClose)
	case wire.ReadyForQuery:
		return s.ready(h, e)
	case wire.FunctionCallResponse:
		return s.returned(h, e)
	case wire.CopyData:
		return s.copied(h, e)
	case wire.CopyDone:
		return s.copyOutDone(h, e)
	case wire.CopyOutResponse:
		return s.copyOutBegan(h, e)
	case wire.CopyInResponse:
		return s.copyInBegan(h, e)
	}
	return unexpected(h) // CopyBothResponse too: it is replication's
}

// send writes to the client; one that is gone gets nothing more.
func (s *session) send(message []byte) {
	if s.silent.Load() {
		return
	}
	if _, err := s.out.Write(message); err != nil {
		s.lose(s.pipeline.pending())
	}
}

func (s *session) sendReport(typ byte, r wire.Report) {
	s.send(wire.AppendReport(nil, typ, r))
}

// release makes sure that a command's intent is durable before anything of its
// answer goes out. A failure ends the session: nothing can be recorded.
func (s *session) release(r *run) error {
	if r == nil || r.released {
		return nil
	}
	if err := r.release(s.ctx, func() { _ = s.flushClient() }); err != nil {
		return fmt.Errorf("postgres: release: %w", err)
	}
	return nil
}

// acknowledge handles an answer that says no more than that a message was
// taken.
func (s *session) acknowledge(h wire.Header, e *expectation, k kind) error {
	if e.kind != k {
		return unexpected(h)
	}
	message, err := s.up.in.Message(h, 0)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	if e.inquiry == nil {
		if err := s.release(e.run()); err != nil {
			return err
		}
		s.send(message)
	}
	s.pipeline.mu.Lock()
	s.pipeline.pop()
	if e.replaced != nil {
		e.replaced.drop()
	}
	s.pipeline.mu.Unlock()
	return nil
}

// complete handles the end of a statement.
func (s *session) complete(h wire.Header, e *expectation) error {
	if e.kind != ofQuery && e.kind != ofExecute || e.told || e.copy != nil || h.Type == wire.PortalSuspended && e.kind != ofExecute {
		return unexpected(h)
	}
	message, err := s.up.in.Message(h, maxControl)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	if e.inquiry != nil {
		s.pop()
		return nil
	}
	r := e.run()
	if r == nil && h.Type != wire.EmptyQueryResponse {
		return unexpected(h)
	}
	if err := s.release(r); err != nil {
		return err
	}
	if h.Type == wire.CommandComplete {
		_, rows, err := wire.DecodeCommandComplete(message[len(message)-h.Length:])
		if err != nil {
			return unexpected(h)
		}
		r.rows += rows
	}
	if e.failure != nil {
		if err := s.tooLate(e, r); err != nil || e.kind != ofQuery {
			return err
		}
		s.completed(h, e, r)
		return nil
	}
	if e.instead != nil {
		if h.Type != wire.EmptyQueryResponse {
			return unexpected(h)
		}
		message = e.instead
	}
	if e.cut {
		s.sendReport(wire.NoticeResponse, cutNotice(r.sent))
		e.cut = false
	}
	s.send(message)
	s.completed(h, e, r)
	return nil
}

// completed keeps account of a statement that ended well.
func (s *session) completed(h wire.Header, e *expectation, r *run) {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	s.pipeline.strays = 0 // of a COPY that went well the target has ignored them
	if e.kind == ofQuery {
		if e.whole {
			return // its one run ends with the Query
		}
		s.handles.completed(r)
		e.at++
		e.shape = nil
		if r != nil {
			s.endWell(r, e.implicit && len(e.runs) > 1)
		}
		return
	}
	s.pipeline.pop()
	p := e.portal
	if p.run == nil {
		return
	}
	if len(s.pipeline.queue) == 0 && endsImplicit(p) {
		s.pipeline.executed = false
	}
	p.unanswered--
	if h.Type == wire.PortalSuspended && !p.gone {
		return
	}
	s.handles.completed(p.run)
	s.endWell(p.run, p.tx == wire.Idle)
}

// endWell records a good end now, or, where the transaction around the command
// is an implicit one, when that has ended: a later failure takes it back. The
// caller holds pipeline.mu.
func (s *session) endWell(r *run, implicit bool) {
	if implicit && len(s.done) < s.pipeline.limit {
		r.freeze()
		r.undecided = true
		s.done = append(s.done, r)
		return
	}
	r.finish(statusOK, "", "")
}

func (s *session) pop() {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	s.pipeline.pop()
}

// ready handles ReadyForQuery: a Query, or a group of messages up to Sync, is
// over.
func (s *session) ready(h wire.Header, e *expectation) error {
	if e.kind != ofQuery && e.kind != ofSync {
		return unexpected(h)
	}
	message, err := s.up.in.Message(h, 1)
	if err != nil {
		return fmt.Errorf("postgres: target: %w", err)
	}
	if e.stray != nil {
		s.strayReady(e, message)
		return nil
	}
	tx, err := wire.DecodeReadyForQuery(message[len(message)-h.Length:])
	if err != nil {
		return unexpected(h)
	}
	if (e.refused != nil || e.mute) && !e.told {
		return unexpected(h) // a marker has to fail
	}
	if e.kind == ofQuery && e.failure != nil && !e.told {
		s.ranWhole(e, tx)
	}
	if e.told && tx == wire.InTransaction && e.failure != nil {
		return s.failTransaction(e)
	}
	if e.kind == ofQuery && e.whole && !e.told {
		if err := s.release(e.run()); err != nil {
			return err
		}
	}
	idle, draining := s.over(e, tx)
	if e.inquiry == nil {
		s.send(message)
	}
	if idle && draining {
		s.end(shuttingDown())
	}
	return nil
}

// over closes the accounts of a Query or a group of messages.
func (s *session) over(e *expectation, tx byte) (idle, draining bool) {
	p := s.pipeline
	p.mu.Lock()
	for _, r := range s.done {
		r.finish(statusOK, "", "")
	}
	s.done = s.done[:0]
	for i := e.at; i < len(e.runs); i++ {
		if e.whole {
			e.runs[i].finish(statusOK, "", "")
		} else {
			e.runs[i].finish(statusNotExecuted, "", "")
		}
	}
	s.tx = tx
	p.pop()
	if tx == wire.Idle {
		s.names.endTransaction(e.group)
		s.handles.idle(len(p.queue) == 0)
	}
	redefined, doubtful := false, false
	switch {
	case len(p.queue) == 0:
		redefined, doubtful = s.track.settled(tx)
	case tx == wire.Failed && !p.transacts(): // what is forwarded already does not end it
		s.track.tx = tx
	}
	idle, draining = s.idle(), s.track.draining
	p.mu.Unlock()
	switch {
	case redefined:
		s.catalog.Stale(s.ctx)
	case doubtful:
		s.catalog.Doubt()
	}
	return idle, draining
}
