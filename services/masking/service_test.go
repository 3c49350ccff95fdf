package masking_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/masking"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"

// world is one masking service on a bus of its own.
type world struct {
	t       *testing.T
	dir     string
	cfg     *config.Config
	natsDir string
	server  *embedded.NATSServer
	bus     *bus.Bus
	service *masking.Service
	stop    func()
	gateway *seal.Key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), natsDir: t.TempDir()}
	w.startBus()
	t.Cleanup(func() { w.stopBus() })
	var err error
	if w.gateway, err = seal.LoadOrGenerate(filepath.Join(w.dir, "keys", "gateway.pem")); err != nil {
		t.Fatal(err)
	}
	w.cfg = &config.Config{
		Dir:     w.dir,
		Masking: config.Masking{Dir: "masking", Key: "keys/masking.pem", Listen: "127.0.0.1:0"},
		Targets: map[string]config.Target{"prod-db": {}},
		Trust:   config.Trust{Records: []string{"keys/gateway.pem.pub", "keys/not-there-yet.pub"}},
	}
	if err := os.Mkdir(filepath.Join(w.dir, "masking"), 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) startBus() {
	w.t.Helper()
	server, err := embedded.NATS(w.t.Context(), embedded.NATSOptions{Dir: w.natsDir, Log: zerolog.Nop()})
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := bus.Connect(w.t.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{server.InProcess()}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.server, w.bus = server, b
}

func (w *world) stopBus() {
	w.bus.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.server.Stop(ctx); err != nil {
		w.t.Error(err)
	}
}

// start runs the service; it is stopped at the test's end, or by stop.
func (w *world) start() {
	w.t.Helper()
	s, err := masking.New(w.cfg, masking.Deps{Log: zerolog.Nop(), Bus: []nats.Option{w.server.InProcess()}})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	w.service = s
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	w.t.Cleanup(w.stop)
}

// write replaces a masking file, as an editor does.
func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, "masking", name)
	if err := os.WriteFile(path+".tmp", []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		w.t.Fatal(err)
	}
}

// send publishes one sealed batch of the gateway.
func (w *world) send(number uint64, records ...*eventv1.Record) *eventv1.Batch {
	w.t.Helper()
	b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01J", Number: number, Records: records}
	raw, err := event.SealWire(b, w.gateway)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := bus.NewSink(w.bus, bus.RecordSubject("gw1")).Append(w.t.Context(), b, raw); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// audit returns the batches on the audit stream, by subject, in order.
func (w *world) audit(subject string) []*eventv1.Batch {
	w.t.Helper()
	s, err := w.bus.JS.Stream(w.t.Context(), bus.StreamAudit)
	if err != nil {
		w.t.Fatal(err)
	}
	info, err := s.Info(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var out []*eventv1.Batch
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(w.t.Context(), seq)
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.Contains(string(m.Data), secret) {
			w.t.Fatalf("a secret on the audit stream, under %s", m.Subject)
		}
		if m.Subject != subject {
			continue
		}
		b := &eventv1.Batch{}
		if err := proto.Unmarshal(m.Data, b); err != nil {
			w.t.Fatal(err)
		}
		if id := m.Header.Get("ce-id"); id != event.ID(b) {
			w.t.Errorf("id %s of %s", id, event.ID(b))
		}
		out = append(out, b)
	}
	return out
}

// told returns the masking service's own records of a kind of act.
func (w *world) told(action string) []*eventv1.Record {
	w.t.Helper()
	var out []*eventv1.Record
	for _, b := range w.audit("audit.admin.masking.1") {
		for _, r := range b.Records {
			if r.Action == action {
				out = append(out, r)
			}
		}
	}
	return out
}

// bundle returns the current bundle, nil where there is none.
func (w *world) bundle() *eventv1.Bundle {
	w.t.Helper()
	kv, err := w.bus.JS.KeyValue(w.t.Context(), bus.BucketMasking)
	if err != nil {
		w.t.Fatal(err)
	}
	entry, err := kv.Get(w.t.Context(), bus.BundleKey)
	if err != nil {
		return nil
	}
	trust, err := seal.LoadTrust(filepath.Join(w.dir, "keys", "masking.pem.pub"))
	if err != nil {
		w.t.Fatal(err)
	}
	signed, b := &eventv1.Signed{}, &eventv1.Bundle{}
	if err := proto.Unmarshal(entry.Value(), signed); err != nil {
		w.t.Fatal(err)
	}
	payload, err := trust.Open(seal.ContextBundle, signed)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := proto.Unmarshal(payload, b); err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (w *world) status() map[string]any {
	w.t.Helper()
	response, err := http.Get("http://" + w.service.Addr() + "/v1/status")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var out map[string]any
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

const good = "masks:\n  - {name: email, targets: [prod-db], column: public.customers.email, strategy: partial}\n"

func TestBundleIsPublishedLiveAndNeverGoesBack(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", good)
	w.start()
	w.until("version 1", func() bool { b := w.bundle(); return b != nil && b.Version == 1 })
	if b := w.bundle(); b.Kind != "masking" || string(b.Files["a.yaml"]) != good || b.Publisher != "masking/1" {
		t.Errorf("bundle %v", b)
	}
	w.until("ready", func() bool { return w.service.Ready() == nil })

	start := time.Now()
	w.write("b.yaml", "masks:\n  - {name: all, detectors: [all], strategy: redact}\n")
	w.until("version 2", func() bool { return w.bundle().Version == 2 })
	if took := time.Since(start); took > time.Second {
		t.Errorf("a changed file took %s to act", took)
	}
	w.until("both told", func() bool { return len(w.told("bundle.published")) == 2 })

	w.stop()
	w.start()
	w.until("ready again", func() bool { return w.service.Ready() == nil })
	if v := w.bundle().Version; v != 2 {
		t.Errorf("the same content is version %d after a restart", v)
	}
}

func TestBrokenFileKeepsTheLastGoodBundle(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", good)
	w.start()
	w.until("version 1", func() bool { b := w.bundle(); return b != nil && b.Version == 1 })
	w.write("a.yaml", good+"  - {name: email, column: t.c, strategy: blur}\n")
	w.until("rejected", func() bool { return w.status()["state"] == "rejected" })
	w.until("told", func() bool { return len(w.told("bundle.rejected")) == 1 })
	if b := w.bundle(); b.Version != 1 || string(b.Files["a.yaml"]) != good {
		t.Errorf("the last good bundle did not stay: %v", b)
	}
	problems := w.told("bundle.rejected")[0].Details["problems"]
	for _, want := range []string{`a.yaml:3: the name "email" is taken by a.yaml:2; rename one of them`, `a.yaml:3: unknown strategy "blur"; choose one of`} {
		if !strings.Contains(problems, want) {
			t.Errorf("problems %s lack %s", problems, want)
		}
	}
	listed, _ := w.status()["problems"].([]any)
	if len(listed) != 2 || listed[0].(map[string]any)["line"] != float64(3) {
		t.Errorf("status lists %v", listed)
	}
	w.write("a.yaml", good+"  - {name: city, targets: [nowhere], column: t.c, strategy: redact}\n")
	w.until("version 2", func() bool { return w.bundle().Version == 2 })
	w.until("a mask that never applies is told", func() bool { return len(w.told("masking.never_applies")) == 1 })
}

func TestSecondLookRedactsAndTells(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", good)
	w.start()
	sent := w.send(1, &eventv1.Record{Id: "r1", SessionId: "s1", Statement: "SELECT '" + secret + "'", Parameters: []string{"'4242'", "'4242'", "'4242'", "'4242'"}}, &eventv1.Record{Id: "r2", Statement: "SELECT 1"})
	w.until("the batch", func() bool { return len(w.audit("audit.record.gw1")) == 1 })
	b := w.audit("audit.record.gw1")[0]
	if err := event.Verify(b, w.gateway.Public()); err != nil {
		t.Errorf("the redacted batch does not verify: %v", err)
	}
	if b.Records[0].Statement != "SELECT '[redacted:github-token]'" || b.Records[0].Parameters[2] != "'[redacted:card]'" || !proto.Equal(b.Records[1], sent.Records[1]) {
		t.Errorf("records %v", b.Records)
	}
	w.until("the redaction is told", func() bool { return len(w.told("redacted")) == 1 })
	told := w.told("redacted")[0]
	if told.Kind != eventv1.Kind_KIND_REDACTION || told.Details["record"] != "r1" || told.Details["fields"] != "statement,parameters.0,parameters.1,parameters.2,parameters.3" || told.SessionId != "s1" {
		t.Errorf("told %v", told)
	}
	response, err := http.Get("http://" + w.service.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`gatestay_masking_redactions_total{detector="card"} 4`, `gatestay_masking_redactions_total{detector="github-token"} 1`, `gatestay_masking_batches_total{stream="RECORDS"} 1`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// Every batch of this service's own comes through once, and tells of nothing
// further: the redactions do not go round.
func TestOwnRecordsDoNotGoRound(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", good)
	w.start()
	w.send(1, &eventv1.Record{Id: "r1", Statement: secret})
	w.until("told", func() bool { return len(w.told("redacted")) == 1 })
	w.send(2, &eventv1.Record{Id: "r2", Statement: secret})
	w.until("told again", func() bool { return len(w.told("redacted")) == 2 })
	admin, err := w.bus.JS.Stream(t.Context(), bus.StreamAdmin)
	if err != nil {
		t.Fatal(err)
	}
	w.until("all own batches are carried", func() bool {
		info, err := admin.Info(t.Context())
		return err == nil && uint64(len(w.audit("audit.admin.masking.1"))) == info.State.LastSeq
	})
	if got := len(w.told("redacted")); got != 2 {
		t.Errorf("%d redactions told", got)
	}
	for i, b := range w.audit("audit.admin.masking.1") {
		if b.Number != uint64(i)+1 {
			t.Errorf("own batch %d has number %d", i, b.Number)
		}
	}
}

func TestUnreadableBatchBecomesAPlaceholder(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", good)
	w.send(1, &eventv1.Record{Id: "r1"})
	m := nats.NewMsg("record.gw1")
	m.Data = []byte("\xff\xff")
	m.Header.Set("ce-id", "gateway/gw1/01J/2")
	if _, err := w.bus.JS.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	w.send(3, &eventv1.Record{Id: "r3"})
	w.start()
	w.until("all three", func() bool { return len(w.audit("audit.record.gw1")) == 3 })
	got := w.audit("audit.record.gw1")
	if got[0].PlaceholderReason != "" || got[1].PlaceholderReason != "it cannot be unmarshalled" || got[1].Number != 2 || got[2].Number != 3 {
		t.Errorf("batches %v", got)
	}
	w.until("told", func() bool { return len(w.told("batch.replaced")) == 1 })
}

// Down for a while, the bus killed meanwhile: what waited is carried, once, in
// order.
func TestCatchesUpAfterServiceAndBusWereDown(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", good)
	w.start()
	for n := uint64(1); n <= 5; n++ {
		w.send(n, &eventv1.Record{Id: fmt.Sprint(n)})
	}
	w.until("the first five", func() bool { return len(w.audit("audit.record.gw1")) == 5 })
	w.stop()
	for n := uint64(6); n <= 20; n++ {
		w.send(n, &eventv1.Record{Id: fmt.Sprint(n), Statement: secret})
	}
	w.stopBus()
	w.startBus()
	w.start()
	w.until("all", func() bool { return len(w.audit("audit.record.gw1")) >= 20 })
	var numbers []uint64
	for _, b := range w.audit("audit.record.gw1") {
		numbers = append(numbers, b.Number)
	}
	want := make([]uint64, 20)
	for i := range want {
		want[i] = uint64(i) + 1
	}
	if !slices.Equal(numbers, want) {
		t.Errorf("numbers %v", numbers)
	}
	w.until("every redaction told", func() bool { return len(w.told("redacted")) == 15 })
}

// The service outlives its bus.
func TestGoesOnWhenTheBusComesBack(t *testing.T) {
	w := newWorld(t)
	w.write("a.yaml", good)
	address := freeAddress(t)
	w.stopBus()
	listen := func() {
		server, err := embedded.NATS(t.Context(), embedded.NATSOptions{Dir: w.natsDir, Log: zerolog.Nop(), Listen: true, Address: address})
		if err != nil {
			t.Fatal(err)
		}
		b, err := bus.Connect(t.Context(), bus.Options{URL: server.URL, Name: "test", Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		w.server, w.bus = server, b
	}
	w.cfg.Bus.URL = "nats://" + address
	s, err := masking.New(w.cfg, masking.Deps{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }() // before there is a bus
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	listen()
	w.service = s
	w.send(1, &eventv1.Record{Id: "1"})
	w.until("the first", func() bool { return len(w.audit("audit.record.gw1")) == 1 })
	w.stopBus()
	listen()
	w.send(2, &eventv1.Record{Id: "2"})
	w.until("the second", func() bool { return len(w.audit("audit.record.gw1")) == 2 })
	w.until("ready", func() bool { return s.Ready() == nil })
}

func TestConfigurationProblemsAreToldTogether(t *testing.T) {
	_, err := masking.New(&config.Config{Masking: config.Masking{Instance: "a.b"}}, masking.Deps{Log: zerolog.Nop()})
	for _, want := range []string{"$.masking.dir", "$.masking.key", "$.masking.listen", "$.masking.instance"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
