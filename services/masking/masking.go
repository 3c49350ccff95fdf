// Package masking is the service that owns the masking rules: it validates,
// versions, signs and publishes them, and takes the second, deeper look at
// every record before it is archived.
package masking

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/bus/publish"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/libs/service"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/masking/internal/api"
	"github.com/gatestay/gatestay/services/masking/internal/keeper"
	"github.com/gatestay/gatestay/services/masking/internal/look"
	"github.com/gatestay/gatestay/services/masking/internal/relay"
)

const (
	// closeLimit bounds the wait for the last records at shutdown.
	closeLimit = 3 * time.Second
	// again is the pause before what ended on the bus is started again.
	again = time.Second
)

// carried are the streams that get the second look.
var carried = []string{bus.StreamRecords, bus.StreamAdmin}

// Deps are what the service does not make itself.
type Deps struct {
	Log zerolog.Logger
	// Bus are extra connection options: the in-process server of gatestay dev.
	Bus []nats.Option
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service is the masking service.
type Service struct {
	cfg      *config.Config
	deps     Deps
	name     string // producer: masking/<instance>
	instance string
	key      *seal.Key
	trust    seal.Trust // whose bundles count
	listener net.Listener
	handler  http.Handler
	health   *service.Health
	keeper   *keeper.Keeper
	metrics  *metrics
	records  *recorder
	looker   *look.Looker
	bus      atomic.Pointer[bus.Bus] // while connected
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// New validates the configuration, loads the keys and opens the listener, so
// that its address is known.
func New(cfg *config.Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Service{cfg: cfg, deps: deps, instance: cfg.Masking.Instance, health: service.NewHealth(), records: newRecorder(deps.Log)}
	if s.instance == "" {
		s.instance = "1"
	}
	s.name = "masking/" + s.instance
	if err := s.validate(); err != nil {
		return nil, err
	}
	if err := s.loadKeys(); err != nil {
		return nil, err
	}
	persons, err := identity.NewPersonVerifier(cfg.People, cfg.Dir, deps.Now)
	if err != nil {
		return nil, fmt.Errorf("masking: %w", err)
	}
	s.keeper = keeper.New(cfg.Path(cfg.Masking.Dir), s.targets(), deps.Log, s.records.record)
	s.metrics = newMetrics(s.health.Registry, s.keeper.Status)
	s.health.Check("masking bundle", s.keeper.Ready)
	s.health.Check("bus", s.busReady)
	s.health.Check("second look", s.relaysReady)
	mux := http.NewServeMux()
	s.health.Mount(mux)
	(&api.API{Status: s.keeper.Status, Streams: s.metrics.snapshot, Persons: persons, SignIn: cfg.People.Issuer != ""}).Mount(mux)
	s.handler = mux
	if s.listener, err = net.Listen("tcp", cfg.Masking.Listen); err != nil {
		return nil, fmt.Errorf("masking: listen: %w", err)
	}
	return s, nil
}

func (s *Service) validate() error {
	var errs []error
	need := func(value, path, remedy string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("  $.masking.%s: missing; %s", path, remedy))
		}
	}
	m := s.cfg.Masking
	need(m.Dir, "dir", "name the folder of the masks, e.g. masking")
	need(m.Key, "key", "name a file; it is made when missing")
	need(m.Listen, "listen", "e.g. 127.0.0.1:9102")
	if !instanceName.MatchString(s.instance) {
		errs = append(errs, fmt.Errorf("  $.masking.instance: %q may hold letters, digits, - and _ only (it becomes part of a bus subject)", s.instance))
	}
	if len(errs) > 0 {
		return fmt.Errorf("masking: configuration:\n%w", errors.Join(errs...))
	}
	return nil
}

// loadKeys loads the signing key, whose bundles count beside its own, and whose
// batches.
func (s *Service) loadKeys() error {
	var err error
	if s.key, err = seal.LoadOrGenerate(s.cfg.Path(s.cfg.Masking.Key)); err != nil {
		return fmt.Errorf("masking: %w", err)
	}
	s.trust = s.key.Public()
	others, err := seal.LoadTrust(s.cfg.Paths(s.cfg.Trust.Masking)...)
	if err != nil {
		return fmt.Errorf("masking: trust.masking: %w", err)
	}
	maps.Copy(s.trust, others)
	s.looker = &look.Looker{Key: s.key, Self: s.name, Deep: masking.Deep}
	if len(s.cfg.Trust.Records) > 0 {
		p := &producers{paths: s.cfg.Paths(s.cfg.Trust.Records), own: s.key.Public()}
		s.looker.Verify = p.verify
	}
	return nil
}

// targets returns the configured targets as they are in gatestay.yaml now.
func (s *Service) targets() func() []string {
	return func() []string {
		cfg := s.cfg
		if cfg.File != "" {
			if fresh, err := cfg.Reload(); err == nil {
				cfg = fresh
			}
		}
		return slices.Collect(maps.Keys(cfg.Targets))
	}
}

// Addr returns the address of the HTTP API.
func (s *Service) Addr() string { return s.listener.Addr().String() }

// Ready reports whether a bundle is published and records are being carried.
func (s *Service) Ready() error { return s.health.Ready() }

func (s *Service) busReady() error {
	b := s.bus.Load()
	if b == nil {
		return errors.New("not connected yet")
	}
	return b.Ready()
}

func (s *Service) relaysReady() error {
	for _, stream := range s.metrics.snapshot() {
		if !stream.Running {
			return fmt.Errorf("stream %s is not being read", stream.Name)
		}
	}
	return nil
}

// Run serves until ctx ends. It waits for the bus by itself.
func (s *Service) Run(ctx context.Context) error {
	if err := s.started(ctx); err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return service.ServeHTTP(inner, s.listener, s.handler) })
	group.Go(func() error {
		for inner.Err() == nil {
			if err := s.onBus(inner); err != nil && inner.Err() == nil {
				s.deps.Log.Warn().Err(err).Msg("interrupted on the bus; starting again")
				pause(inner, again)
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// onBus runs all that needs the bus, until ctx ends or one part of it does.
func (s *Service) onBus(ctx context.Context) error {
	b, err := bus.Connect(ctx, bus.Options{
		URL: s.cfg.Bus.URL, Name: s.name, Credentials: s.cfg.Path(s.cfg.Bus.Credentials), Replicas: s.cfg.Bus.Replicas,
		Log: s.deps.Log, Extra: s.deps.Bus,
	})
	if err != nil {
		return fmt.Errorf("masking: %w", err)
	}
	defer b.Close()
	s.bus.Store(b)
	kv, err := b.JS.KeyValue(ctx, bus.BucketMasking)
	if err != nil {
		return fmt.Errorf("masking: bucket: %w", err)
	}
	producer := event.NewProducer(s.name, s.key, bus.NewSink(b, bus.AdminSubject("masking", s.instance))) //nolint:contextcheck // it outlives ctx: Close waits for the last records
	publisher := &publish.Publisher{
		KV: kv, Kind: "masking", Key: s.key, Trust: s.trust, Name: s.name, Floor: publish.Floor(s.cfg.Path(s.cfg.Masking.Key) + ".version"),
		Now: s.deps.Now, Log: s.deps.Log,
	}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { s.records.run(inner, producer); return nil })
	group.Go(func() error { return s.keeper.Run(inner, publisher) })
	group.Go(func() error {
		return config.Watch(inner, s.cfg.Path(s.cfg.Masking.Dir), s.deps.Log, s.keeper.Wake)
	})
	for _, stream := range carried {
		group.Go(func() error { return s.carry(inner, b, stream, producer) })
	}
	err = group.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	if closed := producer.Close(last); closed != nil {
		s.deps.Log.Warn().Err(closed).Msg("records lost at shutdown")
	}
	return err
}

// carry runs one relay; a stream whose consumer went away is taken up again.
func (s *Service) carry(ctx context.Context, b *bus.Bus, stream string, producer *event.Producer) error {
	r := &relay.Relay{
		JS: b.JS, Stream: stream, Looker: s.looker, Log: s.deps.Log,
		Tell:  func(ctx context.Context, records []*eventv1.Record) error { return tell(ctx, producer, records) },
		Done:  func(p relay.Progress) { s.metrics.done(stream, p) },
		Bound: func() { s.metrics.running(stream, true) },
	}
	defer s.metrics.running(stream, false)
	return r.Run(ctx)
}

// started records that this process runs, and with which configuration.
func (s *Service) started(ctx context.Context) error {
	d := map[string]string{"service": "masking", "instance": s.instance, "key_id": s.key.ID()}
	if s.cfg.File != "" {
		if raw, err := os.ReadFile(s.cfg.File); err == nil {
			sum := sha256.Sum256(raw)
			d["config_sha256"] = hex.EncodeToString(sum[:])
		}
	}
	return s.records.record(ctx, &eventv1.Record{Kind: eventv1.Kind_KIND_ADMIN, Action: "service.started", Actor: s.name, Details: d})
}
