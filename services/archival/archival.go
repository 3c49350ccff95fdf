// Package archival is the service that keeps the audit: it moves every batch of
// records from the bus into ClickHouse, once and in order, checks that it is
// what its producer sealed, and answers auditors.
package archival

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/libs/service"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/api"
	"github.com/gatestay/gatestay/services/archival/internal/archive"
	"github.com/gatestay/gatestay/services/archival/internal/auditor"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// Deps are what the service does not make itself.
type Deps struct {
	Log zerolog.Logger
	// Bus are extra connection options: the in-process server of gatestay dev.
	Bus []nats.Option
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Limits bound the writer; the zero value means the service's own.
	Limits archive.Limits
}

// Service is one replica of the archival service.
type Service struct {
	cfg      *config.Config
	deps     Deps
	name     string // producer: archival/<instance>
	instance string
	key      *seal.Key
	keys     *intake.Keys
	store    *store.Store
	auditors *auditor.Auditors
	listener net.Listener
	handler  http.Handler
	health   *service.Health
	metrics  *metrics
	report   *report

	bus      atomic.Pointer[bus.Bus]        // while connected
	producer atomic.Pointer[event.Producer] // while connected
	migrated atomic.Bool
}

// closeLimit bounds the wait for the last records at shutdown.
const closeLimit = 3 * time.Second

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// New validates the configuration, loads the keys and opens the listener, so
// that its address is known. It does not connect.
func New(cfg *config.Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Limits == (archive.Limits{}) {
		deps.Limits = archive.DefaultLimits()
	}
	s := &Service{cfg: cfg, deps: deps, instance: cfg.Archival.Instance, health: service.NewHealth()}
	if s.instance == "" {
		s.instance = "1"
	}
	s.name = "archival/" + s.instance
	if err := s.validate(); err != nil {
		return nil, err
	}
	if err := s.loadKeys(); err != nil {
		return nil, err
	}
	var err error
	if s.store, err = store.Open(cfg.Archival.ClickHouse, cfg.Dir, s.instance, deps.Log); err != nil {
		return nil, fmt.Errorf("archival: %w", err)
	}
	persons, err := identity.NewPersonVerifier(cfg.People, cfg.Dir, deps.Now)
	if err != nil {
		return nil, fmt.Errorf("archival: %w", err)
	}
	s.metrics = newMetrics(s.health.Registry)
	s.report = newReport(s.metrics, s.tell, deps.Now, deps.Log)
	s.health.Check("clickhouse", s.storeReady)
	s.health.Check("bus", s.busReady)
	mux := http.NewServeMux()
	s.health.Mount(mux)
	(&api.API{Store: s.store, Auditor: s.auditors.Name, Record: s.record, RequirePerson: persons.RequirePerson, Log: deps.Log}).Mount(mux)
	if err := page.Mount(mux); err != nil {
		return nil, err
	}
	s.handler = mux
	if s.listener, err = net.Listen("tcp", cfg.Archival.Listen); err != nil {
		return nil, fmt.Errorf("archival: listen: %w", err)
	}
	return s, nil
}

func (s *Service) validate() error {
	var errs []error
	need := func(ok bool, path, remedy string) {
		if !ok {
			errs = append(errs, fmt.Errorf("  $.%s: missing; %s", path, remedy))
		}
	}
	a := s.cfg.Archival
	need(a.ClickHouse.Address != "", "archival.clickhouse.address", "write the native protocol's host:port, e.g. 127.0.0.1:9000")
	need(a.Key != "", "archival.key", "name a file; it is made when missing")
	need(a.Listen != "", "archival.listen", "e.g. 127.0.0.1:9104")
	need(len(s.cfg.Trust.Records) > 0, "trust.records", "name the public key of every producer: a batch that none of them signed is kept apart")
	if !instanceName.MatchString(s.instance) {
		errs = append(errs, fmt.Errorf("  $.archival.instance: %q may hold letters, digits, - and _ only (it becomes part of a bus subject)", s.instance))
	}
	if len(errs) > 0 {
		return fmt.Errorf("archival: configuration:\n%w", errors.Join(errs...))
	}
	return nil
}

// loadKeys loads the signing key, whose batches count, and whose policy bundles
// name people.
func (s *Service) loadKeys() error {
	var err error
	if s.key, err = seal.LoadOrGenerate(s.cfg.Path(s.cfg.Archival.Key)); err != nil {
		return fmt.Errorf("archival: %w", err)
	}
	if s.keys, err = intake.NewKeys(s.cfg.Paths(s.cfg.Trust.Records), s.key.Public()); err != nil {
		return fmt.Errorf("archival: %w", err)
	}
	policy, err := intake.NewKeys(s.cfg.Paths(s.cfg.Trust.Policy), seal.Trust{})
	if err != nil {
		return fmt.Errorf("archival: %w", err)
	}
	s.auditors = &auditor.Auditors{Names: s.cfg.People.Auditors, Keys: policy, Log: s.deps.Log}
	return nil
}

// Addr returns the address of the HTTP API.
func (s *Service) Addr() string { return s.listener.Addr().String() }

// Ready reports whether the store and the bus take part.
func (s *Service) Ready() error { return s.health.Ready() }

func (s *Service) storeReady() error {
	if err := s.store.Ready(); err != nil {
		return fmt.Errorf("%w; records wait on the bus", err)
	}
	if !s.migrated.Load() {
		return errors.New("the schema is not up to date yet")
	}
	return nil
}

func (s *Service) busReady() error {
	b := s.bus.Load()
	if b == nil {
		return errors.New("not connected yet")
	}
	return b.Ready()
}

// Run serves until ctx ends. It waits for the bus and the store by itself.
func (s *Service) Run(ctx context.Context) error {
	defer func() { _ = s.store.Close() }()
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return service.ServeHTTP(inner, s.listener, s.handler) })
	group.Go(func() error { return s.onBus(inner) })
	group.Go(func() error { s.watchStore(inner); return nil })
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// record makes a record of a look at the audit durable.
func (s *Service) record(ctx context.Context, actor, action string, details map[string]string) error {
	p := s.producer.Load()
	if p == nil {
		return errors.New("archival: the bus is not connected")
	}
	if err := p.Record(ctx, &eventv1.Record{Kind: eventv1.Kind_KIND_ADMIN, Action: action, Actor: actor, Details: details}); err != nil {
		return fmt.Errorf("archival: record: %w", err)
	}
	return nil
}

// tell offers a finding. It does not block; what happened is in the store as well.
func (s *Service) tell(r *eventv1.Record) {
	if p := s.producer.Load(); p != nil {
		_ = p.Offer(r)
	}
}

// started records that this process runs, and with which configuration.
func (s *Service) started() {
	d := map[string]string{"service": "archival", "instance": s.instance, "key_id": s.key.ID()}
	if s.cfg.File != "" {
		if raw, err := os.ReadFile(s.cfg.File); err == nil { //nolint:gosec // the operator names the file
			sum := sha256.Sum256(raw)
			d["config_sha256"] = hex.EncodeToString(sum[:])
		}
	}
	s.tell(&eventv1.Record{Kind: eventv1.Kind_KIND_ADMIN, Action: "service.started", Actor: s.name, Details: d})
}
