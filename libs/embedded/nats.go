package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

const natsUser = "gatestay"

// NATSOptions says how a NATS server runs.
type NATSOptions struct {
	Dir string // of JetStream's files; created where missing, kept afterwards
	Log zerolog.Logger
	// Listen opens a loopback port; without it only InProcess connects.
	Listen bool
	// Address is the loopback host:port to listen on; empty chooses a free one.
	Address string
	// SyncAlways makes JetStream acknowledge only after fsync. Without it an
	// acknowledged message can be lost when the machine, not the process, fails.
	SyncAlways bool
	// Password, where given, is demanded of the user gatestay, in this process too.
	Password string
	// Name appears in the server's monitoring; default gatestay.
	Name string
}

// NATSServer is a server inside this process.
type NATSServer struct {
	URL      string // nats://[user:password@]host:port; empty without Listen
	password string
	server   *server.Server
}

// NATS starts a server with file-backed JetStream and returns it ready.
func NATS(ctx context.Context, o NATSOptions) (*NATSServer, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded: nats: %w", err)
	}
	options := &server.Options{
		ServerName: or(o.Name, "gatestay"), DontListen: !o.Listen, JetStream: true, StoreDir: dir,
		SyncAlways: o.SyncAlways, NoSigs: true,
		JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 64 << 30,
	}
	if o.Password != "" {
		options.Username, options.Password = natsUser, o.Password
	}
	if o.Listen {
		host, port, err := net.SplitHostPort(or(o.Address, "127.0.0.1:0"))
		if err != nil {
			return nil, fmt.Errorf("embedded: nats: address: %w", err)
		}
		options.Host = host
		if options.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("embedded: nats: address: %w", err)
		}
		if options.Port == 0 {
			options.Port = server.RANDOM_PORT
		}
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("embedded: nats: %w", err)
	}
	log := &natsLog{log: o.Log.With().Str("component", "nats").Logger()}
	s.SetLoggerV2(log, false, false, false)
	n := &NATSServer{server: s, password: o.Password}
	s.Start() // returns; what it cannot start it only reports to the logger
	for !s.ReadyForConnections(50 * time.Millisecond) {
		if ctx.Err() != nil || log.fatal() != nil || !s.Running() {
			s.Shutdown()
			s.WaitForShutdown()
			return nil, fmt.Errorf("embedded: nats did not start: %w", errors.Join(ctx.Err(), log.fatal()))
		}
	}
	if o.Listen {
		n.URL = s.ClientURL()
		if o.Password != "" {
			n.URL = strings.Replace(n.URL, "://", "://"+url.UserPassword(natsUser, o.Password).String()+"@", 1)
		}
	}
	return n, nil
}

// InProcess is the option with which nats.Connect reaches this server without a
// socket; the URL given beside it does not matter.
func (n *NATSServer) InProcess() nats.Option {
	return func(o *nats.Options) error {
		if n.password != "" {
			o.User, o.Password = natsUser, n.password
		}
		return nats.InProcessServer(n.server)(o)
	}
}

// Stop ends the server and waits for it, at most until ctx ends.
func (n *NATSServer) Stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.server.Shutdown()
		n.server.WaitForShutdown()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("embedded: nats: still stopping: %w", ctx.Err())
	}
}

// natsLog passes the server's warnings on and keeps the last fatal one. Its
// notices (start, configuration, streams) are of no interest at info level; none
// of its messages hold payloads.
type natsLog struct {
	log  zerolog.Logger
	last atomic.Pointer[string]
}

func (l *natsLog) fatal() error {
	if s := l.last.Load(); s != nil {
		return errors.New(*s)
	}
	return nil
}

// Fatalf logs what ends the server.
func (l *natsLog) Fatalf(format string, v ...any) {
	s := fmt.Sprintf(format, v...)
	l.last.Store(&s)
	l.log.Error().Str("detail", s).Msg("nats cannot run")
}

// Errorf logs an error.
func (l *natsLog) Errorf(format string, v ...any) {
	l.log.Error().Str("detail", fmt.Sprintf(format, v...)).Msg("nats error")
}

// Warnf logs a warning.
func (l *natsLog) Warnf(format string, v ...any) {
	l.log.Warn().Str("detail", fmt.Sprintf(format, v...)).Msg("nats warning")
}

// Noticef logs what the server thinks worth a line, at debug level.
func (l *natsLog) Noticef(format string, v ...any) {
	l.log.Debug().Str("detail", fmt.Sprintf(format, v...)).Msg("nats notice")
}

// Debugf is dropped.
func (l *natsLog) Debugf(string, ...any) {}

// Tracef is dropped.
func (l *natsLog) Tracef(string, ...any) {}
