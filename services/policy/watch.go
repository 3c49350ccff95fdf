package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy/internal/folder"
	"github.com/gatestay/gatestay/services/policy/internal/target"
)

// retry is the pause after something on the bus failed.
const retry = time.Second

// watchBucket calls changed when somebody wrote to, or emptied, the bucket: a
// replica, whose bundle is then current, or a forger, whose bundle is replaced.
func watchBucket(ctx context.Context, kv jetstream.KeyValue, log zerolog.Logger, changed func()) error {
	for ctx.Err() == nil {
		if err := followBucket(ctx, kv, changed); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("bucket watch interrupted; trying again")
			wait(ctx, retry)
		}
	}
	return nil
}

func followBucket(ctx context.Context, kv jetstream.KeyValue, changed func()) error {
	w, err := kv.Watch(ctx, bus.BundleKey, jetstream.MetaOnly())
	if err != nil {
		return fmt.Errorf("policy: watch the bucket: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return fmt.Errorf("policy: the bucket watch ended")
			}
			if e != nil {
				changed()
			}
		}
	}
}

// targetWatch follows the targets of gatestay.yaml.
type targetWatch struct {
	cfg      *config.Config
	kv       jetstream.KeyValue
	log      zerolog.Logger
	record   func(context.Context, *eventv1.Record) error
	surround func(policy.Surroundings)
}

func (t *targetWatch) run(ctx context.Context) error {
	t.sync(ctx, t.cfg)
	if t.cfg.File == "" {
		<-ctx.Done()
		return nil
	}
	return config.Watch(ctx, t.cfg.File, t.log, func() {
		next, err := t.cfg.Reload()
		if err != nil {
			t.log.Error().Err(err).Msg("configuration rejected; the last good one stays")
			return
		}
		t.surround(folder.Surroundings(next))
		t.sync(ctx, next)
	})
}

// sync records what changed, again and again until the bus has it.
func (t *targetWatch) sync(ctx context.Context, cfg *config.Config) {
	for ctx.Err() == nil {
		changes, err := target.Sync(ctx, t.kv, target.Of(cfg))
		if err == nil {
			t.tell(ctx, cfg, changes)
			return
		}
		t.log.Warn().Err(err).Msg("targets not compared; trying again")
		wait(ctx, retry)
	}
}

func (t *targetWatch) tell(ctx context.Context, cfg *config.Config, changes []target.Change) {
	for _, c := range changes {
		known := cfg.Targets[c.Name]
		t.log.Info().Str("target", c.Name).Str("action", c.Action).Msg("target changed")
		err := t.record(ctx, &eventv1.Record{
			Kind: eventv1.Kind_KIND_ADMIN, Action: c.Action, Actor: "file watch", Target: c.Name,
			Environment: known.Environment, Protocol: known.Protocol, Details: c.Fields,
		})
		if err != nil {
			t.log.Error().Err(err).Str("target", c.Name).Msg("target change not recorded")
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
