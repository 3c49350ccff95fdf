// Package dev is gatestay dev: the whole product in one process, on an
// embedded NATS server and a real ClickHouse child process, with a local OIDC
// issuer and a local Slack workspace standing in for the cloud's.
//
// Everything listens on loopback only. Its issuer is accepted nowhere else.
package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// Options says what to run.
type Options struct {
	Dir string // data, keys, configuration; made where missing
	// Sample brings a PostgreSQL 18 with a small shop in it as target prod-db.
	Sample   bool
	Log      zerolog.Logger
	Progress func(string) // one line each, may be nil
}

// Instance is a running gatestay dev.
type Instance struct {
	Dev      cli.Dev
	Dir      string
	Ready    time.Duration // from the start to ready, without the sample
	parts    *parts
	services *services
	group    *errgroup.Group
	cancel   context.CancelFunc
	unlock   func()
	layout   layout
}

// Start returns when everything is ready. Stop ends it.
func Start(ctx context.Context, o Options) (_ *Instance, err error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("dev: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("dev: %w", err)
	}
	i := &Instance{Dir: dir, layout: layout{dir}}
	if i.unlock, err = i.layout.lock(); err != nil {
		return nil, err
	}
	_ = os.Remove(i.layout.dev()) // not ready yet
	// What runs outlives the context of the start; Stop ends it.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	i.cancel = cancel
	i.group, running = errgroup.WithContext(running)
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Stop(context.WithoutCancel(ctx)))
		}
	}()
	var shop *sample
	if o.Sample {
		if shop, err = startSample(ctx, i.layout, o); err != nil {
			return nil, err
		}
	}
	begun := time.Now()
	if err = errors.Join(i.layout.prepare(shop), i.layout.certificate()); err != nil {
		return nil, err
	}
	if i.parts, err = startParts(ctx, i.layout, o); err != nil {
		return nil, err
	}
	i.parts.sample = shop
	i.parts.run(running, i.group)
	cfg, err := config.Load(i.layout.config())
	if err != nil {
		return nil, err
	}
	cfg.Overlay = i.parts.overlay(i.layout)
	cfg.Overlay(cfg)
	if i.services, err = newServices(cfg, i.parts, o.Log); err != nil { //nolint:contextcheck // what New makes lives as long as the service
		return nil, err
	}
	i.services.run(running, i.group)
	if err = i.services.ready(ctx, running); err != nil {
		return nil, err
	}
	i.Ready = time.Since(begun)
	i.Dev = i.parts.describe(i.layout, i.services, cfg)
	if err = i.write(i.Dev); err != nil {
		return nil, err
	}
	dev := i.Dev
	i.group.Go(func() error { return i.follow(running, cfg, dev, o.Log) })
	return i, nil
}

// follow keeps the targets of dev.json as they are in gatestay.yaml.
func (i *Instance) follow(ctx context.Context, cfg *config.Config, d cli.Dev, log zerolog.Logger) error {
	refresh := func() {
		next, err := cfg.Reload()
		if err != nil {
			return // the services say why
		}
		if names := slices.Sorted(maps.Keys(next.Targets)); !slices.Equal(names, d.Targets) {
			d.Targets = names
			if err := i.write(d); err != nil {
				log.Warn().Err(err).Msg("dev.json does not name the new targets")
			}
		}
	}
	refresh() // what was saved during the start
	return config.Watch(ctx, cfg.File, log, refresh)
}

// write leaves dev.json: whoever finds it may connect.
func (i *Instance) write(d cli.Dev) error {
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	tmp := i.layout.dev() + ".new"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	if err := os.Rename(tmp, i.layout.dev()); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	return nil
}

// Wait blocks until something fails or Stop is called.
func (i *Instance) Wait() error { return i.group.Wait() }

// Stop drains the services, then ends the servers below them.
func (i *Instance) Stop(ctx context.Context) error {
	_ = os.Remove(i.layout.dev())
	i.cancel()
	err := i.group.Wait()
	_ = os.Remove(i.layout.dev()) // a change of the last moment
	if i.parts != nil {
		err = errors.Join(err, i.parts.stop(ctx))
	}
	i.unlock()
	return err
}
