package run

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// CanInside asks from inside a run what may be done on a target, with the run's
// own credential: through the run's socket, or with PGPASSWORD after --direct.
// ok is false outside a run. at is the moment of the question, as RFC 3339 writes
// it; empty: now.
func CanInside(ctx context.Context, env *cli.Env, target, at string) (raw json.RawMessage, ok bool, err error) {
	if socket := env.Getenv(SocketVariable); socket != "" {
		raw, err = askSocket(ctx, socket, target, at)
		return raw, true, err
	}
	password := env.Getenv("PGPASSWORD")
	if env.Getenv(RunVariable) == "" || !strings.HasPrefix(password, "gsr_") {
		return nil, false, nil
	}
	g, err := NewGateway(env)
	if err != nil {
		return nil, true, err
	}
	defer g.Close()
	raw, err = g.Can(ctx, Credential(password), target, at)
	return raw, true, err
}

func askSocket(ctx context.Context, socket, target, at string) (json.RawMessage, error) {
	client := &http.Client{Timeout: callTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://run/v1/can?"+asked(target, at), nil)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("run: this run (%s) has ended: %w", SocketVariable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return answered(resp, raw)
}
