package session_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/localissuer"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
	"github.com/gatestay/gatestay/services/gateway/internal/copied"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
	"github.com/gatestay/gatestay/services/gateway/internal/hold"
	"github.com/gatestay/gatestay/services/gateway/internal/lease"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/session"
)

const rules = `
rules:
  - name: reads
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "read"
  - name: writes
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA], count: 1}
    deadline: 30s
`

const masks = `
masks:
  - {name: email, column: public.customers.email, strategy: redact}
`

var fleetKey = []byte("0123456789abcdef0123456789abcdef")

// world is a gate on a real bus, a real issuer and a recording sink.
type world struct {
	t         *testing.T
	gate      *session.Gate
	issuer    *localissuer.Issuer
	bus       *bus.Bus
	policyKey *seal.Key
	approvals *seal.Key
	sink      *recorder
	version   uint64
	requests  chan *request
}

type request struct {
	*eventv1.ApprovalRequest
	raw []byte
}

// recorder keeps batches; broken makes it refuse.
type recorder struct {
	mu      sync.Mutex
	records []*eventv1.Record
	broken  bool
}

func (r *recorder) Append(_ context.Context, b *eventv1.Batch, _ []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		return errors.New("disk full")
	}
	r.records = append(r.records, b.Records...)
	return nil
}

func (r *recorder) all() []*eventv1.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*eventv1.Record(nil), r.records...)
}

func (r *recorder) setBroken(b bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = b
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, policyKey: key(t), approvals: key(t), sink: &recorder{}, requests: make(chan *request, 64)}
	w.startBus()
	issuer, err := localissuer.New(localissuer.Options{Dir: t.TempDir()})
	must(t, err)
	w.issuer = issuer
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() { _ = issuer.Serve(ctx) })
	cfg := &config.Config{
		Dir:     t.TempDir(),
		Issuers: []config.Issuer{{Name: "local", Preset: "github-actions", Issuer: issuer.URL(), Audience: localissuer.DefaultAudience, Loopback: true}},
		Targets: map[string]config.Target{"prod-db": {Protocol: "postgres", Address: "127.0.0.1:1", Database: "shop", User: "app"}},
		Gateway: config.Gateway{ID: "gw1"},
	}
	verifier, err := identity.NewVerifier(t.Context(), cfg.Issuers, cfg.Dir, time.Now)
	must(t, err)
	used := &credential.UsedTokens{}
	used.Connect(w.bus)
	producer := event.NewProducer("gateway/gw1", key(t), w.sink)
	t.Cleanup(func() { _ = producer.Close(context.Background()) })
	grants := grant.New(w.approvals.Public(), fleetKey, zerolog.Nop(), time.Now)
	w.gate = &session.Gate{
		Config: func() *config.Config { return cfg }, Verifier: verifier, Used: used, Runs: credential.NewRuns(time.Now),
		Policy:  &bundle.Follower[*policy.Engine]{Kind: "policy", Trust: w.policyKey.Public(), Log: zerolog.Nop(), Compile: policy.Compile},
		Masking: &bundle.Follower[*masking.Engine]{Kind: "masking", Trust: w.policyKey.Public(), Log: zerolog.Nop(), Compile: compileMasks},
		Lease:   lease.New(w.policyKey.Public(), zerolog.Nop(), time.Now),
		Copied:  copied.New(w.approvals.Public(), zerolog.Nop()),
		Desk:    hold.NewDesk("gw1", w.approvals.Public(), grants, zerolog.Nop(), time.Now),
		Grants:  grants, GrantKey: fleetKey,
		Records: producer, Log: zerolog.Nop(), Now: time.Now,
	}
	running.Go(func() { _ = w.gate.Desk.Run(ctx, w.bus) })
	running.Go(func() { _ = grants.Run(ctx, w.bus) })
	w.follow(ctx, &running, w.gate.Copied)
	w.publish("policy", map[string]string{"a.yaml": rules})
	w.publish("masking", map[string]string{"a.yaml": masks})
	w.lease()
	w.listen()
	return w
}

// follow runs a follower of copies until ctx ends, and returns when it is ready.
func (w *world) follow(ctx context.Context, running *sync.WaitGroup, c *copied.Masks) {
	w.t.Helper()
	running.Go(func() { _ = c.Run(ctx, w.bus) })
	for end := time.Now().Add(10 * time.Second); c.Ready() != nil; runtime.Gosched() {
		if time.Now().After(end) {
			w.t.Fatal("the copies are not read within 10 s")
		}
	}
}

func compileMasks(files map[string][]byte) (*masking.Engine, error) {
	e, err := masking.Compile(files)
	if err != nil {
		return nil, err
	}
	return e.WithKey([32]byte{1})
}

func (w *world) startBus() {
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: w.t.TempDir(), NoSigs: true, NoLog: true})
	must(w.t, err)
	s.Start()
	w.t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	w.bus, err = bus.Connect(w.t.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{nats.InProcessServer(s)}})
	must(w.t, err)
	w.t.Cleanup(w.bus.Close)
}

func (w *world) publish(kind string, files map[string]string) {
	w.t.Helper()
	w.version++
	b := &eventv1.Bundle{Kind: kind, Version: w.version, Files: map[string][]byte{}}
	for name, text := range files {
		b.Files[name] = []byte(text)
	}
	if kind == "policy" && files["people.yaml"] == "" { // who starts the jobs is known, and is not who approves
		b.Files["people.yaml"] = []byte("people:\n  - {name: starter, accounts: [\"github:kim\", \"slack:U0STARTER\"]}\n  - {name: kim, accounts: [\"slack:U0KIM\"]}\n  - {name: dana, accounts: [\"slack:U0DANA\"]}\n")
	}
	payload, err := proto.Marshal(b)
	must(w.t, err)
	raw, err := proto.Marshal(w.policyKey.Sign(seal.ContextBundle, payload))
	must(w.t, err)
	if kind == "policy" {
		must(w.t, w.gate.Policy.Take(raw))
	} else {
		must(w.t, w.gate.Masking.Take(raw))
	}
}

func (w *world) lease() {
	w.t.Helper()
	payload, err := proto.Marshal(&eventv1.Lease{Issuer: "policy/1", IssuedAt: timestamppb.Now()})
	must(w.t, err)
	raw, err := proto.Marshal(w.policyKey.Sign(seal.ContextLease, payload))
	must(w.t, err)
	must(w.t, w.gate.Lease.Receive(raw))
}

// listen takes requests off the bus, as the approval service would.
func (w *world) listen() {
	sub, err := w.bus.Conn.Subscribe(bus.ApprovalSubject("gw1", "*", bus.Requested), func(m *nats.Msg) {
		r := &eventv1.ApprovalRequest{}
		if proto.Unmarshal(m.Data, r) == nil {
			w.requests <- &request{r, m.Data}
		}
	})
	must(w.t, err)
	w.t.Cleanup(func() { _ = sub.Unsubscribe() })
}

func (w *world) decision(r *request) *eventv1.ApprovalDecision {
	return &eventv1.ApprovalDecision{
		ApprovalId: r.Id, Outcome: approval.Approved, Gateway: r.Gateway, SessionId: r.SessionId, CommandId: r.CommandId,
		PrincipalHash: approval.PrincipalHash(r.Principal), Target: r.Target, RuleHash: r.RuleHash, Digest: r.Digest,
		RequestHash: approval.RequestHash(r.raw), Votes: []*eventv1.Vote{{Person: "dana", Account: "slack:U0DANA", Vote: approval.Approve, At: timestamppb.Now()}},
		Uses: 1, DecidedAt: timestamppb.Now(), ExpiresAt: timestamppb.New(time.Now().Add(time.Minute)),
	}
}

func (w *world) decide(key *seal.Key, d *eventv1.ApprovalDecision) {
	w.t.Helper()
	signed, err := approval.Sign(key, d)
	must(w.t, err)
	raw, err := proto.Marshal(signed)
	must(w.t, err)
	_, err = w.bus.JS.Publish(w.t.Context(), bus.ApprovalSubject(d.Gateway, d.ApprovalId, bus.Decided), raw)
	must(w.t, err)
}

func (w *world) token() string {
	w.t.Helper()
	raw, err := w.issuer.Mint("github-actions", map[string]any{
		"repository": "acme/shop", "repository_id": "1001", "repository_owner_id": "2002", "run_id": "4711",
	})
	must(w.t, err)
	return raw
}

func (w *world) open() seam.Session {
	w.t.Helper()
	s, err := w.gate.Authenticate(w.t.Context(), seam.Credentials{Protocol: "postgres", Target: "prod-db", Secret: w.token(), Remote: "127.0.0.1:9"})
	must(w.t, err)
	w.t.Cleanup(func() { s.Close("test over") })
	return s
}

func read() *seam.Command {
	return &seam.Command{Text: "SELECT 1", Facts: command.Facts{Verb: "select", Class: command.Read, Filtered: true}}
}

func write() *seam.Command {
	return &seam.Command{
		Text:  "UPDATE customers SET tier = 'gold'",
		Facts: command.Facts{Verb: "update", Class: command.Write, Objects: []command.Object{{Schema: "public", Name: "customers", Access: command.Write}}},
		State: command.State{User: "app", SearchPath: []string{"public"}, InTransaction: 'I'},
	}
}

func key(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	must(t, err)
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, code refusal.Code) *refusal.Refusal {
	t.Helper()
	var r *refusal.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return r
}
