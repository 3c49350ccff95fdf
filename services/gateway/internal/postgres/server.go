package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Protocol is this adapter's name in seam.Credentials.
const Protocol = "postgres"

// Options is what a Server needs.
type Options struct {
	// TLS is the server side; only certificates, or GetCertificate, are needed.
	TLS *tls.Config
	// AllowPlaintext takes sessions without TLS. Tokens then cross the network
	// in the clear: for loopback and Unix sockets.
	AllowPlaintext bool
	// Bearer asks clients that do not choose for their token by OAUTHBEARER, in
	// place of the password that every client can give.
	Bearer bool
	// Discovery is what a client without a token is told.
	Discovery Discovery
	Gate      seam.Gate
	Log       zerolog.Logger
	Limits    Limits
	// Facts is the cache of parsed texts, 32 MiB of its own where nil.
	Facts *pgfacts.Cache
	Hooks Hooks
}

// Hooks are told what happens, for metrics; each may be nil.
type Hooks struct {
	Opened   func()
	Closed   func()
	Rejected func(reason string) // startup, crowded, login
}

// Server takes PostgreSQL clients. It is safe for concurrent use.
type Server struct {
	tls         *tls.Config
	plain       bool
	bearer      bool
	discovery   Discovery
	gate        seam.Gate
	log         zerolog.Logger
	limits      Limits
	facts       *pgfacts.Cache
	hooks       Hooks
	room        *room
	keys        *keyring
	elders      elders
	authorities authorities
	catalogs    *catalog.Cache
	aside       aside
}

// New returns a Server. Either TLS or AllowPlaintext is required.
func New(o Options) (*Server, error) {
	if o.Gate == nil {
		return nil, errors.New("postgres: a gate is required")
	}
	if o.TLS == nil && !o.AllowPlaintext {
		return nil, errors.New("postgres: TLS is required, or AllowPlaintext")
	}
	s := &Server{plain: o.AllowPlaintext, bearer: o.Bearer, discovery: o.Discovery, gate: o.Gate, log: o.Log, limits: o.Limits.withDefaults(), facts: o.Facts, hooks: o.Hooks, keys: newKeyring()}
	if o.TLS != nil {
		s.tls = o.TLS.Clone()
		s.tls.MinVersion = max(s.tls.MinVersion, tls.VersionTLS12)
		s.tls.NextProtos = []string{alpn}
	}
	if s.facts == nil {
		s.facts = pgfacts.NewCache(32 << 20)
	}
	s.room = newRoom(s.limits.Unauthenticated)
	s.catalogs = catalog.New(s.limits.Catalog, o.Log)
	return s, nil
}

// Serve accepts clients until ctx ends; then it lets running commands end, for
// Limits.Drain at most, and returns nil when the last session is over.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer func() { _ = l.Close() }()
	var connections sync.WaitGroup
	defer s.catalogs.Wait()
	defer connections.Wait()
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("postgres: accept: %w", err)
			}
			// Out of file descriptors, most likely: it passes when sessions end.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn().Err(err).Msg("accepting a connection failed")
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		connections.Go(func() { s.serve(ctx, conn) })
	}
}

// serve takes one connection from its first byte to its last.
func (s *Server) serve(ctx context.Context, raw net.Conn) {
	defer func() { _ = raw.Close() }()
	defer s.survive("connection", nil)
	keepAlive(raw)
	raw = wire.NewConn(raw)
	leave, evicted := s.room.enter(raw)
	defer leave()
	if evicted {
		s.rejected("crowded")
	}
	_ = raw.SetDeadline(time.Now().Add(s.limits.Startup))
	c, first, err := s.negotiate(raw)
	if err != nil {
		s.rejected("startup")
		s.log.Debug().Err(err).Str("remote", raw.RemoteAddr().String()).Msg("a connection ended before it said what it wants")
		return
	}
	if first.cancel != nil {
		s.keys.cancel(first.cancel.pid, first.cancel.key)
		return
	}
	session, err := s.open(ctx, c, first)
	if err != nil {
		s.rejected("login")
		s.turnAway(c, err)
		return
	}
	leave()
	if s.hooks.Opened != nil {
		s.hooks.Opened()
	}
	session.run(ctx)
	if s.hooks.Closed != nil {
		s.hooks.Closed()
	}
}

func (s *Server) rejected(reason string) {
	if s.hooks.Rejected != nil {
		s.hooks.Rejected(reason)
	}
}

// survive keeps a bug that one connection meets from ending all the others. To
// be deferred.
func (s *Server) survive(what string, then func()) {
	r := recover()
	if r == nil {
		return
	}
	// A runtime error quotes indexes and types; any other value may quote anything.
	bug := fmt.Sprintf("%T", r)
	if e, ok := r.(runtime.Error); ok {
		bug = e.Error()
	}
	s.log.Error().Str("panic", bug).Bytes("stack", debug.Stack()).Str("in", what).Msg("a connection was ended by a bug in the gateway")
	if then != nil {
		then()
	}
}

func keepAlive(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(keepAliveConfig())
	}
}

// keepAliveConfig notices a dead peer in about a minute, and keeps a held
// connection open in the eyes of firewalls between.
func keepAliveConfig() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 4}
}
