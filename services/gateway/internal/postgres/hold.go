package postgres

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// hold is the client's side of a decision that may take long. active, ctx and
// cancel are guarded by pipeline.mu.
type hold struct {
	active bool
	ctx    context.Context //nolint:containedctx // shared by admissions until one is cancelled
	cancel context.CancelCauseFunc
}

func (h *hold) renew(ctx context.Context) { h.ctx, h.cancel = context.WithCancelCause(ctx) }

// admit asks for the leave to run a command. While it is held the client is
// watched: when it goes away or cancels, so does the hold.
func (s *session) admit(c *seam.Command) (seam.Permit, error) {
	ctx, over := s.cancellable()
	defer over()
	var once sync.Once
	stop := func() {}
	c.Notify = func(n seam.Notice) {
		_ = appendNotice(s.out, n)
		_ = s.flushClient()
		once.Do(func() { stop = s.watch(n) })
	}
	permit, err := s.gate.Admit(ctx, c)
	stop()
	if err != nil && errors.Is(context.Cause(ctx), seam.ErrClientCancelled) && !isCode(err, refusal.ApprovalCancelled) {
		err = seam.ErrClientCancelled // whatever it got in the way of
	}
	return permit, err //nolint:wrapcheck // a refusal, for the client
}

func isCode(err error, code refusal.Code) bool {
	var r *refusal.Refusal
	return errors.As(err, &r) && r.Code == code
}

// watch looks at the client while its command is held, and reminds it that it
// is. What the client sends meanwhile is kept, up to a bound.
func (s *session) watch(n seam.Notice) (stop func()) {
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			more, err := s.in.Ahead(maxAhead)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			gone := err != nil
			s.in.Waiting(func(typ byte) bool {
				gone = gone || typ == wire.Terminate
				return !gone
			})
			if gone {
				s.cancelHold(seam.ErrClientGone)
			}
			if !more || gone {
				return
			}
		}
	})
	over := make(chan struct{})
	watching.Go(func() {
		t := time.NewTicker(s.server.limits.Reminder)
		defer t.Stop()
		for {
			select {
			case <-over:
				return
			case <-t.C:
				_ = appendNotice(s.out, seam.Notice{Code: n.Code, Message: "still held for approval", Detail: n.Detail, Hint: n.Hint})
				_ = s.flushClient()
			}
		}
	})
	return func() {
		close(over)
		_ = s.client.SetReadDeadline(time.Now())
		watching.Wait()
		_ = s.client.SetReadDeadline(time.Time{})
		if s.ctx.Err() != nil { // over, perhaps just now: reading must end
			_ = s.client.SetReadDeadline(time.Now())
		}
	}
}

func (s *session) cancelHold(cause error) {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	s.hold.cancel(cause)
}

// cancel serves a request to cancel: of a hold, or of what runs on the target.
// It returns when the target has been told, so that a cancel never meets a
// later command: the client's goroutine forwards nothing in between.
func (s *session) cancel() {
	p := s.pipeline
	p.mu.Lock()
	if s.hold.active {
		s.hold.cancel(seam.ErrClientCancelled)
		p.mu.Unlock()
		return
	}
	if len(p.queue) == 0 || p.over {
		p.mu.Unlock()
		return
	}
	p.cancels++
	p.mu.Unlock()
	err := s.up.cancel()
	p.mu.Lock()
	p.cancels--
	p.moved.Broadcast()
	p.mu.Unlock()
	if err != nil {
		s.log.Warn().Err(err).Msg("a request to cancel did not reach the target")
	}
}

// closedInOrder reports that a read failed because the client has closed its side in
// order, having said all it has to say.
func closedInOrder(err error) bool { return errors.Is(err, io.EOF) }
