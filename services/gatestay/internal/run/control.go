package run

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// controlSocket is the name of the socket beside that of PostgreSQL on which
// 'gatestay can' asks from inside a run, where no token is left.
const controlSocket = "gatestay.sock"

// control answers GET /v1/can with the run's credential, and nothing else.
type control struct {
	gateway    *Gateway
	credential Credential
	target     string
}

// serve answers until ctx ends.
func (c *control) serve(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/can", c.can)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ownersOnly{l}) }()
	<-ctx.Done()
	_ = server.Close()
	<-done
}

func (c *control) can(w http.ResponseWriter, r *http.Request) {
	target := r.URL.Query().Get("target")
	if target == "" {
		target = c.target
	}
	raw, err := c.gateway.Can(r.Context(), c.credential, target, r.URL.Query().Get("at"))
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_, _ = w.Write(raw) //nolint:gosec // JSON from the gateway, said to be so
		return
	}
	refused := &Refused{Status: http.StatusBadGateway, Message: err.Error()}
	_ = errors.As(err, &refused)
	w.WriteHeader(refused.Status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": refused.Code, "message": refused.Message, "detail": refused.Detail, "hint": refused.Hint})
}

// ownersOnly closes connections of other users.
type ownersOnly struct{ net.Listener }

// Accept returns the next connection of our own user.
func (l ownersOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // http.Server looks at it
		}
		if sameUser(c) {
			return c, nil
		}
		_ = c.Close()
	}
}
