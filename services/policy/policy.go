// Package policy is the service that owns the rules: it validates, tests,
// versions, signs and publishes them, and issues the control lease.
package policy

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
	"time"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/bus/publish"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/policy/offline"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/libs/service"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy/internal/api"
	"github.com/gatestay/gatestay/services/policy/internal/folder"
	"github.com/gatestay/gatestay/services/policy/internal/keeper"
	"github.com/gatestay/gatestay/services/policy/internal/lease"
	"github.com/gatestay/gatestay/services/policy/internal/oncall"
)

// closeLimit bounds the wait for the last records at shutdown.
const closeLimit = 3 * time.Second

// Deps are what the service does not make itself.
type Deps struct {
	Log zerolog.Logger
	// Bus are extra connection options: the in-process server of gatestay dev.
	Bus []nats.Option
	// Facts reads the SQL of test cases; nil means PostgreSQL's own parser.
	Facts policy.FactsFunc
	// Calendars reads the schedule's calendars; nil speaks https with the system's
	// certificates.
	Calendars *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service is one replica of the policy service.
type Service struct {
	cfg      *config.Config
	deps     Deps
	instance string
	key      *seal.Key
	trust    seal.Trust
	listener net.Listener
	health   *service.Health
	keeper   *keeper.Keeper
	feeds    *oncall.Reader
	metrics  *metrics
	handler  http.Handler
	records  *recorder
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// New validates the configuration, loads the keys and opens the listener, so
// that its address is known.
func New(cfg *config.Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Facts == nil {
		deps.Facts = offline.Facts
	}
	s := &Service{cfg: cfg, deps: deps, instance: cfg.Policy.Instance, health: service.NewHealth(), records: newRecorder(deps.Log)}
	if s.instance == "" {
		s.instance = "1"
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	if err := s.loadKeys(); err != nil {
		return nil, err
	}
	persons, err := identity.NewPersonVerifier(cfg.People, cfg.Dir, deps.Now)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	s.keeper = keeper.New(cfg.Path(cfg.Policy.Dir), deps.Facts, folder.Surroundings(cfg), deps.Log, s.records.record)
	s.feeds = &oncall.Reader{Dir: cfg.Path(cfg.Policy.Dir), Now: time.Now, Log: deps.Log, Changed: s.keeper.Wake, HTTP: deps.Calendars}
	s.keeper.Feeds = s.feeds
	s.metrics = newMetrics(s.health.Registry, s.keeper.Status)
	s.keeper.Done = s.metrics.done
	s.health.Check("policy bundle", s.keeper.Ready)
	mux := http.NewServeMux()
	s.health.Mount(mux)
	(&api.API{Status: s.keeper.Status, Persons: persons, SignIn: cfg.People.Issuer != ""}).Mount(mux)
	s.handler = mux
	if s.listener, err = net.Listen("tcp", cfg.Policy.Listen); err != nil {
		return nil, fmt.Errorf("policy: listen: %w", err)
	}
	return s, nil
}

func (s *Service) validate() error {
	var errs []error
	need := func(value, path, remedy string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("  $.policy.%s: missing; %s", path, remedy))
		}
	}
	p := s.cfg.Policy
	need(p.Dir, "dir", "name the folder of the rules, e.g. policies")
	need(p.Key, "key", "name a file; it is made when missing")
	need(p.Listen, "listen", "e.g. 127.0.0.1:9101")
	if !instanceName.MatchString(s.instance) {
		errs = append(errs, fmt.Errorf("  $.policy.instance: %q may hold letters, digits, - and _ only (it becomes part of a bus subject)", s.instance))
	}
	if len(errs) > 0 {
		return fmt.Errorf("policy: configuration:\n%w", errors.Join(errs...))
	}
	return nil
}

// loadKeys loads the signing key, and whose bundles count beside its own.
func (s *Service) loadKeys() error {
	var err error
	if s.key, err = seal.LoadOrGenerate(s.cfg.Path(s.cfg.Policy.Key)); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	s.trust = s.key.Public()
	others, err := seal.LoadTrust(s.cfg.Paths(s.cfg.Trust.Policy)...)
	if err != nil {
		return fmt.Errorf("policy: trust.policy: %w", err)
	}
	maps.Copy(s.trust, others)
	return nil
}

// Addr returns the address of the HTTP API.
func (s *Service) Addr() string { return s.listener.Addr().String() }

// Ready reports whether a bundle is published and the bus is connected.
func (s *Service) Ready() error { return s.health.Ready() }

// Run serves until ctx ends. It waits for the bus by itself.
func (s *Service) Run(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return service.ServeHTTP(inner, s.listener, s.handler) })
	group.Go(func() error { return s.onBus(inner) })
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// onBus runs all that needs the bus.
func (s *Service) onBus(ctx context.Context) error {
	b, err := bus.Connect(ctx, bus.Options{
		URL: s.cfg.Bus.URL, Name: "policy/" + s.instance, Credentials: s.cfg.Path(s.cfg.Bus.Credentials), Replicas: s.cfg.Bus.Replicas,
		Log: s.deps.Log, Extra: s.deps.Bus,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("policy: %w", err)
	}
	defer b.Close()
	s.health.Check("bus", b.Ready)
	kv, err := b.JS.KeyValue(ctx, bus.BucketPolicy)
	if err != nil {
		return fmt.Errorf("policy: bucket: %w", err)
	}
	producer := event.NewProducer("policy/"+s.instance, s.key, bus.NewSink(b, bus.AdminSubject("policy", s.instance))) //nolint:contextcheck // it outlives ctx: Close waits for the last records
	publisher := &publish.Publisher{
		KV: kv, Kind: "policy", Key: s.key, Trust: s.trust, Name: "policy/" + s.instance, Floor: publish.Floor(s.cfg.Path(s.cfg.Policy.Key) + ".version"),
		Now: s.deps.Now, Log: s.deps.Log,
	}
	guards := s.guard(b, kv, publisher)
	s.keeper.People = guards.Admit
	leases := &lease.Issuer{
		Name: s.instance, Incarnation: ulid.Make().String(), Key: s.key, Send: b.Conn.Publish, Now: s.deps.Now, Log: s.deps.Log, Issued: s.metrics.leases.Inc,
	}
	targets := &targetWatch{cfg: s.cfg, kv: kv, log: s.deps.Log, record: s.records.record, surround: s.keeper.Surround}
	if err := s.started(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.records.run(ctx, producer); return nil })
	group.Go(func() error { return leases.Run(ctx) })
	group.Go(func() error { return s.keeper.Run(ctx, publisher) })
	group.Go(func() error { return s.feeds.Run(ctx) })
	group.Go(func() error { s.followDecisions(ctx, b, guards); return nil })
	group.Go(func() error { return watchBucket(ctx, kv, s.deps.Log, s.keeper.Wake) })
	group.Go(func() error { return config.Watch(ctx, s.cfg.Path(s.cfg.Policy.Dir), s.deps.Log, s.keeper.Wake) })
	group.Go(func() error { return targets.run(ctx) })
	err = group.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	if err := producer.Close(last); err != nil {
		s.deps.Log.Warn().Err(err).Msg("records lost at shutdown")
	}
	return err
}

// started records that this process runs, and with which configuration.
func (s *Service) started(ctx context.Context) error {
	d := map[string]string{"service": "policy", "instance": s.instance, "key_id": s.key.ID()}
	if s.cfg.File != "" {
		if raw, err := os.ReadFile(s.cfg.File); err == nil {
			sum := sha256.Sum256(raw)
			d["config_sha256"] = hex.EncodeToString(sum[:])
		}
	}
	return s.records.record(ctx, &eventv1.Record{Kind: eventv1.Kind_KIND_ADMIN, Action: "service.started", Actor: "policy/" + s.instance, Details: d})
}
