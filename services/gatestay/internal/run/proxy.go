package run

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// grace is how long connections may take to end after the child has.
const grace = 2 * time.Second

// proxy gives the child connections to the gateway without credentials.
type proxy struct {
	gateway    *Gateway
	credential Credential
	password   string // that the child must give (--tcp); empty: none
	most       int    // connections at once, cancel requests included

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// serve takes connections until ctx ends and the listener is closed. It returns
// when all connections have ended: after ctx has ended they have a moment to do
// so by themselves.
func (p *proxy) serve(ctx context.Context, l net.Listener) {
	p.mu.Lock()
	p.open = map[net.Conn]struct{}{}
	p.mu.Unlock()
	// Sessions outlive ctx for the moment of grace.
	sessions, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.accept(sessions, l)
	}()
	<-ctx.Done()
	_ = l.Close()
	select {
	case <-done:
	case <-time.After(grace):
		cut()
		p.cutAll()
		<-done
	}
}

// accept returns when the listener is closed and every connection has ended.
func (p *proxy) accept(ctx context.Context, l net.Listener) {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	slots := make(chan struct{}, p.most)
	for {
		slots <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !pause(ctx) {
				return
			}
			<-slots
			continue
		}
		sessions.Go(func() {
			defer func() { <-slots }()
			defer func() { _ = conn.Close() }()
			if sameUser(conn) && p.track(conn) {
				defer p.untrack(conn)
				p.session(ctx, conn)
			}
		})
	}
}

// pause waits a little after a failure that may pass, such as too many open
// files; false: ctx has ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

// track remembers a connection so that it can be cut; false: it is too late.
func (p *proxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *proxy) untrack(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.open {
		_ = c.Close()
	}
}
