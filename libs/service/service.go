// Package service is the life cycle that all services share: flags, logging,
// health, metrics, signals and supervised shutdown.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"golang.org/x/term"

	"github.com/gatestay/gatestay/libs/loopback"
)

// Logger writes JSON, or a console form where w is a terminal.
func Logger(w *os.File, name string, level zerolog.Level) zerolog.Logger {
	var out io.Writer = w
	if term.IsTerminal(int(w.Fd())) {
		out = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Str("service", name).Logger()
}

// Signals returns a context that ends at SIGINT or SIGTERM.
func Signals() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
}

// Health answers /healthz, /readyz and /metrics. Ready is all its checks.
type Health struct {
	Registry *prometheus.Registry

	mu     sync.Mutex
	checks map[string]func() error
}

// NewHealth returns a Health with the Go and process collectors registered.
func NewHealth() *Health {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Health{Registry: r, checks: map[string]func() error{}}
}

// Check adds a readiness check. It must return quickly.
func (h *Health) Check(name string, f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = f
}

// Ready returns every failing check, joined; nil when all pass.
func (h *Health) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for name, f := range h.checks {
		if err := f(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Mount adds the three endpoints to a mux. Open to all who reach them, they are
// not for a page that rebinds a name. Profiles are there, too, where
// ProfileVariable asks for them.
func (h *Health) Mount(mux *http.ServeMux) {
	mountProfiles(mux)
	mux.HandleFunc("GET /healthz", loopback.Guard(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }))
	mux.HandleFunc("GET /readyz", loopback.Guard(func(w http.ResponseWriter, _ *http.Request) {
		if err := h.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	}))
	mux.HandleFunc("GET /metrics", loopback.Guard(promhttp.HandlerFor(h.Registry, promhttp.HandlerOpts{}).ServeHTTP))
}

// ServeHTTP serves a handler on a listener until ctx ends, then shuts down
// within five seconds. It returns nil on a clean end.
func ServeHTTP(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("service: serve http: %w", err)
	case <-ctx.Done():
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		_ = server.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("service: serve http: %w", err)
	}
	return nil
}
