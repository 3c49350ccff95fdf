package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/event"
	libpolicy "github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy"
)

const patience = 10 * time.Second

const rules = `
rules:
  - name: reads
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "read"
`

// world is a bus, a folder and what runs on them.
type world struct {
	*testing.T
	dir    string
	server *server.Server
	bus    *bus.Bus
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir()}
	w.startBus(server.RANDOM_PORT)
	w.write("policies/rules.yaml", rules)
	w.write("gatestay.yaml", w.yaml("targets: {prod-db: {protocol: postgres, address: \"db:5432\", user: app, password: \"env:SECRET\", environment: production}}"))
	return w
}

func (w *world) startBus(port int) {
	w.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: filepath.Join(w.dir, "nats"), NoSigs: true})
	if err != nil {
		w.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		w.Fatal("the bus does not start")
	}
	w.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	w.server = s
}

// on connects to the bus as a reader would.
func (w *world) on() *bus.Bus {
	w.Helper()
	if w.bus == nil {
		b, err := bus.Connect(w.Context(), bus.Options{URL: w.server.ClientURL(), Name: "test", Log: zerolog.Nop()})
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(b.Close)
		w.bus = b
	}
	return w.bus
}

func (w *world) yaml(targets string) string {
	return "policy: {dir: policies, key: keys/policy.pem, listen: \"127.0.0.1:0\"}\nissuers: [{name: github, preset: github-actions, issuer: \"https://token.actions.githubusercontent.com\", audience: gatestay}]\n" + targets + "\n"
}

func (w *world) write(name, content string) {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.Fatal(err)
	}
	// As editors do: a new file renamed over the old one.
	if err := os.WriteFile(path+"~", []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		w.Fatal(err)
	}
}

// facts understands the first word.
func facts(_ libpolicy.Target, sql string) ([]command.Facts, error) {
	class := command.Write
	if strings.HasPrefix(sql, "select") {
		class = command.Read
	}
	return []command.Facts{{Verb: strings.Fields(sql)[0], Class: class, Filtered: true}}, nil
}

// start runs a replica until the returned function, or the test, ends it.
func (w *world) start(instance string, change ...func(*policy.Deps)) (*policy.Service, func()) {
	w.Helper()
	cfg, err := config.Load(filepath.Join(w.dir, "gatestay.yaml"))
	if err != nil {
		w.Fatal(err)
	}
	cfg.Bus.URL, cfg.Policy.Instance = w.server.ClientURL(), instance
	deps := policy.Deps{Log: zerolog.New(zerolog.NewTestWriter(w.T)).Level(zerolog.WarnLevel), Facts: facts}
	for _, f := range change {
		f(&deps)
	}
	s, err := policy.New(cfg, deps)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("run: %v", err)
		}
	})
	w.Cleanup(stop)
	return s, stop
}

func (w *world) key() *seal.Key {
	w.Helper()
	k, err := seal.LoadOrGenerate(filepath.Join(w.dir, "keys/policy.pem"))
	if err != nil {
		w.Fatal(err)
	}
	return k
}

// until waits for a condition.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			w.Fatalf("waited %s in vain: %s", patience, what)
		}
		wait := time.NewTimer(5 * time.Millisecond)
		<-wait.C
	}
}

func (w *world) kv() jetstream.KeyValue {
	w.Helper()
	kv, err := w.on().JS.KeyValue(w.Context(), bus.BucketPolicy)
	if err != nil {
		w.Fatal(err)
	}
	return kv
}

// current returns the bundle that a reader would take, nil if there is none.
func (w *world) current() *eventv1.Bundle {
	w.Helper()
	kv, err := w.on().JS.KeyValue(w.Context(), bus.BucketPolicy)
	if err != nil {
		return nil // the bus is away
	}
	e, err := kv.Get(w.Context(), bus.BundleKey)
	if err != nil {
		return nil
	}
	signed, b := &eventv1.Signed{}, &eventv1.Bundle{}
	if proto.Unmarshal(e.Value(), signed) != nil {
		return nil
	}
	payload, err := w.key().Public().Open(seal.ContextBundle, signed)
	if err != nil || proto.Unmarshal(payload, b) != nil {
		return nil
	}
	return b
}

func (w *world) version(v uint64) *eventv1.Bundle {
	w.Helper()
	w.until(fmt.Sprintf("version %d", v), func() bool { return w.current().GetVersion() == v })
	return w.current()
}

// records returns all records of an action so far; every batch must verify.
func (w *world) records(action string) []*eventv1.Record {
	w.Helper()
	stream, err := w.on().JS.Stream(w.Context(), bus.StreamAdmin)
	if err != nil {
		return nil // the bus is away
	}
	info, err := stream.Info(w.Context())
	if err != nil {
		return nil
	}
	var out []*eventv1.Record
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(w.Context(), seq)
		if err != nil {
			w.Fatal(err)
		}
		b := &eventv1.Batch{}
		if err := proto.Unmarshal(m.Data, b); err != nil {
			w.Fatal(err)
		}
		if err := event.Verify(b, w.key().Public()); err != nil {
			w.Fatal(err)
		}
		for _, r := range b.Records {
			if r.Action == action {
				out = append(out, r)
			}
		}
	}
	return out
}

func (w *world) recorded(action string, n int) []*eventv1.Record {
	w.Helper()
	w.until(fmt.Sprintf("%d records %s", n, action), func() bool { return len(w.records(action)) >= n })
	got := w.records(action)
	if len(got) != n {
		w.Fatalf("%d records of %s, want %d: %v", len(got), action, n, got)
	}
	return got
}

// get asks the HTTP API.
func get(t *testing.T, s *policy.Service, path string) (int, map[string]any) {
	t.Helper()
	resp, err := http.Get("http://" + s.Addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := map[string]any{}
	_ = json.NewDecoder(resp.Body).Decode(&body)
	return resp.StatusCode, body
}
