package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// session is one client and its connection to the target.
type session struct {
	server *Server
	gate   seam.Session
	log    zerolog.Logger
	open   *opening
	pid    uint32
	key    []byte

	client net.Conn
	in     *wire.Reader // of the client; its goroutine's
	out    *wire.Writer // to the client; both goroutines'
	up     *upstream    // in is the other goroutine's, out the client's one's

	pipeline *pipeline
	// The rest down to hold is guarded by pipeline.mu.
	names   names
	handles handles
	track   track
	tx      byte   // as the target last said
	done    []*run // ended well, in a transaction that is not decided yet
	status  map[string]string

	toldWhole map[string]bool // what tellWhole has said; the target goroutine's
	scratch   []byte          // the target goroutine's, too

	awaiting *portal                      // an Execute of it waits for the Sync behind; the client goroutine's
	trials   map[*seam.Command]*rehearsed // of commands that are being decided; the client goroutine's
	asked    asked                        // what is known of the session's state; the client goroutine's
	resolved resolved
	seen     viewed             // of the open transaction
	callees  map[uint32]*callee // PostgreSQL's own functions, by OID
	catalog  *catalog.Handle
	masked   atomic.Pointer[masked]
	hold     hold

	ctx        context.Context //nolint:containedctx // the session's life, which its two goroutines and its holds share
	stop       context.CancelCauseFunc
	background sync.WaitGroup
	left       atomic.Bool // the client has said all it has to say
	silent     atomic.Bool // the client was told that the session is over
	ending     sync.Once
	losing     sync.Once
}

func newSession(s *Server, gate seam.Session, o *opening, c net.Conn, in *wire.Reader, out *wire.Writer, up *upstream) *session {
	ses := &session{
		server: s, gate: gate, open: o, client: c, in: in, out: out, up: up,
		log:      s.log.With().Str("session_id", gate.ID()).Str("target", o.target).Logger(),
		pipeline: newPipeline(s.limits.Pipeline), names: newNames(), tx: wire.Idle, status: up.status,
	}
	ses.track.tx = wire.Idle
	ses.ctx, ses.stop = context.WithCancelCause(context.Background())
	ses.hold.renew(ses.ctx)
	ses.resolved.texts = map[string]*decoded{}
	ses.callees = map[uint32]*callee{}
	ses.trials = map[*seam.Command]*rehearsed{}
	ses.catalog = s.catalogs.For(catalog.Key{Target: o.target, Database: o.database}, func(ctx context.Context) (catalog.Source, error) { return openCatalog(ctx, gate, &s.authorities) })
	in.BeforeRead = ses.up.out.Flush
	up.in.BeforeRead = ses.flushClient
	return ses
}

// prepare asks the target for the session's state and tells the client that
// it is ready.
func (s *session) prepare(ctx context.Context) error {
	if err := s.server.keys.add(s); err != nil {
		return err
	}
	s.background.Go(s.serveUpstream)
	defer context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })()
	if err := s.ask(); err != nil {
		return loginRefusal(s.open.target, err)
	}
	if err := s.fixed(); err != nil {
		return err
	}
	s.catalog.Warm(ctx)
	err := s.out.Append(func(dst []byte) []byte {
		dst = wire.AppendAuthenticationOK(dst)
		s.pipeline.mu.Lock()
		for _, name := range slices.Sorted(maps.Keys(s.status)) {
			value := s.status[name]
			s.track.hearsay.reported(name, value)
			dst = wire.AppendParameterStatus(dst, name, s.shown(name, value))
		}
		s.pipeline.mu.Unlock()
		dst = wire.AppendBackendKeyData(dst, s.pid, s.key)
		return wire.AppendReadyForQuery(dst, wire.Idle)
	})
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		return fmt.Errorf("postgres: greet the client: %w", err)
	}
	return nil
}

// shown is a reported setting as the client may see it: whom the gateway signs
// in as is the target's secret.
func (s *session) shown(name, value string) string {
	if name == "session_authorization" {
		return s.open.user
	}
	return value
}

// run serves the session until it is over.
func (s *session) run(ctx context.Context) {
	leave := s.oversee(ctx)
	s.serveClient() //nolint:contextcheck // what it begins ends with the session, which outlives the listener's context
	s.background.Wait()
	leave()
	s.close("ended")
	hangUp(s.client)
}

// oversee ends the session when the core or the server says so. No goroutine
// waits for it: most sessions are idle, and none is ended in most. leave stops
// that, and waits for what has begun.
func (s *session) oversee(ctx context.Context) (leave func()) {
	over := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(2)
	told := context.AfterFunc(s.gate.Context(), func() { //nolint:contextcheck // it ends by a cause, not by the server's context
		defer begun.Done()
		s.end(context.Cause(s.gate.Context()))
	})
	stopping := context.AfterFunc(ctx, func() {
		defer begun.Done()
		s.drain()
		patience := time.NewTimer(s.server.limits.Drain)
		defer patience.Stop()
		select {
		case <-patience.C:
			s.end(shuttingDown())
		case <-over:
		}
	})
	return func() {
		close(over)
		for _, stop := range []func() bool{told, stopping} {
			if stop() {
				begun.Done()
			}
		}
		begun.Wait()
	}
}

func shuttingDown() *refusal.Refusal {
	return &refusal.Refusal{Code: refusal.ShuttingDown, Message: "the gateway is restarting", Hint: "Connect again in a moment."}
}

// drain ends an idle session now, and a busy one as soon as it is idle.
func (s *session) drain() {
	s.pipeline.mu.Lock()
	s.track.draining = true
	idle := s.idle()
	s.pipeline.mu.Unlock()
	if idle {
		s.end(shuttingDown())
		return
	}
	_ = appendNotice(s.out, seam.Notice{Code: string(refusal.ShuttingDown), Message: "the gateway is restarting: this session ends after its transaction"})
	_ = s.out.Flush()
}

// idle reports that nothing is running and no transaction is open. The caller
// holds pipeline.mu.
func (s *session) idle() bool {
	return len(s.pipeline.queue) == 0 && s.tx == wire.Idle && !s.pipeline.open && !s.hold.active
}

// end ends the session for a reason that the client is told. What still runs
// on the target is cancelled, and there is a moment to learn how it ended.
func (s *session) end(cause error) {
	s.ending.Do(func() {
		s.stop(cause)
		running := s.pipeline.pending()
		s.pipeline.end()
		_ = s.client.SetWriteDeadline(time.Now().Add(2 * time.Second))
		s.silent.Store(true)
		if err := s.out.Append(func(dst []byte) []byte {
			return wire.AppendReport(dst, wire.ErrorResponse, report(cause, severityFatal))
		}); err == nil {
			_ = s.out.Flush()
		}
		s.lose(running)
		_ = s.client.SetReadDeadline(time.Now()) // its goroutine stops reading
	})
}

// broken ends the session after a bug, which may have left a lock taken: both
// connections are closed, and what waits on them returns.
func (s *session) broken() {
	s.stop(errors.New("postgres: a bug"))
	_ = s.client.Close()
	_ = s.up.conn.Close()
	if p := s.pipeline; p.mu.TryLock() {
		p.over = true
		p.moved.Broadcast()
		p.mu.Unlock()
	}
}

// lose gives up the client: what runs is cancelled, and its outcome awaited for
// a moment.
func (s *session) lose(running bool) {
	s.losing.Do(func() {
		s.stop(seam.ErrClientGone)
		s.pipeline.end()
		_ = s.client.SetReadDeadline(time.Now())
		if running {
			if err := s.up.cancel(); err != nil {
				s.log.Debug().Err(err).Msg("cancelling on the target failed")
			}
		}
		_ = s.up.conn.SetDeadline(time.Now().Add(5 * time.Second))
	})
}

// flushClient writes what waits for the client. A client that cannot be
// written to any more is given up; the target's answers are still read.
func (s *session) flushClient() error {
	if err := s.out.Flush(); err != nil {
		s.lose(s.pipeline.pending())
	}
	return nil
}

// abandon closes a session that never got ready.
func (s *session) abandon(reason string) {
	s.stop(errors.New("postgres: abandoned"))
	s.pipeline.end()
	_ = s.up.out.Append(func(dst []byte) []byte { return wire.AppendEmpty(dst, wire.Terminate) })
	_ = s.up.out.Flush()
	_ = s.up.conn.Close()
	s.background.Wait()
	s.close(reason)
}

// close releases what the session held, and records the commands whose end
// nobody has seen.
func (s *session) close(reason string) {
	s.server.keys.remove(s)
	s.catalog.Release()
	s.stop(nil)
	_ = s.up.conn.Close()
	s.settleAccounts()
	if cause := context.Cause(s.ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		var r *refusal.Refusal
		if errors.As(cause, &r) {
			reason = string(r.Code) + ": " + r.Message
		}
	}
	s.gate.Close(reason)
}

// settleAccounts gives an outcome to every command that has none yet.
func (s *session) settleAccounts() {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.queue {
		if e.kind == ofQuery || e.kind == ofExecute {
			e.run().finish(statusUnknown, "", unanswered)
		}
		for _, r := range e.runs {
			if e.kind == ofQuery { // the target has the whole text, and may be further on
				r.finish(statusUnknown, "", unanswered)
			}
			r.finish(statusNotExecuted, "", "")
		}
		e.portal.drop()
		e.replaced.drop()
	}
	p.queue = nil
	for _, portal := range s.names.portals {
		portal.drop()
	}
	for _, r := range s.done { // nobody has heard whether their transaction was committed
		r.finish(statusUnknown, "", unanswered)
	}
	s.done = nil
}

const unanswered = "the connection ended before the target answered"

func appendNotice(w *wire.Writer, n seam.Notice) error {
	return w.Append(func(dst []byte) []byte { return wire.AppendReport(dst, wire.NoticeResponse, notice(n)) })
}
