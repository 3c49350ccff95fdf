package approval_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	approvals "github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/localslack"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval"
)

const (
	patience = 20 * time.Second
	channel  = "C0PROD"
	gateway  = "gw1"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).startGoRoutine.func1"))
}

const people = `
people:
  - {name: dana, accounts: ["slack:U0DANA", "oidc:dana@acme.example", "github:dana"]}
  - {name: kim, accounts: ["slack:U0KIM", "slack:U0KIM2", "oidc:kim@acme.example", "github:kim"]}
  - {name: riley, accounts: ["slack:U0RILEY", "oidc:riley@acme.example", "github:riley"]}
  - {name: sam, accounts: ["oidc:sam@acme.example", "github:sam"]}
`

const rules = `
rules:
  - name: one-click
    description: Writes wait for the owners.
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA, U0KIM, U0GUEST, U0GONE, U0OUT, U0UNMAPPED], count: 1, channel: C0PROD}
    deadline: 15m
  - name: two-clicks
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "ddl"
    approvers: {slack_users: [U0DANA, U0KIM, U0KIM2], persons: [riley, sam], count: 2, channel: C0PROD}
    deadline: 15m
  - name: elsewhere
    effect: hold
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "admin"
    approvers: {persons: [dana], count: 1, channel: C0DBA}
    deadline: 1m
  - name: reads
    effect: allow
    targets: [prod-db]
    principals: [{any: true}]
    when: command.class == "read"
`

// world is a bus, a policy, a Slack workspace and any number of replicas.
type world struct {
	t       *testing.T
	dir     string
	nats    *embedded.NATSServer
	bus     *bus.Bus
	key     *seal.Key // the policy service's
	slack   *localslack.Workspace
	log     zerolog.Logger
	version uint64
	engine  *policy.Engine
	admins  []string
	later   time.Duration // how far the services' clock is ahead
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel() // each has all of its own, and mostly waits
	w := &world{t: t, dir: t.TempDir(), log: zerolog.Nop(), admins: []string{"riley"}}
	if os.Getenv("VERBOSE") != "" {
		w.log = zerolog.New(zerolog.NewTestWriter(t))
	}
	var err error
	if w.nats, err = embedded.NATS(t.Context(), embedded.NATSOptions{Dir: filepath.Join(w.dir, "nats"), Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.nats.Stop(context.Background()) })
	if w.bus, err = bus.Connect(t.Context(), bus.Options{Name: "test", Log: w.log, Extra: []nats.Option{w.nats.InProcess()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.bus.Close)
	if w.key, err = seal.LoadOrGenerate(filepath.Join(w.dir, "policy")); err != nil {
		t.Fatal(err)
	}
	w.startSlack()
	w.publish(rules, people)
	return w
}

func (w *world) startSlack() {
	var err error
	if w.slack, err = localslack.New(localslack.Options{
		Users: []localslack.User{
			{ID: "U0DANA", Name: "dana"},
			{ID: "U0KIM", Name: "kim"},
			{ID: "U0KIM2", Name: "kim.private"},
			{ID: "U0RILEY", Name: "riley", Admin: true},
			{ID: "U0GUEST", Name: "guest", Guest: true},
			{ID: "U0GONE", Name: "gone"},
			{ID: "U0OUT", Name: "out", TeamID: "T0OTHER"},
			{ID: "U0UNMAPPED", Name: "newcomer"},
			{ID: "U0MALLORY", Name: "mallory"},
		},
		Channels:  []localslack.Channel{{ID: channel, Name: "prod"}, {ID: "C0DBA", Name: "dba"}},
		Unlimited: true, AckTimeout: 5 * time.Second, Retries: -1,
	}); err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.slack.Serve(ctx, l) }()
	w.t.Cleanup(func() { cancel(); <-done })
	until(w.t, "Slack", func() bool { return w.slack.URL() != "" })
}

// publish signs and publishes a new version of the policy.
func (w *world) publish(rules, people string) {
	w.t.Helper()
	w.version++
	w.publishAs(w.key, w.version, rules, people)
	var err error
	if w.engine, err = policy.Compile(map[string][]byte{"rules.yaml": []byte(rules), "people.yaml": []byte(people)}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publishAs(key *seal.Key, version uint64, rules, people string) {
	w.t.Helper()
	payload, err := proto.Marshal(&eventv1.Bundle{
		Kind: "policy", Version: version, Files: map[string][]byte{"rules.yaml": []byte(rules), "people.yaml": []byte(people)}, PublishedAt: timestamppb.Now(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := proto.Marshal(key.Sign(seal.ContextBundle, payload))
	if err != nil {
		w.t.Fatal(err)
	}
	kv, err := w.bus.JS.KeyValue(w.t.Context(), bus.BucketPolicy)
	if err == nil {
		_, err = kv.Put(w.t.Context(), bus.BundleKey, raw)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// replica is one running service.
type replica struct {
	w       *world
	service *approval.Service
	halt    func()
	once    sync.Once
}

// byHeader signs people in by a header: the real verifier has its own tests.
type byHeader struct{}

func (byHeader) RequirePerson(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		of := strings.Fields(r.Header.Get("Test-Account")) // and their groups
		if len(of) == 0 {
			http.Error(rw, "{}", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(rw, r.WithContext(identity.WithPerson(r.Context(), &identity.Person{Account: of[0], Groups: of[1:]})))
	})
}

func (w *world) config(change ...func(*config.Config)) *config.Config {
	secret := func(name, value string) config.Secret {
		path := filepath.Join(w.dir, name)
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			w.t.Fatal(err)
		}
		return config.Secret("file:" + path)
	}
	c := &config.Config{
		Dir: w.dir, Trust: config.Trust{Policy: []string{"policy.pub"}}, People: config.SignIn{Admins: w.admins},
		Approval: config.Approval{Key: "approval", Listen: "127.0.0.1:0", Slack: config.Slack{
			BotToken: secret("bot", w.slack.BotToken()), AppToken: secret("app", w.slack.AppToken()), SigningSecret: secret("signing", w.slack.SigningSecret()),
			Channel: channel, APIURL: w.slack.APIURL(), TeamID: w.slack.TeamID(), AppID: w.slack.AppID(),
		}},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func newService(w *world, change ...func(*config.Config)) (*approval.Service, error) {
	return approval.New(w.config(change...), approval.Deps{
		Log: w.log, Bus: []nats.Option{w.nats.InProcess()}, SignIn: byHeader{},
		Now: func() time.Time { return time.Now().Add(w.later) },
	})
}

// start runs a replica until the test ends or stop is called.
func (w *world) start(change ...func(*config.Config)) *replica {
	w.t.Helper()
	s, err := newService(w, change...)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &replica{w: w, service: s}
	r.halt = w.run(s)
	w.t.Cleanup(r.stop)
	until(w.t, "readiness", func() bool { return s.Ready() == nil })
	return r
}

// run runs a service and returns what stops it.
func (w *world) run(s *approval.Service) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

func (r *replica) stop() { r.once.Do(r.halt) }

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in time", what)
		}
		<-tick.C
	}
}

// request is a held command.
type request struct {
	*eventv1.ApprovalRequest
	raw []byte
}

// held makes a request as the gateway would, for a rule.
func (w *world) held(rule string, change ...func(*eventv1.ApprovalRequest)) *request {
	w.t.Helper()
	now := time.Now()
	r := &eventv1.ApprovalRequest{
		Id: approvals.NewID(), Gateway: gateway, SessionId: "ses_" + ulid.Make().String(), CommandId: "cmd_" + ulid.Make().String(),
		TraceId: strings.Repeat("ab", 16), Target: "prod-db", Database: "shop", Environment: "production", Rule: rule, PolicyVersion: w.version,
		Principal: &eventv1.Principal{
			Issuer: "https://ci.example", Subject: "repo:acme/shop", Preset: "github-actions", Repository: "acme/shop", RepositoryId: "1001",
			Job: "deploy", RunId: "4711", Ref: "refs/heads/main", Actor: "riley", Url: "https://ci.example/acme/shop/runs/4711",
		},
		Verb: "update", Class: "write", Objects: []*eventv1.Object{{Schema: "public", Name: "customers", Access: "write"}},
		Statement: "UPDATE customers SET plan = $1", Parameters: []string{"'pro'"}, Reason: "backfill plans",
		Digest: []byte("digest of " + ulid.Make().String()), RequestedAt: timestamppb.New(now), Deadline: timestamppb.New(now.Add(time.Minute)),
		Warnings: []string{"no WHERE clause"},
	}
	for _, known := range w.engine.Rules() {
		if known.Name == rule && known.Approvers != nil {
			r.RuleHash, r.RuleDescription = w.engine.Hashes()[rule], known.Description
			r.Approvers = known.Approvers.Event()
		}
	}
	for _, f := range change {
		f(r)
	}
	if r.Requesters == nil {
		r.Requesters = policy.Requesters(r.Principal)
	}
	raw, err := proto.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return &request{r, raw}
}

func (w *world) send(event string, r *request, raw []byte) {
	w.t.Helper()
	if _, err := w.bus.JS.Publish(w.t.Context(), bus.ApprovalSubject(gateway, r.Id, event), raw); err != nil {
		w.t.Fatal(err)
	}
}

// hold publishes a request.
func (w *world) hold(rule string, change ...func(*eventv1.ApprovalRequest)) *request {
	w.t.Helper()
	r := w.held(rule, change...)
	w.send(bus.Requested, r, r.raw)
	return r
}

func (w *world) cancel(r *request, reason string) {
	w.t.Helper()
	raw, err := proto.Marshal(&eventv1.ApprovalCancelled{ApprovalId: r.Id, Reason: reason, At: timestamppb.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(bus.Cancelled, r, raw)
}

// message waits for the approval's message to hold a text.
func (w *world) message(r *request, text string) localslack.Message {
	w.t.Helper()
	return w.messageIn(channel, r, text)
}

func (w *world) messageIn(channel string, r *request, text string) localslack.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	m, err := w.slack.Await(ctx, channel, func(m localslack.Message) bool {
		return !m.IsEphemeral && strings.Contains(shown(m), r.Id) && strings.Contains(shown(m), text)
	})
	if err != nil {
		all := ""
		for _, m := range w.slack.Messages(channel) {
			all += "\n" + shown(m)
		}
		w.t.Fatalf("no message with %q: %v%s", text, err, all)
	}
	return m
}

// shown is a message's text with JSON's own escapes undone.
func shown(m localslack.Message) string {
	s := m.Text + " " + string(m.Blocks)
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\n`, "\n").Replace(s)
}

// told waits until a user is told a text.
func (w *world) told(user, text string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if _, err := w.slack.Await(ctx, channel, func(m localslack.Message) bool {
		return m.IsEphemeral && m.To == user && strings.Contains(shown(m), text)
	}); err != nil {
		var all []string
		for _, m := range w.slack.Ephemerals(channel, user) {
			all = append(all, m.Text)
		}
		w.t.Fatalf("%s was not told %q: %v", user, text, all)
	}
}

// click clicks a button of the approval's message as a user.
func (w *world) click(r *request, user, action string) error {
	w.t.Helper()
	m := w.message(r, action)
	_, err := w.slack.Click(w.t.Context(), localslack.Click{User: user, Channel: m.Channel, TS: m.TS, ActionID: action})
	return err
}

const (
	approveButton = "gatestay_approve"
	denyButton    = "gatestay_deny"
)

func (w *world) approve(r *request, user string) {
	w.t.Helper()
	if err := w.click(r, user, approveButton); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deny(r *request, user string) {
	w.t.Helper()
	w.denyBecause(r, user, "")
}

// denyBecause clicks Deny and answers the dialog, where it comes.
func (w *world) denyBecause(r *request, user, reason string) {
	w.t.Helper()
	err := w.click(r, user, denyButton)
	if err == nil {
		_, _, err = w.slack.Answer(w.t.Context(), user, reason)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
