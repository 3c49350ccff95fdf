package desk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/rulebook"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

const files = `
rules:
  - name: two
    effect: hold
    targets: [db]
    principals: [{any: true}]
    approvers: {slack_users: [U0DANA, U0KIM, U0NEW], persons: [sam], count: 2}
    deadline: 15m
`

const peopleFile = `
people:
  - {name: dana, accounts: ["slack:U0DANA", "oidc:dana@x"]}
  - {name: kim, accounts: ["slack:U0KIM", "oidc:kim@x"]}
  - {name: sam, accounts: ["oidc:sam@x", "slack:U0SAM"]}
  - {name: riley, accounts: ["github:riley", "slack:U0RILEY"]}
`

type bench struct {
	bus    *bus.Bus
	kv     jetstream.KeyValue
	key    *seal.Key
	book   *rulebook.Book
	engine *policy.Engine
	clock  atomic.Int64 // Unix nanoseconds
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	server, err := embedded.NATS(t.Context(), embedded.NATSOptions{Dir: filepath.Join(t.TempDir(), "nats"), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	if b.bus, err = bus.Connect(t.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{server.InProcess()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.bus.Close)
	if b.kv, err = b.bus.JS.KeyValue(t.Context(), bus.BucketApprovals); err != nil {
		t.Fatal(err)
	}
	if b.key, err = seal.Generate(); err != nil {
		t.Fatal(err)
	}
	if b.engine, err = policy.Compile(map[string][]byte{"r.yaml": []byte(files), "people.yaml": []byte(peopleFile)}); err != nil {
		t.Fatal(err)
	}
	b.book = rulebook.NewBook(b.engine, 1, nil)
	b.clock.Store(time.Now().UnixNano())
	return b
}

func (b *bench) now() time.Time { return time.Unix(0, b.clock.Load()) }

func (b *bench) desk(p Publisher) *Desk {
	return &Desk{
		Store: store.New(b.kv, zerolog.Nop()), Rules: func() *rulebook.Book { return b.book }, Key: b.key, Bus: p, Now: b.now, Log: zerolog.Nop(),
		Changed: func(*machine.State) {}, Finding: func(string, map[string]string) {}, Metrics: NewMetrics(prometheus.NewRegistry()),
	}
}

func (b *bench) request() (*eventv1.ApprovalRequest, []byte) {
	r := &eventv1.ApprovalRequest{
		Id: approval.NewID(), Gateway: "gw1", SessionId: "s", CommandId: "c", Target: "db", Rule: "two", RuleHash: b.engine.Hashes()["two"], PolicyVersion: 1,
		Principal: &eventv1.Principal{Preset: "github-actions", Actor: "riley"}, Requesters: []string{"github:riley"}, Verb: "update", Statement: "UPDATE t SET a = 1",
		Approvers: &eventv1.Approvers{SlackUsers: []string{"U0DANA", "U0KIM", "U0NEW"}, Persons: []string{"sam"}, Count: 2},
		Digest:    []byte("digest"), RequestedAt: timestamppb.New(b.now()), Deadline: timestamppb.New(b.now().Add(time.Minute)),
	}
	raw, _ := proto.Marshal(r) // strings only
	return r, raw
}

// messages returns all messages of a subject.
func (b *bench) messages(stream, subject string) [][]byte {
	s, err := b.bus.JS.Stream(context.Background(), stream)
	if err != nil {
		return nil
	}
	var out [][]byte
	for seq := uint64(1); ; {
		m, err := s.GetMsg(context.Background(), seq, jetstream.WithGetMsgSubject(subject))
		if err != nil {
			return out
		}
		out = append(out, m.Data)
		seq = m.Sequence + 1
	}
}

func (b *bench) decisions(id string) [][]byte {
	return b.messages(bus.StreamApprovals, bus.ApprovalSubject("gw1", id, bus.Decided))
}

// steps checks the chain of an approval's records and returns their actions.
func (b *bench) steps(id string) (string, error) {
	var out []string
	var previous []byte
	number := uint64(0)
	for _, raw := range b.messages(bus.StreamAdmin, StepsSubject) {
		batch := &eventv1.Batch{}
		if err := proto.Unmarshal(raw, batch); err != nil {
			return "", err
		}
		if batch.Incarnation != id {
			continue
		}
		if err := event.Verify(batch, b.key.Public()); err != nil {
			return "", err
		}
		if number++; batch.Number != number || string(batch.PreviousHash) != string(previous) {
			return "", fmt.Errorf("batch %d where %d was expected", batch.Number, number)
		}
		previous = batch.Hash
		for _, r := range batch.Records {
			out = append(out, r.Action)
		}
	}
	return strings.Join(out, " "), nil
}

// flaky fails as told; what it is told to lose is published all the same.
type flaky struct {
	Publisher
	fail, lose atomic.Bool
}

var errDown = errors.New("the bus is down")

func (f *flaky) PublishOnce(ctx context.Context, subject string, raw []byte) ([]byte, error) {
	if f.fail.Load() {
		return nil, errDown
	}
	there, err := f.Publisher.PublishOnce(ctx, subject, raw)
	if f.lose.Load() {
		return nil, errDown
	}
	return there, err
}

func (f *flaky) PublishBatch(ctx context.Context, subject string, b *eventv1.Batch, raw []byte) error {
	if f.fail.Load() {
		return errDown
	}
	err := f.Publisher.PublishBatch(ctx, subject, b, raw)
	if f.lose.Load() {
		return errDown
	}
	return err
}

func (b *bench) hold(t *testing.T, d *Desk) *eventv1.ApprovalRequest {
	t.Helper()
	r, raw := b.request()
	if err := d.Requested(t.Context(), "gw1", r.Id, raw, ""); err != nil {
		t.Fatal(err)
	}
	return r
}

func vote(t *testing.T, d *Desk, id, account, v string) *machine.State {
	t.Helper()
	st, err := d.Vote(t.Context(), Ballot{Approval: id, Account: account, Vote: v, Via: "cli"})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// The process ends at every point between the state and the bus, and another
// finishes: one decision, each record once.
func TestRedteam22_KilledBetweenStateAndBus(t *testing.T) {
	b := newBench(t)
	for name, set := range map[string]func(*flaky, bool){
		"nothing was published":                 func(f *flaky, on bool) { f.fail.Store(on) },
		"all was published, and no answer came": func(f *flaky, on bool) { f.lose.Store(on) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &flaky{Publisher: JetStream{JS: b.bus.JS}}
			first, second := b.desk(p), b.desk(JetStream{JS: b.bus.JS})
			set(p, true)
			r := b.hold(t, first)
			vote(t, first, r.Id, "oidc:dana@x", approval.Approve)
			if st := vote(t, first, r.Id, "oidc:sam@x", approval.Approve); st.Status != machine.Approved {
				t.Fatalf("got %s", st.Status)
			}
			if err := first.Settle(t.Context(), r.Id); !errors.Is(err, errDown) {
				t.Fatalf("got %v", err)
			}
			for range 2 {
				if err := second.Settle(t.Context(), r.Id); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(b.decisions(r.Id)); n != 1 {
				t.Fatalf("%d decisions", n)
			}
			if got, err := b.steps(r.Id); err != nil || got != "requested voted voted decided" {
				t.Fatalf("got %q, %v", got, err)
			}
			st, _, err := second.Store.Get(t.Context(), r.Id)
			if err != nil || !st.Announced || len(st.Chain.Outgoing) != 0 {
				t.Fatalf("not settled: %v", err)
			}
		})
	}
}

func TestRedelivery(t *testing.T) {
	b := newBench(t)
	d := b.desk(JetStream{JS: b.bus.JS})
	r, raw := b.request()
	for range 3 {
		if err := d.Requested(t.Context(), "gw1", r.Id, raw, ""); err != nil {
			t.Fatal(err)
		}
	}
	cancelled, _ := proto.Marshal(&eventv1.ApprovalCancelled{ApprovalId: r.Id, Reason: approval.ClientGone})
	for range 3 {
		if err := d.Cancelled(t.Context(), "gw1", r.Id, cancelled); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Settle(t.Context(), r.Id); err != nil {
		t.Fatal(err)
	}
	if got, err := b.steps(r.Id); err != nil || got != "requested cancelled" {
		t.Fatalf("got %q, %v", got, err)
	}
	_, err := d.Vote(t.Context(), Ballot{Approval: r.Id, Account: "oidc:dana@x", Vote: approval.Approve, Via: "cli"})
	var refused *refusal.Refusal
	if !errors.As(err, &refused) || refused.Code != refusal.ApprovalOver {
		t.Fatalf("got %v", err)
	}
}

// Any interleaving of requests, votes, cancellations, expiry, redelivery and
// settling, at two desks whose bus fails now and then, ends in one outcome,
// which the votes allow, with one decision and an unbroken chain of records.
func TestRedteam22_AnyInterleavingHasOneOutcome(t *testing.T) {
	b := newBench(t)
	accounts := []string{"slack:U0DANA", "oidc:dana@x", "slack:U0KIM", "oidc:sam@x", "slack:U0NEW", "slack:U0RILEY", "slack:U0EVE"}
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		pipes := []*flaky{{Publisher: JetStream{JS: b.bus.JS}}, {Publisher: JetStream{JS: b.bus.JS}}}
		desks := []*Desk{b.desk(pipes[0]), b.desk(pipes[1])}
		r, raw := b.request()
		cancelled, _ := proto.Marshal(&eventv1.ApprovalCancelled{ApprovalId: r.Id, Reason: approval.ClientGone})
		var outcome machine.Status
		look := func() *machine.State {
			st, _, err := desks[0].Store.Get(ctx, r.Id)
			if errors.Is(err, store.ErrUnknown) {
				return nil
			}
			if err != nil {
				t.Fatal(err)
			}
			if outcome != "" && st.Status != outcome {
				t.Fatalf("it was %s and is %s", outcome, st.Status)
			}
			if st.Done() {
				outcome = st.Status
			}
			return st
		}
		pick := func() *Desk { return desks[rapid.IntRange(0, 1).Draw(t, "desk")] }
		steps := map[string]func(*rapid.T){
			"request": func(*rapid.T) { _ = pick().Requested(ctx, "gw1", r.Id, raw, "") },
			"vote": func(*rapid.T) {
				_, _ = pick().Vote(ctx, Ballot{
					Approval: r.Id, Account: rapid.SampledFrom(accounts).Draw(t, "account"), Via: "cli",
					Vote: rapid.SampledFrom([]string{approval.Approve, approval.Approve, approval.Approve, approval.Deny}).Draw(t, "vote"),
				})
			},
			"cancel": func(*rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "now") == 0 {
					_ = pick().Cancelled(ctx, "gw1", r.Id, cancelled)
				}
			},
			"time":   func(*rapid.T) { b.clock.Add(int64(rapid.IntRange(0, 40).Draw(t, "seconds")) * int64(time.Second)) },
			"expire": func(*rapid.T) { _ = pick().Expire(ctx, r.Id) },
			"settle": func(*rapid.T) { _ = pick().Settle(ctx, r.Id) },
			"outage": func(*rapid.T) {
				p := pipes[rapid.IntRange(0, 1).Draw(t, "pipe")]
				p.fail.Store(rapid.Bool().Draw(t, "fail"))
				p.lose.Store(rapid.Bool().Draw(t, "lose"))
			},
			"": func(*rapid.T) { look() },
		}
		t.Repeat(steps)
		for _, p := range pipes {
			p.fail.Store(false)
			p.lose.Store(false)
		}
		st := look()
		if st == nil {
			return
		}
		b.clock.Add(int64(2 * time.Minute))
		if err := errors.Join(desks[0].Expire(ctx, r.Id), desks[1].Settle(ctx, r.Id)); err != nil {
			t.Fatal(err)
		}
		st = look()
		if request, _ := st.Parse(); request == nil {
			return // only ever cancelled
		}
		if !st.Done() {
			t.Fatal("no outcome after the deadline")
		}
		checkOutcome(t, b, st)
	})
}

func checkOutcome(t *rapid.T, b *bench, st *machine.State) {
	steps, err := b.steps(st.ID)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(steps, "decided") + strings.Count(steps, "expired"); n > 1 || strings.Count(steps, "requested") != 1 {
		t.Fatalf("steps %s", steps)
	}
	decisions := b.decisions(st.ID)
	if len(decisions) > 1 || (len(decisions) == 1) != (len(st.Decision) > 0) {
		t.Fatalf("%d decisions, state %s", len(decisions), st.Status)
	}
	if st.Status != machine.Approved {
		return
	}
	s, d := &eventv1.Signed{}, &eventv1.ApprovalDecision{}
	if err := errors.Join(proto.Unmarshal(decisions[0], s), proto.Unmarshal(s.Payload, d)); err != nil {
		t.Fatal(err)
	}
	persons := map[string]bool{}
	for _, v := range d.Votes {
		if v.Account == "slack:U0RILEY" || v.Account == "slack:U0EVE" || v.Vote != approval.Approve {
			t.Fatalf("a vote counted that must not: %v", v)
		}
		persons[v.Person] = true
	}
	if len(persons) < 2 || d.DecidedAt.AsTime().After(d.ExpiresAt.AsTime()) {
		t.Fatalf("approved by %v", persons)
	}
}

func TestUnknownIDsNeverReachTheBucket(t *testing.T) {
	b := newBench(t)
	d := b.desk(JetStream{JS: b.bus.JS})
	for _, id := range []string{"", "policy_version", "apr_", "apr_*", "apr_>", "../x", "apr_" + strings.Repeat("I", 26), "apr_" + ulid.Make().String() + ".x"} {
		_, err := d.Vote(t.Context(), Ballot{Approval: id, Account: "oidc:dana@x", Vote: approval.Approve, Via: "cli"})
		var refused *refusal.Refusal
		if !errors.As(err, &refused) || refused.Code != refusal.ApprovalUnknown {
			t.Errorf("%q: got %v", id, err)
		}
	}
}
