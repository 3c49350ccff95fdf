package archival

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/goccy/go-yaml"
	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/libs/service"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/archive"
)

const (
	roleVariable = "GATESTAY_ARCHIVAL_TEST_CONFIG"
	patience     = 30 * time.Second
)

// shared is the ClickHouse of all tests that do not stop it; each has a
// database of its own in it.
var shared *embedded.ClickHouseServer

func TestMain(m *testing.M) {
	embedded.MaybeChild()
	if path := os.Getenv(roleVariable); path != "" {
		role(path)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "archival")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	shared, err = embedded.ClickHouse(context.Background(), embedded.ClickHouseOptions{Dir: dir, Log: zerolog.Nop(), Progress: func(s string) { fmt.Println(s) }})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer shared.Kill()
	code := m.Run()
	select {
	case <-shared.Done():
		fmt.Println("the shared ClickHouse ended by itself:", shared.Stop(context.Background()))
		return 1
	default:
		return code
	}
}

// role is the service as a process of its own, for tests that kill it.
func role(path string) {
	cfg, err := config.Load(path)
	if err == nil {
		var s *Service
		s, err = New(cfg, Deps{Log: zerolog.New(os.Stderr), Limits: quick()})
		if err == nil {
			ctx, stop := service.Signals()
			defer stop()
			err = s.Run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// quick are limits with which a test need not wait.
func quick() archive.Limits {
	l := archive.DefaultLimits()
	l.GroupWait, l.Patience, l.Backoff = 20*time.Millisecond, 300*time.Millisecond, 200*time.Millisecond
	return l
}

// world is one archival with its surroundings.
type world struct {
	testing.TB
	clickhouse *embedded.ClickHouseServer
	nats       *embedded.NATSServer
	bus        *bus.Bus
	cfg        *config.Config
	keys       map[string]*seal.Key
	limits     archive.Limits
	conn       clickhouse.Conn
}

func newWorld(t testing.TB) *world { return newWorldAt(t, shared) }

func newWorldAt(t testing.TB, ch *embedded.ClickHouseServer) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{TB: t, clickhouse: ch, keys: map[string]*seal.Key{}, limits: quick()}
	var trust []string
	for _, name := range []string{"gateway", "policy", "masking", "approval", "archival"} {
		key, err := seal.LoadOrGenerate(filepath.Join(dir, name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		w.keys[name] = key
		trust = append(trust, name+".pem.pub")
	}
	var err error
	if w.nats, err = embedded.NATS(t.Context(), embedded.NATSOptions{Dir: filepath.Join(dir, "nats"), Log: zerolog.Nop(), Listen: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.nats.Stop(context.Background()) })
	w.connect()
	w.cfg = &config.Config{
		Dir: dir, Bus: config.Bus{URL: w.nats.URL}, Trust: config.Trust{Records: trust, Policy: []string{"policy.pem.pub"}},
		Archival: config.Archival{
			ClickHouse: config.ClickHouse{Address: ch.Native, Database: "t_" + strings.ToLower(ulid.Make().String())},
			Key:        "archival.pem", Listen: "127.0.0.1:0",
		},
	}
	w.open()
	return w
}

func (w *world) connect() {
	w.Helper()
	b, err := bus.Connect(w.Context(), bus.Options{URL: w.nats.URL, Name: "test", Log: zerolog.Nop()})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(b.Close)
	w.bus = b
}

func (w *world) open() {
	w.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{w.clickhouse.Native}, DialTimeout: time.Second})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	w.conn = conn
}

// start runs the service until the returned function, or the test, ends.
func (w *world) start() (s *Service, stop func()) {
	w.Helper()
	s, err := New(w.cfg, Deps{Log: zerolog.New(zerolog.NewTestWriter(w.TB)).Level(zerolog.WarnLevel), Limits: w.limits})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.Error(err)
			}
		})
	}
	w.Cleanup(stop)
	return s, stop
}

// spawn runs the service as a process that can be killed.
func (w *world) spawn() *exec.Cmd {
	w.Helper()
	raw, err := yaml.Marshal(w.cfg)
	if err != nil {
		w.Fatal(err)
	}
	path := filepath.Join(w.cfg.Dir, "gatestay.yaml")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		w.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+path)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// producer makes batches as a gateway does, straight onto the audit stream.
func (w *world) producer(gateway string) *event.Producer {
	p := event.NewProducer("gateway/"+gateway, w.keys["gateway"], bus.NewSink(w.bus, bus.AuditPrefix+bus.RecordSubject(gateway)))
	w.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// seal makes the next batch of a chain by hand.
func (w *world) seal(previous *eventv1.Batch, records ...*eventv1.Record) *eventv1.Batch {
	w.Helper()
	b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01JINCARNATION", Number: 1, Records: records}
	if previous != nil {
		b.Producer, b.Incarnation = previous.Producer, previous.Incarnation
		b.Number, b.PreviousHash = previous.Number+1, previous.Hash
	}
	if err := event.Seal(b, w.keys["gateway"]); err != nil {
		w.Fatal(err)
	}
	return b
}

// chain makes n batches of one record each.
func (w *world) chain(n int) []*eventv1.Batch {
	w.Helper()
	batches := make([]*eventv1.Batch, n)
	var previous *eventv1.Batch
	for i := range batches {
		batches[i] = w.seal(previous, record("ses_chain", i+1))
		previous = batches[i]
	}
	return batches
}

// publish puts a batch on the audit stream, whatever is on it already.
func (w *world) publish(subject string, b *eventv1.Batch) {
	w.Helper()
	raw, err := proto.Marshal(b)
	if err != nil {
		w.Fatal(err)
	}
	w.publishRaw(subject, raw)
}

func (w *world) publishRaw(subject string, raw []byte) {
	w.Helper()
	if _, err := w.bus.JS.Publish(w.Context(), subject, raw); err != nil {
		w.Fatal(err)
	}
}

const fromGateway = "audit.record.gw1"

func record(session string, n int) *eventv1.Record {
	return &eventv1.Record{
		Id: ulid.Make().String(), Kind: eventv1.Kind_KIND_INTENT, SessionId: session, SessionSequence: uint64(n), CommandId: fmt.Sprintf("cmd_%s_%d", session, n),
		Principal: &eventv1.Principal{Repository: "acme/shop", RepositoryId: "1001"}, Target: "prod-db", Statement: fmt.Sprintf("SELECT %d", n), Effect: "allow",
	}
}

// number asks ClickHouse for one number; %s. in the text is the database.
func (w *world) number(sql string) (n uint64) {
	w.Helper()
	sql = strings.ReplaceAll(sql, "%s.", w.cfg.Archival.ClickHouse.Database+".")
	if err := w.conn.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		return 0 // not there yet; the caller waits or fails
	}
	return n
}

// await waits until the number is the one wanted.
func (w *world) await(want uint64, sql string) {
	w.Helper()
	w.eventually(func() error {
		if n := w.number(sql); n != want {
			return fmt.Errorf("%s: %d, want %d", sql, n, want)
		}
		return nil
	})
}

func (w *world) eventually(condition func() error) {
	w.Helper()
	deadline, pause := time.Now().Add(patience), time.NewTicker(20*time.Millisecond)
	defer pause.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatal(err)
		}
		<-pause.C
	}
}

// onceAndInOrder checks what the store holds of n records, and that it can be
// told from what it holds: each record once, each chain without a gap, each
// session without one.
func (w *world) onceAndInOrder(n uint64) { w.Helper(); w.onceAndInOrderBut(n) }

func (w *world) onceAndInOrderBut(n uint64, but ...string) {
	w.Helper()
	w.await(n, "SELECT sum(record_count) FROM %s.batches WHERE producer LIKE 'gateway/%' AND digest = ''")
	for what, sql := range map[string]string{
		"records twice":             "SELECT count() - uniqExact(id) FROM %s.records WHERE integrity = 'verified'",
		"places twice":              "SELECT count() - uniqExact(producer, incarnation, batch_number, position, digest) FROM %s.records",
		"batches twice":             "SELECT count() - uniqExact(producer, incarnation, number, digest) FROM %s.batches",
		"chains with gaps":          "SELECT count() FROM (SELECT 1 FROM %s.batches WHERE digest = '' GROUP BY producer, incarnation HAVING max(number) != count())",
		"records without batch row": "SELECT count() FROM %s.records WHERE (producer, incarnation, batch_number) NOT IN (SELECT producer, incarnation, number FROM %s.batches)",
		"batches short of records":  "SELECT count() FROM (SELECT any(record_count) AS said, count() AS there FROM %s.batches AS b JOIN %s.records AS r ON r.producer = b.producer AND r.incarnation = b.incarnation AND r.batch_number = b.number AND r.digest = b.digest GROUP BY b.producer, b.incarnation, b.number, b.digest HAVING said != there)",
		"sessions with gaps":        "SELECT count() FROM (SELECT session_id FROM %s.records WHERE kind = 'intent' AND integrity = 'verified' GROUP BY session_id HAVING max(session_sequence) != count() OR min(session_sequence) != 1)",
		"not verified":              "SELECT count() FROM %s.records WHERE integrity != 'verified'",
		"out of order in a session": "SELECT count() FROM (SELECT session_sequence AS n, lagInFrame(session_sequence, 1, 0) OVER (PARTITION BY session_id ORDER BY batch_number, position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before FROM %s.records WHERE kind = 'intent' AND integrity = 'verified') WHERE n != before + 1",
	} {
		if got := w.number(sql); got != 0 && !slices.Contains(but, what) {
			w.Errorf("%s: %d", what, got)
		}
	}
}

// drained waits until every message is acknowledged.
func (w *world) drained() {
	w.Helper()
	w.eventually(func() error {
		c, err := w.bus.JS.Consumer(w.Context(), bus.StreamAudit, "archival")
		if err != nil {
			return err
		}
		info := c.CachedInfo()
		if info.NumPending+uint64(info.NumAckPending) > 0 {
			return fmt.Errorf("%d messages waiting, %d not acknowledged", info.NumPending, info.NumAckPending)
		}
		return nil
	})
}

func (w *world) ready(s *Service) {
	w.Helper()
	w.eventually(func() error {
		response, err := http.Get("http://" + s.Addr() + "/readyz")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s", response.Status)
		}
		return nil
	})
}
