// Package gateway is the service in the data path: it speaks the targets'
// protocols, authenticates jobs, decides every command, holds risky ones,
// masks results and journals records.
package gateway

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/libs/service"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/allowance"
	"github.com/gatestay/gatestay/services/gateway/internal/api"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
	"github.com/gatestay/gatestay/services/gateway/internal/copied"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/journal"
	"github.com/gatestay/gatestay/services/gateway/internal/lease"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/session"
)

const defaultDrain = 10 * time.Second

// Deps are what the service does not make itself.
type Deps struct {
	Log zerolog.Logger
	// Bus are extra connection options: the in-process server of gatestay dev.
	Bus []nats.Option
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service is one gateway.
type Service struct {
	deps     Deps
	config   atomic.Pointer[config.Config]
	key      *seal.Key
	gate     *session.Gate
	used     *credential.UsedTokens
	health   *service.Health
	tls      *tls.Config
	postgres net.Listener
	api      net.Listener
	admin    net.Listener
}

// New validates the configuration, loads the keys and opens the listeners, so
// that their addresses are known.
func New(cfg *config.Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if err := validate(cfg); err != nil {
		return nil, err
	}
	s := &Service{deps: deps, health: service.NewHealth(), used: &credential.UsedTokens{}}
	s.config.Store(cfg)
	if err := s.build(cfg); err != nil {
		return nil, err
	}
	if err := s.listen(cfg); err != nil {
		s.closeListeners()
		return nil, err
	}
	return s, nil
}

func validate(cfg *config.Config) error {
	var errs []error
	need := func(value, path, remedy string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("  $.gateway.%s: missing; %s", path, remedy))
		}
	}
	g := cfg.Gateway
	need(g.ID, "id", "give every gateway a name of its own, e.g. gw1")
	need(g.Journal, "journal", "name a folder on a local disk")
	need(g.Key, "key", "name a file; it is made when missing")
	need(g.MaskingKey, "masking_key", "name a file; it is made when missing")
	need(g.Postgres.Listen, "postgres.listen", "e.g. 0.0.0.0:5432")
	need(g.Postgres.Certificate, "postgres.certificate", "a PEM certificate for the name that clients use")
	need(g.Postgres.Key, "postgres.key", "the certificate's private key")
	for path, files := range map[string][]string{"policy": cfg.Trust.Policy, "masking": cfg.Trust.Masking, "approval": cfg.Trust.Approval} {
		if len(files) == 0 {
			errs = append(errs, fmt.Errorf("  $.trust.%s: missing; name the public key file of the %s service", path, path))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("gateway: configuration:\n%w", errors.Join(errs...))
	}
	return nil
}

// build makes the core from the configuration.
func (s *Service) build(cfg *config.Config) error {
	log := s.deps.Log
	var err error
	if s.key, err = seal.LoadOrGenerate(cfg.Path(cfg.Gateway.Key)); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	maskingKey, err := loadMaskingKey(cfg.Path(cfg.Gateway.MaskingKey))
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	trust := map[string]seal.Trust{}
	for kind, files := range map[string][]string{"policy": cfg.Trust.Policy, "masking": cfg.Trust.Masking, "approval": cfg.Trust.Approval} {
		if trust[kind], err = seal.LoadTrust(cfg.Paths(files)...); err != nil {
			return fmt.Errorf("gateway: trust.%s: %w; start that service once, it makes its key", kind, err)
		}
	}
	verifier, err := identity.NewVerifier(context.Background(), cfg.Issuers, cfg.Dir, s.deps.Now)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	grantKey, err := hkdf.Key(sha256.New, maskingKey[:], nil, "gatestay/grant/v1", 32)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	grants := grant.New(trust["approval"], grantKey, log, s.deps.Now)
	state := filepath.Join(cfg.Path(cfg.Gateway.Journal), "state")
	s.gate = &session.Gate{
		Config: s.config.Load, Verifier: verifier, Used: s.used, Runs: credential.NewRuns(s.deps.Now),
		Policy: &bundle.Follower[*policy.Engine]{
			Kind: "policy", Bucket: bus.BucketPolicy, Trust: trust["policy"], Dir: state, Log: log, Compile: policy.Compile,
		},
		Masking: &bundle.Follower[*masking.Engine]{
			Kind: "masking", Bucket: bus.BucketMasking, Trust: trust["masking"], Dir: state, Log: log,
			Compile: func(files map[string][]byte) (*masking.Engine, error) {
				e, err := masking.Compile(files)
				if err != nil {
					return nil, err
				}
				return e.WithKey(maskingKey)
			},
		},
		Copied:   copied.New(trust["approval"], log),
		Compared: &allowance.Book{},
		Lease:    lease.New(trust["policy"], log, s.deps.Now),
		Desk:     hold.NewDesk(cfg.Gateway.ID, trust["approval"], grants, log, s.deps.Now),
		Grants:   grants,
		GrantKey: grantKey,
		Log:      log, Now: s.deps.Now,
	}
	s.health.Check("control", s.gate.Ready)
	return nil
}

func (s *Service) listen(cfg *config.Config) error {
	certificate, err := loadCertificate(cfg.Path(cfg.Gateway.Postgres.Certificate), cfg.Path(cfg.Gateway.Postgres.Key))
	if err != nil {
		return err
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.get}
	for _, l := range []struct {
		to      *net.Listener
		address string
	}{{&s.postgres, cfg.Gateway.Postgres.Listen}, {&s.api, cfg.Gateway.API.Listen}, {&s.admin, cfg.Gateway.Health}} {
		if l.address == "" {
			continue
		}
		if *l.to, err = net.Listen("tcp", l.address); err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
	}
	return nil
}

func (s *Service) closeListeners() {
	for _, l := range []net.Listener{s.postgres, s.api, s.admin} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// PostgresAddr returns the host:port that PostgreSQL clients connect to.
func (s *Service) PostgresAddr() string { return s.postgres.Addr().String() }

// APIAddr returns the host:port of the HTTPS API, empty where it is off.
func (s *Service) APIAddr() string {
	if s.api == nil {
		return ""
	}
	return s.api.Addr().String()
}

// Run serves until ctx ends, then drains: it stops accepting, cancels holds,
// lets running commands end, and empties the journal.
func (s *Service) Run(ctx context.Context) error {
	defer s.closeListeners()
	cfg := s.config.Load()
	j, err := journal.Open(ctx, journal.Options{Dir: cfg.Path(cfg.Gateway.Journal), MaxBytes: cfg.Gateway.JournalBytes, Log: s.deps.Log})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	defer j.Close()
	s.metrics(ctx, j)
	s.gate.Records = event.NewProducer("gateway/"+cfg.Gateway.ID, s.key, j) //nolint:contextcheck // outlives ctx: Close ends it, after the last record

	// The bus outlives the sessions: what they record last must still go out.
	late, stopLate := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLate()
	background, lateCtx := errgroup.WithContext(late)
	background.Go(func() error { return s.runBus(lateCtx, j) })

	serving, servingCtx := errgroup.WithContext(ctx)
	serving.Go(func() error { return s.watchConfig(servingCtx) })
	if err := s.serve(servingCtx, serving); err != nil {
		stopLate()
		return errors.Join(err, background.Wait())
	}
	serving.Go(func() error { // the bus's failure ends the service, too
		select {
		case <-servingCtx.Done():
			return nil
		case <-lateCtx.Done():
			return context.Cause(lateCtx)
		}
	})
	_ = s.gate.Records.Offer(s.started(cfg))
	s.deps.Log.Info().Str("postgres", s.PostgresAddr()).Str("api", s.APIAddr()).Msg("gateway listening")
	err = serving.Wait()
	s.deps.Log.Info().Msg("gateway drained")
	return errors.Join(err, s.finish(context.WithoutCancel(ctx), j, stopLate, background))
}

func (s *Service) serve(ctx context.Context, group *errgroup.Group) error {
	conf := s.config.Load().Gateway
	drain := conf.DrainTimeout.Or(defaultDrain)
	server, err := postgres.New(postgres.Options{
		TLS: s.tls, AllowPlaintext: conf.Postgres.Plaintext, Gate: s.gate, Log: s.deps.Log, Limits: postgres.Limits{Drain: drain},
		Bearer: conf.Postgres.Auth == "oauthbearer", Discovery: postgres.Discovery(conf.Postgres.OAuth),
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	group.Go(func() error {
		defer context.AfterFunc(ctx, func() {
			s.gate.Drain()
			time.AfterFunc(drain, s.gate.EndAll)
		})()
		return server.Serve(ctx, s.postgres)
	})
	if s.api != nil {
		handler := &api.Handler{Gate: s.gate, Planner: server, Log: s.deps.Log}
		group.Go(func() error {
			return service.ServeHTTP(ctx, tls.NewListener(s.api, s.tls), handler.Routes())
		})
	}
	if s.admin != nil {
		mux := http.NewServeMux()
		s.health.Mount(mux)
		group.Go(func() error { return service.ServeHTTP(ctx, s.admin, mux) })
	}
	return nil
}

// runBus connects, then follows the control plane and forwards the journal.
func (s *Service) runBus(ctx context.Context, j *journal.Journal) error {
	cfg := s.config.Load()
	b, err := bus.Connect(ctx, bus.Options{
		URL: cfg.Bus.URL, Name: "gateway/" + cfg.Gateway.ID, Credentials: cfg.Path(cfg.Bus.Credentials), Replicas: cfg.Bus.Replicas,
		Log: s.deps.Log, Extra: s.deps.Bus,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("gateway: %w", err)
	}
	defer b.Close()
	s.used.Connect(b)
	s.gate.Compared.Connect(b)
	if _, err := s.gate.Lease.Subscribe(b); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.gate.Policy.Run(ctx, b) })
	group.Go(func() error { return s.gate.Masking.Run(ctx, b) })
	group.Go(func() error { return s.gate.Copied.Run(ctx, b) })
	group.Go(func() error { return s.gate.Desk.Run(ctx, b) })
	group.Go(func() error { return s.gate.Grants.Run(ctx, b) })
	group.Go(func() error { return j.Forward(ctx, b, bus.RecordSubject(cfg.Gateway.ID)) })
	return group.Wait()
}

// finish makes the last records durable and gives the forwarder a moment to
// empty the journal; what is left waits for the next start.
func (s *Service) finish(ctx context.Context, j *journal.Journal, stopLate context.CancelFunc, background *errgroup.Group) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := s.gate.Records.Close(ctx)
	if drained := j.Drained(ctx); drained != nil {
		s.deps.Log.Warn().Err(drained).Msg("journal not empty at exit")
	}
	stopLate()
	return errors.Join(err, background.Wait())
}

// started is the record of a service's start: with which configuration.
func (s *Service) started(cfg *config.Config) *eventv1.Record {
	return &eventv1.Record{
		Kind: eventv1.Kind_KIND_ADMIN, Action: "service.started", Actor: "gateway/" + cfg.Gateway.ID,
		Details: map[string]string{"config_sha256": configHash(cfg)},
	}
}

func configHash(cfg *config.Config) string {
	files, err := config.ReadDir(cfg.File)
	if err != nil {
		return ""
	}
	sum := config.HashFiles(files)
	return hex.EncodeToString(sum[:])
}

// watchConfig swaps in a changed configuration; a broken one is refused and
// the last good one stays.
func (s *Service) watchConfig(ctx context.Context) error {
	file := s.config.Load().File
	if file == "" {
		<-ctx.Done()
		return nil
	}
	return config.Watch(ctx, file, s.deps.Log, func() {
		next, err := s.config.Load().Reload()
		if err != nil {
			s.deps.Log.Error().Err(err).Msg("changed configuration refused; the last good one stays")
			return
		}
		s.config.Store(next)
		s.deps.Log.Info().Int("targets", len(next.Targets)).Msg("configuration reloaded")
	})
}

// Ready returns nil while the gateway may admit.
func (s *Service) Ready() error { return s.health.Ready() }

// Keys makes the gateway's keys where they are missing: for who needs the
// public half before the gateway starts.
func Keys(cfg *config.Config) error {
	if _, err := seal.LoadOrGenerate(cfg.Path(cfg.Gateway.Key)); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}
