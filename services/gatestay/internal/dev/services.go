package dev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/services/approval"
	"github.com/gatestay/gatestay/services/archival"
	"github.com/gatestay/gatestay/services/gateway"
	"github.com/gatestay/gatestay/services/masking"
	"github.com/gatestay/gatestay/services/policy"
)

const readyLimit = 30 * time.Second

// services are the five, in one process.
type services struct {
	policy   *policy.Service
	masking  *masking.Service
	approval *approval.Service
	archival *archival.Service
	gateway  *gateway.Service
}

// newServices makes those that sign before the one that trusts their keys.
func newServices(cfg *config.Config, p *parts, log zerolog.Logger) (*services, error) {
	bus := []nats.Option{p.nats.InProcess()}
	named := func(name string) zerolog.Logger { return log.With().Str("service", name).Logger() }
	s := &services{}
	var err error
	if s.policy, err = policy.New(cfg, policy.Deps{Log: named("policy"), Bus: bus}); err != nil {
		return nil, err
	}
	if s.masking, err = masking.New(cfg, masking.Deps{Log: named("masking"), Bus: bus}); err != nil {
		return nil, err
	}
	if s.approval, err = approval.New(cfg, approval.Deps{Log: named("approval"), Bus: bus}); err != nil {
		return nil, err
	}
	if err := gateway.Keys(cfg); err != nil { // archival trusts them
		return nil, err
	}
	if s.archival, err = archival.New(cfg, archival.Deps{Log: named("archival"), Bus: bus}); err != nil {
		return nil, err
	}
	if s.gateway, err = gateway.New(cfg, gateway.Deps{Log: named("gateway"), Bus: bus}); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *services) run(ctx context.Context, group *errgroup.Group) {
	for name, run := range map[string]func(context.Context) error{
		"policy": s.policy.Run, "masking": s.masking.Run, "approval": s.approval.Run, "archival": s.archival.Run, "gateway": s.gateway.Run,
	} {
		group.Go(func() error {
			if err := run(ctx); err != nil {
				return fmt.Errorf("dev: %s: %w", name, err)
			}
			return nil
		})
	}
}

// ready waits until all five are, or one has failed.
func (s *services) ready(ctx, running context.Context) error {
	deadline := time.NewTimer(readyLimit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := errors.Join(s.policy.Ready(), s.masking.Ready(), s.approval.Ready(), s.archival.Ready(), s.gateway.Ready())
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-running.Done():
			return context.Cause(running)
		case <-deadline.C:
			return fmt.Errorf("dev: not ready after %s:\n%w", readyLimit, err)
		case <-tick.C:
		}
	}
}
