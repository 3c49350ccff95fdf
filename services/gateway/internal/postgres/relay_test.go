package postgres_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// relay stands between the gateway and a real target, as whoever owns the wire
// could: it sees the first packet of each connection and may answer in the
// target's place. The target is reached without TLS.
type relay struct {
	addr string
	// meet, where set, is given each connection and its first packet before the
	// target is; it reports whether the target may have both.
	meet func(c net.Conn, first *wire.Startup) bool

	mu    sync.Mutex
	first []*wire.Startup
	conns []net.Conn
}

// newRelay starts a relay; meet may be nil.
func newRelay(t testing.TB, meet func(c net.Conn, first *wire.Startup) bool) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), meet: meet}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.keep(c)
			all.Go(func() { r.serve(t, c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		all.Wait()
	})
	return r
}

func (r *relay) keep(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
}

func (r *relay) serve(t testing.TB, c net.Conn) {
	defer func() { _ = c.Close() }()
	first, err := wire.ReadStartup(c)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.first = append(r.first, first)
	r.mu.Unlock()
	if r.meet != nil && !r.meet(c, first) {
		return
	}
	up, err := net.Dial("tcp", target.Address)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = up.Close() }()
	r.keep(up)
	head := binary.BigEndian.AppendUint32(nil, uint32(8+len(first.Body)))
	if _, err := up.Write(append(binary.BigEndian.AppendUint32(head, first.Code), first.Body...)); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(up, c)
		_ = up.Close()
	}()
	_, _ = io.Copy(c, up)
	_ = c.Close()
	<-done
}

// packets returns the first packets seen so far.
func (r *relay) packets() []*wire.Startup {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*wire.Startup(nil), r.first...)
}
