package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/radius"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// queryMeasured runs the one command of a simple Query beside the session. The
// target gets an empty Query in its place, which does to names and portals what
// any does, and whose answer is where the command's belongs.
func (s *session) queryMeasured(r *run) error {
	tag, err := s.runMeasured(r)
	if err != nil {
		return s.refuse(ofQuery, "", err)
	}
	return s.forward(&expectation{kind: ofQuery, instead: wire.AppendCommandComplete(nil, tag)}, wire.AppendQuery(nil, ""), nil)
}

// executeMeasured runs the command of a portal beside the session, when the Sync
// behind its Execute has come: what else is in a group of messages would share
// the command's transaction, which has been committed by then.
func (s *session) executeMeasured(p *portal, sync bool) error {
	if err := s.settle(); err != nil {
		return err
	}
	s.pipeline.mu.Lock()
	executed := s.pipeline.executed
	s.pipeline.mu.Unlock()
	var (
		tag string
		err error
	)
	if executed || !sync {
		err = unmeasured("it is part of a pipeline")
		p.run.finish(statusNotExecuted, codeOf(err), "")
	} else if err = p.run.permit.Stands(false); err == nil {
		tag, err = s.runMeasured(p.run)
	} else {
		p.run.finish(statusNotExecuted, codeOf(err), "")
	}
	if err != nil {
		return s.fail(ofExecute, err)
	}
	if err := s.out.Append(func(dst []byte) []byte { return append(dst, wire.AppendCommandComplete(nil, tag)...) }); err != nil {
		return err //nolint:wrapcheck // wire's, wrapped already
	}
	return nil
}

// await takes the message behind an Execute that is run measured.
func (s *session) await(typ byte) error {
	p := s.awaiting
	s.awaiting = nil
	return s.executeMeasured(p, typ == wire.Sync)
}

// runMeasured runs a command, records its outcome, and returns its tag, or what the
// client is told.
func (s *session) runMeasured(r *run) (tag string, err error) {
	m := r.measured
	if m.rehearsed == nil {
		err = unmeasured("it was not rehearsed in this way")
		r.finish(statusNotExecuted, codeOf(err), "")
		return "", err
	}
	ctx, over := s.cancellable()
	defer over()
	ctx, cancel := context.WithTimeout(ctx, m.limit+2*closeLimit)
	defer cancel()
	conn, leave, why := s.beside(ctx, "gatestay measured run", m.trial.State.LoginUser)
	if why != "" {
		err = unmeasured(why)
		r.finish(statusNotExecuted, codeOf(err), "")
		return "", err
	}
	defer leave()
	if why := m.again(ctx); why != "" {
		err = unmeasured(why)
		r.finish(statusNotExecuted, codeOf(err), "")
		return "", err
	}
	out, err := radius.Run(ctx, conn, m.trial, func(r *seam.Rehearsal) error {
		if err := m.check(r); err != nil {
			return err
		}
		if why := m.again(ctx); why != "" {
			return unmeasured(why)
		}
		return nil
	})
	if err != nil {
		return "", s.notCommitted(ctx, r, out, err)
	}
	r.rows = out.Rows
	r.finish(statusOK, "", "")
	return out.Tag, nil
}

// notCommitted records how a measured run failed, and says what the client is told.
func (s *session) notCommitted(ctx context.Context, r *run, out *radius.Outcome, err error) error {
	var (
		of       *pgconn.PgError
		unproved *radius.Unproved
		refused  *refusal.Refusal
	)
	switch {
	case out != nil && out.Unsettled:
		err = &refusal.Refusal{
			Code: refusal.UpstreamLost, Message: s.open.target + " did not answer whether it has committed",
			Hint: "Look at the data before you send the command again.",
		}
		r.finish(statusUnknown, codeOf(err), unanswered)
	case errors.As(err, &refused):
		r.finish(statusNotExecuted, codeOf(err), "")
	case errors.As(err, &unproved):
		err = unmeasured(unproved.Why)
		r.finish(statusNotExecuted, codeOf(err), "")
	case errors.Is(context.Cause(ctx), seam.ErrClientCancelled):
		r.finish(statusCancelled, stateCancelled, "")
		err = seam.ErrClientCancelled
	case errors.As(err, &of):
		report := s.reported(reportOf(of), &expectation{kind: ofQuery, runs: []*run{r}})
		r.finish(status(of.Code), of.Code, report.Get(wire.FieldMessage))
		err = &answer{report}
	default:
		s.log.Warn().Err(err).Msg("a measured run failed")
		err = &refusal.Refusal{
			Code: refusal.UpstreamLost, Message: s.open.target + " did not end the command", Detail: "It was not committed.", Hint: "Send it again.",
		}
		r.finish(statusNotExecuted, codeOf(err), "")
	}
	return err
}

// reportOf is an error as the target said it, without the place in a text that
// was not quite the client's.
func reportOf(e *pgconn.PgError) wire.Report {
	all := wire.Report{
		{Code: wire.FieldSeverity, Value: e.Severity},
		{Code: wire.FieldSeverityFixed, Value: e.SeverityUnlocalized},
		{Code: wire.FieldCode, Value: e.Code},
		{Code: wire.FieldMessage, Value: e.Message},
		{Code: wire.FieldDetail, Value: e.Detail},
		{Code: wire.FieldHint, Value: e.Hint},
		{Code: wire.FieldWhere, Value: e.Where},
		{Code: wire.FieldSchema, Value: e.SchemaName},
		{Code: wire.FieldTable, Value: e.TableName},
		{Code: wire.FieldColumn, Value: e.ColumnName},
		{Code: wire.FieldConstraint, Value: e.ConstraintName},
	}
	var out wire.Report
	for _, f := range all {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

// cancellable returns a context that a request to cancel ends, until over.
func (s *session) cancellable() (ctx context.Context, over func()) {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.hold.ctx.Err() != nil {
		s.hold.renew(s.ctx)
	}
	s.hold.active = true
	return s.hold.ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.hold.active = false
	}
}
