// Package approval is the service that turns held commands into questions to
// people, and their votes into one signed decision.
package approval

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/chat"
	"github.com/gatestay/gatestay/services/approval/internal/desk"
	"github.com/gatestay/gatestay/services/approval/internal/outbox"
	"github.com/gatestay/gatestay/services/approval/internal/web"
	"github.com/gatestay/gatestay/services/approval/internal/webhook"
)

// Deps are what the service does not make itself.
type Deps struct {
	Log zerolog.Logger
	// Bus are extra connection options: the in-process server of gatestay dev.
	Bus []nats.Option
	// SignIn lets persons through to the API; nil is the configured provider.
	SignIn api.SignIn
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service is one replica of the approval service.
type Service struct {
	cfg      *config.Config
	deps     Deps
	instance string
	key      *seal.Key
	policy   seal.Trust
	listener net.Listener
	health   *service.Health
	handler  http.Handler
	inbox    *web.Web // nil where nobody can sign in to it
	slack    *slackParts
	hooks    map[string]*webhook.Hook
	metrics  struct {
		desk    *desk.Metrics
		outbox  *outbox.Metrics
		webhook *webhook.Metrics
	}
	backend atomic.Pointer[api.Backend]
	runs    atomic.Pointer[running]
}

// slackParts are there unless the transport is off.
type slackParts struct {
	client *chat.Client
	clicks *chat.Clicks
	posts  *chat.Posts
	tell   chan whisper
}

// New validates the configuration, loads the keys and opens the listener, so
// that its address is known.
func New(cfg *config.Config, deps Deps) (*Service, error) {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Service{cfg: cfg, deps: deps, instance: cfg.Approval.Instance, health: service.NewHealth()}
	if s.instance == "" {
		s.instance = "1"
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	var err error
	if s.key, err = seal.LoadOrGenerate(cfg.Path(cfg.Approval.Key)); err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	if s.policy, err = seal.LoadTrust(cfg.Paths(cfg.Trust.Policy)...); err != nil {
		return nil, fmt.Errorf("approval: trust.policy: %w", err)
	}
	if s.deps.SignIn == nil {
		persons, err := identity.NewPersonVerifier(cfg.People, cfg.Dir, deps.Now)
		if err != nil {
			return nil, fmt.Errorf("approval: %w", err)
		}
		s.deps.SignIn = persons
	}
	s.metrics.desk, s.metrics.outbox = desk.NewMetrics(s.health.Registry), outbox.NewMetrics(s.health.Registry)
	if err := errors.Join(s.newSlack(), s.newWebhooks()); err != nil {
		return nil, err
	}
	s.health.Check("bus", s.connected)
	s.health.Check("policy bundle", s.informed)
	if s.listener, err = net.Listen("tcp", cfg.Approval.Listen); err != nil {
		return nil, fmt.Errorf("approval: listen: %w", err)
	}
	if err := s.mount(); err != nil { // the inbox may have the listener's own address
		_ = s.listener.Close()
		return nil, err
	}
	return s, nil
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (s *Service) validate() error {
	var errs []error
	bad := func(path, remedy string) { errs = append(errs, fmt.Errorf("  $.approval.%s: %s", path, remedy)) }
	a := s.cfg.Approval
	if a.Key == "" {
		bad("key", "missing; name a file; it is made when missing")
	}
	if a.Listen == "" {
		bad("listen", "missing; e.g. 127.0.0.1:9103")
	}
	if !instanceName.MatchString(s.instance) || s.instance == "steps" {
		bad("instance", fmt.Sprintf("%q may hold letters, digits, - and _ only, and not be steps (it becomes part of a bus subject)", s.instance))
	}
	if len(s.cfg.Trust.Policy) == 0 {
		errs = append(errs, errors.New("  $.trust.policy: missing; name the policy service's public key: who may approve comes from its signed bundle"))
	}
	if a.URL != "" {
		if err := web.CheckURL(a.URL); err != nil {
			bad("url", err.Error())
		}
	}
	switch a.Slack.Transport {
	case "", "socket", "http":
		if a.Slack.BotToken == "" {
			bad("slack.bot_token", "missing; write env:NAME or file:PATH, or transport: off")
		}
		if a.Slack.Transport != "http" && a.Slack.AppToken == "" {
			bad("slack.app_token", "missing; Socket Mode needs an app-level token (xapp-…): write env:NAME or file:PATH")
		}
		if a.Slack.Transport == "http" && a.Slack.SigningSecret == "" {
			bad("slack.signing_secret", "missing; without it nobody could tell Slack's posts from others: write env:NAME or file:PATH")
		}
	case "off":
	default:
		bad("slack.transport", fmt.Sprintf("%q is not known; known: socket, http, off", a.Slack.Transport))
	}
	if len(errs) > 0 {
		return fmt.Errorf("approval: configuration:\n%w", errors.Join(errs...))
	}
	return nil
}

func (s *Service) newSlack() error {
	c := s.cfg.Approval.Slack
	if c.Transport == "off" {
		return nil
	}
	secrets := map[string]string{}
	var errs []error
	for path, ref := range map[string]config.Secret{"bot_token": c.BotToken, "app_token": c.AppToken, "signing_secret": c.SigningSecret} {
		if ref == "" {
			continue
		}
		v, err := ref.Resolve(s.cfg.Dir)
		if err == nil && v == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("  $.approval.slack.%s: %w", path, err))
		}
		secrets[path] = v
	}
	if len(errs) > 0 {
		return fmt.Errorf("approval: configuration:\n%w", errors.Join(errs...))
	}
	p := &slackParts{tell: make(chan whisper, maxWhispers)}
	p.client = chat.New(chat.Options{
		BotToken: secrets["bot_token"], AppToken: secrets["app_token"], APIURL: c.APIURL, TeamID: c.TeamID, AppID: c.AppID,
		Log: s.deps.Log, Now: s.deps.Now, Metrics: chat.NewMetrics(s.health.Registry),
	})
	p.clicks = &chat.Clicks{Client: p.client, Voter: lateVoter{s}, Tell: s.whisper, Log: s.deps.Log}
	if c.Transport == "http" {
		p.posts = &chat.Posts{Clicks: p.clicks, Secret: secrets["signing_secret"], Log: s.deps.Log}
	}
	s.slack = p
	return nil
}

func (s *Service) mount() error {
	mux := http.NewServeMux()
	s.health.Mount(mux)
	(&api.API{SignIn: s.deps.SignIn, Backend: s.backend.Load, Log: s.deps.Log}).Mount(mux)
	if len(s.hooks) > 0 {
		mux.Handle("POST /v1/webhooks/{name}/vote", &webhook.Receiver{Hooks: s.hooks, Voter: lateVoter{s}, Log: s.deps.Log, Metrics: s.metrics.webhook})
	}
	if s.slack != nil && s.slack.posts != nil {
		mux.Handle("POST /slack/interactions", s.slack.posts)
		mux.Handle("POST /slack/events", &chat.Events{Posts: s.slack.posts})
	}
	s.handler = mux
	if err := s.newInbox(); err != nil {
		return err
	}
	if s.inbox == nil {
		return page.Mount(mux)
	}
	s.inbox.Mount(mux)
	return nil
}

// Addr returns the address of the HTTP API.
func (s *Service) Addr() string { return s.listener.Addr().String() }

// Ready reports whether requests can be taken and decided. Slack does not
// count: without it they are decided from the terminal.
func (s *Service) Ready() error { return s.health.Ready() }

func (s *Service) connected() error {
	if r := s.runs.Load(); r != nil {
		return r.bus.Ready()
	}
	return errors.New("not connected yet")
}

func (s *Service) informed() error {
	if r := s.runs.Load(); r != nil {
		return r.rules.Ready()
	}
	return errors.New("not connected yet")
}

// Run serves until ctx ends. It waits for the bus by itself.
func (s *Service) Run(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	if s.inbox != nil {
		context.AfterFunc(inner, s.inbox.Close) // open pages would hold up the end
	}
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
		URL: s.cfg.Bus.URL, Name: "approval/" + s.instance, Credentials: s.cfg.Path(s.cfg.Bus.Credentials), Replicas: s.cfg.Bus.Replicas,
		Log: s.deps.Log, Extra: s.deps.Bus,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("approval: %w", err)
	}
	defer b.Close()
	r, err := s.newRunning(ctx, b)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.runs.Store(r)
	s.backend.Store(r.backend())
	return r.run(ctx)
}
