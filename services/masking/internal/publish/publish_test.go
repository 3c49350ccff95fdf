package publish

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/seal"
)

func bucket(t *testing.T) jetstream.KeyValue {
	t.Helper()
	server, err := embedded.NATS(t.Context(), embedded.NATSOptions{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(t.Context(), bus.Options{Name: "test", Log: zerolog.Nop(), Extra: []nats.Option{server.InProcess()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	kv, err := b.JS.KeyValue(t.Context(), bus.BucketMasking)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func publisher(t *testing.T, kv jetstream.KeyValue, k *seal.Key, floor Floor) *Publisher {
	t.Helper()
	return &Publisher{KV: kv, Key: k, Trust: k.Public(), Name: "masking/1", Floor: floor, Now: time.Now}
}

func publish(t *testing.T, p *Publisher, content string) (version uint64, published bool) {
	t.Helper()
	files := map[string][]byte{"a.yaml": []byte(content)}
	b, published, err := p.Publish(t.Context(), files, config.HashFiles(files))
	if err != nil {
		t.Fatal(err)
	}
	return b.Version, published
}

func key(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVersionsOnlyGrow(t *testing.T) {
	kv, k := bucket(t), key(t)
	floor := Floor(filepath.Join(t.TempDir(), "version"))
	p := publisher(t, kv, k, floor)
	steps := []struct {
		content   string
		version   uint64
		published bool
	}{{"a", 1, true}, {"a", 1, false}, {"b", 2, true}, {"a", 3, true}}
	for _, s := range steps {
		if v, published := publish(t, p, s.content); v != s.version || published != s.published {
			t.Errorf("%q is version %d, published %v", s.content, v, published)
		}
	}
	// A second process on the same bucket and key goes on from there.
	if v, published := publish(t, publisher(t, kv, k, ""), "c"); v != 4 || !published {
		t.Errorf("another process: %d %v", v, published)
	}
	// The bucket was emptied: the floor, and what is left of the history, count.
	if err := kv.Purge(t.Context(), bus.BundleKey); err != nil {
		t.Fatal(err)
	}
	if v, _ := publish(t, p, "d"); v != 4 { // the floor knew of 3
		t.Errorf("after a purge: %d", v)
	}
}

func TestForgedBundleIsReplacedAboveItsVersion(t *testing.T) {
	kv, k := bucket(t), key(t)
	p := publisher(t, kv, k, "")
	publish(t, p, "a")
	publish(t, p, "b")
	if _, published := publish(t, publisher(t, kv, key(t), ""), "forged"); !published {
		t.Fatal("not forged")
	}
	current, err := p.Current(t.Context())
	if err != nil || current != nil {
		t.Fatalf("a forged bundle counts: %v %v", current, err)
	}
	if v, published := publish(t, p, "b"); v != 3 || !published {
		t.Errorf("version %d, %v", v, published)
	}
}

func TestDamagedFloorStopsPublication(t *testing.T) {
	p := publisher(t, bucket(t), key(t), Floor(filepath.Join("testdata", "damaged")))
	files := map[string][]byte{"a.yaml": []byte("a")}
	if _, _, err := p.Publish(t.Context(), files, config.HashFiles(files)); err == nil {
		t.Error("published though the highest version is not known")
	}
}
