package publish_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/bus/publish"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/seal"
)

func bucket(t *testing.T) (*bus.Bus, jetstream.KeyValue) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	b, err := bus.Connect(t.Context(), bus.Options{URL: s.ClientURL(), Name: "test", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	kv, err := b.JS.KeyValue(t.Context(), bus.BucketPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return b, kv
}

func publisher(kv jetstream.KeyValue, key *seal.Key, name string, floor publish.Floor) *publish.Publisher {
	return &publish.Publisher{KV: kv, Key: key, Trust: key.Public(), Kind: "policy", Name: name, Floor: floor, Now: time.Now, Log: zerolog.Nop()}
}

func files(content string) (map[string][]byte, [32]byte) {
	f := map[string][]byte{"rules.yaml": []byte(content)}
	return f, config.HashFiles(f)
}

func newKey(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Racing replicas with different contents get different versions; with the
// same content, one.
func TestRacingReplicas(t *testing.T) {
	_, kv := bucket(t)
	key := newKey(t)
	const replicas = 4
	versions := make([]uint64, replicas)
	race := func(content func(i int) string) (published int) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for i := range replicas {
			wg.Go(func() {
				f, hash := files(content(i))
				b, _, did, err := publisher(kv, key, fmt.Sprint(i), "").Publish(t.Context(), f, hash)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				versions[i] = b.Version
				if did {
					published++
				}
			})
		}
		wg.Wait()
		return published
	}
	if n := race(func(int) string { return "same" }); n != 1 {
		t.Errorf("the same content was published %d times", n)
	}
	if n := race(func(i int) string { return fmt.Sprint("different", i) }); n != replicas {
		t.Errorf("%d of %d contents were published", n, replicas)
	}
	seen := map[uint64]bool{}
	for _, v := range versions {
		if v < 2 || v > replicas+1 || seen[v] {
			t.Errorf("versions %v", versions)
		}
		seen[v] = true
	}
}

// The floor keeps versions growing when the bus has lost its disk.
func TestVersionsGrowOverALostBus(t *testing.T) {
	key, floor := newKey(t), publish.Floor(filepath.Join(t.TempDir(), "policy.pem.version"))
	_, kv := bucket(t)
	for i := 1; i <= 3; i++ {
		f, hash := files(fmt.Sprint(i))
		if _, _, _, err := publisher(kv, key, "a", floor).Publish(t.Context(), f, hash); err != nil {
			t.Fatal(err)
		}
	}
	_, empty := bucket(t)
	f, hash := files("3")
	b, before, did, err := publisher(empty, key, "a", floor).Publish(t.Context(), f, hash)
	if err != nil || !did || before != nil || b.Version != 4 {
		t.Fatalf("version %d, before %v, published %v: %v", b.GetVersion(), before, did, err)
	}
	if err := os.WriteFile(string(floor), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, hash = files("5")
	if _, _, _, err := publisher(empty, key, "a", floor).Publish(t.Context(), f, hash); err == nil {
		t.Error("a damaged floor went unnoticed")
	}
}

// What does not verify, or is of another kind, is replaced above the version of
// what was there before.
func TestForgedBundleIsReplacedAboveItsVersion(t *testing.T) {
	_, kv := bucket(t)
	p := publisher(kv, newKey(t), "a", "")
	other := publisher(kv, p.Key, "b", "")
	other.Kind = "masking"
	for i, by := range []*publish.Publisher{p, p, publisher(kv, newKey(t), "forger", ""), p, other, p} {
		f, hash := files(fmt.Sprint(i))
		if _, _, did, err := by.Publish(t.Context(), f, hash); err != nil || !did {
			t.Fatal(i, did, err)
		}
		ours, err := p.Current(t.Context())
		if (ours != nil) != (by == p) || err != nil {
			t.Fatalf("after %d a bundle of %q counts: %v", i, by.Name, err)
		}
	}
	if ours, err := p.Current(t.Context()); err != nil || ours.Version != 4 {
		t.Errorf("version %d of four, %v", ours.GetVersion(), err)
	}
}

// A folder that cannot be written to is no reason not to publish.
func TestAReadOnlyFloor(t *testing.T) {
	_, kv := bucket(t)
	f, hash := files("1")
	_, _, did, err := publisher(kv, newKey(t), "a", publish.Floor(filepath.Join(t.TempDir(), "missing", "floor"))).Publish(t.Context(), f, hash)
	if err != nil || !did {
		t.Fatal(did, err)
	}
}
