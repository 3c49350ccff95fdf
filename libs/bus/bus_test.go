package bus

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func serve(t *testing.T, dir, address string) *embedded.NATSServer {
	t.Helper()
	s, err := embedded.NATS(t.Context(), embedded.NATSOptions{Dir: dir, Log: zerolog.Nop(), Listen: true, Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
	return s
}

func connect(t *testing.T, url string) *Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b, err := Connect(ctx, Options{URL: url, Name: "test", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestServicesStartInAnyOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only a free port
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var starting sync.WaitGroup
	for range 5 { // all of them create what is missing, before there is a server
		starting.Go(func() {
			b, err := Connect(t.Context(), Options{URL: "nats://" + address, Log: zerolog.Nop()})
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close()
			if err := b.Ready(); err != nil {
				t.Error(err)
			}
		})
	}
	s := serve(t, t.TempDir(), address)
	starting.Wait()
	b := connect(t, s.URL)
	for _, want := range streams(1) {
		info, err := b.JS.Stream(t.Context(), want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.CachedInfo().Config; !got.DenyDelete || !got.DenyPurge || got.AllowRollup || got.Storage != jetstream.FileStorage {
			t.Errorf("%s: %+v", want.Name, got)
		}
	}
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, Options{URL: "nats://127.0.0.1:1", Log: zerolog.Nop()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestRedteam17_EventsCannotBeTakenBack tries what a service's own connection
// could do to what it has published.
func TestRedteam17_EventsCannotBeTakenBack(t *testing.T) {
	b := connect(t, serve(t, t.TempDir(), "").URL)
	if _, err := b.JS.Publish(t.Context(), RecordSubject("gw1"), []byte("record")); err != nil {
		t.Fatal(err)
	}
	stream, err := b.JS.Stream(t.Context(), StreamRecords)
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"purge": stream.Purge(t.Context()), "delete": stream.DeleteMsg(t.Context(), 1), "secure delete": stream.SecureDeleteMsg(t.Context(), 1),
	} {
		if err == nil {
			t.Errorf("%s succeeded", what)
		}
	}
	if m, err := stream.GetMsg(t.Context(), 1); err != nil || string(m.Data) != "record" {
		t.Errorf("%v, %v", m, err)
	}
	m := nats.NewMsg(RecordSubject("gw1"))
	m.Header.Set("Nats-Rollup", "all")
	if _, err := b.JS.PublishMsg(t.Context(), m); err == nil {
		t.Error("a roll-up emptied the stream")
	}
}

// TestRedteam02_ATokenIsUsedOnce lets many claim one token at once.
func TestRedteam02_ATokenIsUsedOnce(t *testing.T) {
	b := connect(t, serve(t, t.TempDir(), "").URL)
	var claiming sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 20 {
		claiming.Go(func() {
			if _, err := b.JS.Publish(t.Context(), TokenPrefix+"abc", []byte("session"), jetstream.WithExpectLastSequencePerSubject(0)); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	claiming.Wait()
	if won != 1 {
		t.Errorf("%d claimed it", won)
	}
	if _, err := b.JS.Publish(t.Context(), TokenPrefix+"abc", []byte("again")); err == nil {
		t.Error("without an expectation it was overwritten")
	}
}

func TestSinkStoresABatchOnce(t *testing.T) {
	b := connect(t, serve(t, t.TempDir(), "").URL)
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	batch := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01A", Number: 1, Records: []*eventv1.Record{{Id: "r1"}}}
	if err := event.Seal(batch, key); err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time after an acknowledgement that was lost
		if err := NewSink(b, RecordSubject("gw1")).Append(t.Context(), batch, raw); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := b.JS.Stream(t.Context(), StreamRecords)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages", n)
	}
	m, err := stream.GetLastMsgForSubject(t.Context(), RecordSubject("gw1"))
	if err != nil || m.Header.Get("ce-id") != event.ID(batch) || m.Header.Get("ce-source") != "gateway/gw1" {
		t.Errorf("%v: %v", err, m)
	}
}

func TestApprovalSubjects(t *testing.T) {
	gateway, id, event, ok := ParseApprovalSubject(ApprovalSubject("gw1", "apr_1", Decided))
	if !ok || gateway != "gw1" || id != "apr_1" || event != Decided {
		t.Error(gateway, id, event, ok)
	}
	for _, subject := range []string{"", "approval.gw1.apr_1", "approval.gw1.apr_1.decided.x", "record.gw1.apr_1.decided"} {
		if _, _, _, ok := ParseApprovalSubject(subject); ok {
			t.Error(subject)
		}
	}
}
