// Package kit starts a whole Gatestay for black-box tests and the benchmark: the
// five services as processes of their own binaries, a NATS server with the
// permissions of deploy/nats, a real ClickHouse and a real PostgreSQL to
// protect, an issuer and a Slack workspace that the test holds in its hands.
//
// What the target saw is read from PostgreSQL's own log, what the audit holds
// from ClickHouse itself: nothing here asks Gatestay whether Gatestay is right.
package kit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/libs/localslack"
)

// The parts of a Gatestay, as Kill, Stop and Start name them.
const (
	Gateway    = "gateway"
	Policy     = "policy"
	Masking    = "masking"
	Approval   = "approval"
	Archival   = "archival"
	Bus        = "bus"
	ClickHouse = "clickhouse"
)

// Services are the five services.
var Services = []string{Gateway, Policy, Masking, Approval, Archival}

// The workspace and the target of every kit.
const (
	Target  = "prod-db"
	Channel = "C0PROD"
	Dana    = "U0DANA" // approver
	Kim     = "U0KIM"  // approver; the default actor of a job
	Riley   = "U0RILEY"
	Mallory = "U0MALLORY" // in the channel, no approver, not in the people map
)

// Options say what a Gatestay is started from.
type Options struct {
	// Bin holds the binaries of the services; empty: build them.
	Bin string
	// Race builds them with the race detector; a race they report fails Close.
	Race bool
	// Dir of everything; empty: a temporary folder, removed by Close.
	Dir string
	// TargetSettings are further lines of the target's postgresql.conf.
	TargetSettings map[string]string
	// LogLevel of the services; default debug: a secret that is logged at any
	// level is a leak, and tests look for it.
	LogLevel string
	// Progress gets a line now and then; may be nil.
	Progress func(string)
}

// Gatestay is a running one.
type Gatestay struct {
	Dir      string // holds gatestay.yaml, policies/, masking/, keys/, logs/
	CA       string // PEM file that clients verify the gateway with
	Postgres string // host:port of the gateway
	API      string // URL of the gateway's API
	Issuer   *localissuer.Issuer
	Slack    *localslack.Workspace
	SlackURL string
	DB       *embedded.PostgreSQLServer // the target, as its superuser sees it

	options    Options
	addresses  addresses
	passwords  map[string]string // of the bus users
	targetPass string
	clickhouse *embedded.ClickHouseServer
	ownDir     bool
	natsServer string // path of its binary

	mu        sync.Mutex
	processes map[string]*process

	helpers *errgroup.Group // issuer and Slack
	cancel  context.CancelFunc
}

// addresses stay the same over restarts.
type addresses struct {
	gateway, api, bus, clickhouse, clickhouseHTTP string
	health                                        map[string]string // of each service
}

// Start returns a Gatestay that is ready. Close ends it.
func Start(ctx context.Context, o Options) (*Gatestay, error) {
	if o.LogLevel == "" {
		o.LogLevel = "debug"
	}
	g := &Gatestay{Dir: o.Dir, options: o, processes: map[string]*process{}, passwords: map[string]string{}}
	if err := g.start(ctx); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Gatestay) start(ctx context.Context) error {
	began := time.Now()
	if err := g.prepare(); err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return g.build(ctx) })
	work.Go(func() error { return g.startTarget(ctx) })
	work.Go(func() error { return g.start1(ctx, ClickHouse) })
	if err := work.Wait(); err != nil {
		return err
	}
	if err := g.startHelpers(); err != nil {
		return err
	}
	if err := g.configure(); err != nil {
		return err
	}
	// The bus last: whoever comes first must wait.
	for _, name := range append(append([]string{}, Services...), Bus) {
		if err := g.start1(context.Background(), name); err != nil {
			return err
		}
	}
	ready, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	for _, name := range Services {
		if err := g.ready(ready, name); err != nil {
			return fmt.Errorf("%w\n%s", err, g.LogTail(name, 20))
		}
	}
	g.say(fmt.Sprintf("gatestay ready after %s", time.Since(began).Round(time.Millisecond)))
	return nil
}

func (g *Gatestay) say(line string) {
	if g.options.Progress != nil {
		g.options.Progress(line)
	}
}

// prepare makes the folder and chooses addresses and passwords.
func (g *Gatestay) prepare() error {
	if g.Dir == "" {
		dir, err := os.MkdirTemp("", "gatestay-e2e-")
		if err != nil {
			return fmt.Errorf("kit: %w", err)
		}
		g.Dir, g.ownDir = dir, true
	}
	for _, d := range []string{"logs", "policies", "masking", "keys", "tls", "data"} {
		if err := os.MkdirAll(g.path(d), 0o700); err != nil {
			return fmt.Errorf("kit: %w", err)
		}
	}
	free, err := freeAddresses(5 + len(Services))
	if err != nil {
		return err
	}
	g.addresses = addresses{gateway: free[0], api: free[1], bus: free[2], clickhouse: free[3], clickhouseHTTP: free[4], health: map[string]string{}}
	for i, name := range Services {
		g.addresses.health[name] = free[5+i]
		g.passwords[name] = "p" + random() // NATS reads all digits as a number
	}
	g.targetPass = random()
	g.Postgres, g.API, g.CA = g.addresses.gateway, "https://"+g.addresses.api, g.path("tls", "ca.pem")
	return nil
}

func (g *Gatestay) startTarget(ctx context.Context) error {
	db, err := embedded.PostgreSQL(ctx, embedded.PostgreSQLOptions{
		Dir: g.path("data", "target"), Log: zerolog.Nop(), Progress: g.options.Progress, LogStatements: true, Settings: g.options.TargetSettings,
	})
	if err != nil {
		return fmt.Errorf("kit: target: %w", err)
	}
	g.DB = db
	if err := db.CreateDatabase(ctx, "shop"); err != nil {
		return fmt.Errorf("kit: target: %w", err)
	}
	if err := db.Exec(ctx, "shop", fmt.Sprintf(targetSchema, g.targetPass)); err != nil {
		return fmt.Errorf("kit: target: %w", err)
	}
	return nil
}

// startHelpers serves the issuer and the workspace in this process.
func (g *Gatestay) startHelpers() error {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.helpers, ctx = errgroup.WithContext(ctx)
	var err error
	if g.Issuer, err = localissuer.New(localissuer.Options{Dir: g.path("keys", "issuer"), People: people}); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	g.helpers.Go(func() error { return g.Issuer.Serve(ctx) })
	if g.Slack, err = localslack.New(localslack.Options{Users: slackUsers, Channels: slackChannels, Unlimited: true}); err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("kit: %w", err)
	}
	g.SlackURL = "http://" + l.Addr().String()
	g.helpers.Go(func() error { return g.Slack.Serve(ctx, l) })
	return nil
}

// Close ends everything and reports what went wrong that no test saw: a
// service that died by itself, a data race.
func (g *Gatestay) Close() error {
	var errs []error
	for _, name := range append(append([]string{}, Services...), Bus) {
		errs = append(errs, g.stop(name))
	}
	if g.cancel != nil {
		g.cancel()
		errs = append(errs, g.helpers.Wait())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if g.clickhouse != nil {
		g.clickhouse.Kill()
	}
	if g.DB != nil {
		_ = g.DB.Stop(ctx)
	}
	errs = append(errs, g.races())
	err := errors.Join(errs...)
	if g.ownDir && err == nil {
		err = os.RemoveAll(g.Dir)
	}
	return err
}

func (g *Gatestay) path(parts ...string) string {
	return filepath.Join(append([]string{g.Dir}, parts...)...)
}

// Path returns a path below the folder.
func (g *Gatestay) Path(parts ...string) string { return g.path(parts...) }

func random() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// freeAddresses returns n loopback addresses that were free together.
func freeAddresses(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("kit: %w", err)
		}
		defer func() { _ = l.Close() }()
		out[i] = l.Addr().String()
	}
	return out, nil
}
