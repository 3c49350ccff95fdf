package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// profiled is how long the gateway's CPU is watched, in the middle of a load.
const profiled = 5 * time.Second

// profile loads the gateway with what the figures' first match is about, and
// keeps a CPU profile beside an allocation profile; of idle connections, what
// lies in memory beside the goroutines.
func profile(ctx context.Context, g *kit.Gatestay, all [2][]*contender, t *table) error {
	for _, set := range all {
		for _, c := range set {
			if !c.records {
				continue
			}
			for _, clients := range t.options.Clients {
				for _, protocol := range protocols {
					if !c.results && t.chose("select") && t.wants(selectName(protocol, clients, c.name, c.tls)) {
						return t.watch(ctx, g, selectName(protocol, clients, c.name, c.tls), func(ctx context.Context, via connection) error {
							_, err := pgbench(ctx, via, protocol, clients, int((profiled + 2*time.Second).Seconds()), c.cpu)
							return err
						}, c)
					}
				}
			}
			for _, b := range bulks {
				name := withTLS(b.figure+c.name, c.tls)
				if !t.chose("rows") || !t.wants(name) {
					continue
				}
				return t.watch(ctx, g, name, func(ctx context.Context, _ connection) error {
					for began := time.Now(); time.Since(began) < profiled+2*time.Second; {
						if _, _, err := c.large(ctx, b); err != nil {
							return err
						}
					}
					return nil
				}, c)
			}
			if name := withTLS("postgres/idle_connection/"+c.name, c.tls); t.chose("idle") && t.wants(name) {
				t.options.Log("profile: " + name)
				_, err := c.idle(ctx, func() error {
					base := g.Health(kit.Gateway) + "/debug/pprof/"
					return errors.Join(fetch(ctx, base+"heap", t.options.Profile), fetch(ctx, base+"goroutine", t.options.Profile+".goroutines"))
				})
				return err
			}
		}
	}
	return errors.New("bench: --profile: nothing of the gateway matches")
}

func (t *table) watch(ctx context.Context, g *kit.Gatestay, name string, load func(context.Context, connection) error, c *contender) error {
	via, err := c.connect(ctx)
	if err != nil {
		return err
	}
	t.options.Log("profile: " + name)
	done := make(chan error, 1)
	go func() { done <- load(ctx, via) }()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	base := g.Health(kit.Gateway) + "/debug/pprof/"
	err = errors.Join(
		fetch(ctx, base+fmt.Sprintf("profile?seconds=%d", int(profiled.Seconds())), t.options.Profile),
		fetch(ctx, base+"allocs", t.options.Profile+".allocs"),
	)
	return errors.Join(err, <-done)
}

func fetch(ctx context.Context, url, to string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("bench: profile: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, raw)
	}
	if err != nil {
		return fmt.Errorf("bench: profile: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}
