package embedded

import (
	"errors"
	"net/url"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

func TestNATS_keepsStreamsOverStop(t *testing.T) {
	dir := t.TempDir()
	first, err := NATS(t.Context(), NATSOptions{Dir: dir, Log: zerolog.Nop(), Listen: true, SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, first.URL)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	second, err := NATS(t.Context(), NATSOptions{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if second.URL != "" {
		t.Fatalf("listens at %s without being asked to", second.URL)
	}
	js = jetStream(t, "nats://nowhere.invalid:4222", second.InProcess())
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Fatalf("%d messages after a restart, want 1", n)
	}
}

func TestNATS_demandsItsPassword(t *testing.T) {
	s, err := NATS(t.Context(), NATSOptions{Dir: t.TempDir(), Log: zerolog.Nop(), Listen: true, Password: "p@ss/word"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(t.Context()) }()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Connect("nats://" + u.Host); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a password: %v", err)
	}
	for _, options := range [][]nats.Option{nil, {s.InProcess()}} {
		c, err := nats.Connect(s.URL, options...)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestNATS_saysWhyItCannotStart(t *testing.T) {
	first, err := NATS(t.Context(), NATSOptions{Dir: t.TempDir(), Log: zerolog.Nop(), Listen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Stop(t.Context()) }()
	taken := first.URL[len("nats://"):]
	if second, err := NATS(t.Context(), NATSOptions{Dir: t.TempDir(), Log: zerolog.Nop(), Listen: true, Address: taken}); err == nil {
		_ = second.Stop(t.Context())
		t.Fatal("two servers on one port")
	} else {
		t.Log(err)
	}
}

func jetStream(t *testing.T, url string, options ...nats.Option) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
