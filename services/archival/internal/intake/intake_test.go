package intake

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

type message struct {
	raw     []byte
	subject string
	acks    *int
}

func (m message) Data() []byte                     { return m.raw }
func (m message) Subject() string                  { return m.subject }
func (m message) Ack() error                       { *m.acks++; return nil }
func (m message) InProgress() error                { return nil }
func (m message) NakWithDelay(time.Duration) error { return nil }

func generate(t testing.TB) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, key *seal.Key, producer string, records ...*eventv1.Record) *eventv1.Batch {
	t.Helper()
	b := &eventv1.Batch{Producer: producer, Incarnation: "01J", Number: 1, Records: records}
	if err := event.Seal(b, key); err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t testing.TB, keys *Keys, subject string, b *eventv1.Batch) *Item {
	t.Helper()
	raw, err := proto.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	i, err := Read(message{raw, subject, new(int)}, 1, time.Unix(1, 0), keys)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestRead_subjects(t *testing.T) {
	key := generate(t)
	keys, err := NewKeys(nil, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for subject, producers := range map[string]map[string]bool{
		"audit.record.gw1":           {"gateway/gw1": true, "gateway/gw2": false, "gateway/gw1/x": false, "policy/1": false, "": false},
		"audit.admin.policy.1":       {"policy/1": true, "policy/2": true, "masking/1": false, "gateway/gw1": false, "policy": false},
		"audit.admin.approval.steps": {"approval/steps": true, "approval/1": true, "approvals/1": false},
		"audit.admin.gateway.gw1":    {"gateway/gw1": false},
		"audit.admin.policy":         {"policy/1": false},
		"audit.gw1":                  {"gateway/gw1": false},
		"record.gw1":                 {"gateway/gw1": false},
	} {
		for producer, ok := range producers {
			i := read(t, keys, subject, sealed(t, key, producer, &eventv1.Record{Id: "1"}))
			if i.InChain() != ok {
				t.Errorf("%s under %s: %s, %s", producer, subject, i.Integrity, i.Problem)
			}
		}
	}
}

func TestRead_redactionStaysVerifiedAndShows(t *testing.T) {
	key := generate(t)
	keys, err := NewKeys(nil, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	b := sealed(t, key, "gateway/gw1", &eventv1.Record{Id: "1", Statement: "SELECT 'secret'", Reason: "why"}, &eventv1.Record{Id: "2"})
	event.Redact(b.Records[0], "statement", "SELECT [redacted]")
	i := read(t, keys, "audit.record.gw1", b)
	if i.Integrity != Verified || len(i.Redacted[0]) != 1 || i.Redacted[0][0] != "statement" || len(i.Redacted[1]) != 0 {
		t.Fatalf("%s %v", i.Integrity, i.Redacted)
	}
}

func TestRead_placeholderOfMasking(t *testing.T) {
	gateway, masking := generate(t), generate(t)
	keys, err := NewKeys(nil, masking.Public())
	if err != nil {
		t.Fatal(err)
	}
	b := sealed(t, masking, "gateway/gw1")
	b.PlaceholderReason = "it cannot be unmarshalled"
	if i := read(t, keys, "audit.record.gw1", b); i.Integrity != Placeholder || !i.InChain() || i.Problem == "" {
		t.Errorf("%s, %s", i.Integrity, i.Problem)
	}
	b = sealed(t, gateway, "gateway/gw1")
	b.PlaceholderReason = "I say so"
	if i := read(t, keys, "audit.record.gw1", b); i.Integrity != Untrusted {
		t.Errorf("%s, %s", i.Integrity, i.Problem)
	}
}

func TestRead_garbage(t *testing.T) {
	keys, err := NewKeys(nil, seal.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(message{[]byte("\xff\xff"), "audit.record.gw1", new(int)}, 1, time.Now(), keys); !errors.Is(err, ErrUnreadable) {
		t.Fatalf("got %v", err)
	}
}

func TestItem_acknowledgesAllItsDeliveries(t *testing.T) {
	var acks int
	i, other := &Item{Message: message{acks: &acks}}, &Item{Message: message{acks: &acks}}
	for range 100 {
		i.Join(other)
	}
	if err := i.Ack(); err != nil || acks != 1+maxAlso {
		t.Fatalf("%d acknowledgements, %v", acks, err)
	}
}

func TestKeys_comeLate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "late.pem")
	keys, err := NewKeys([]string{path + ".pub", filepath.Join(dir, "never.pub")}, seal.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.LoadOrGenerate(path)
	if err != nil {
		t.Fatal(err)
	}
	if i := read(t, keys, "audit.record.gw1", sealed(t, key, "gateway/gw1")); i.Integrity != Verified {
		t.Fatalf("a key that came after the start: %s, %s", i.Integrity, i.Problem)
	}
	if keys.Refresh() {
		t.Error("files that did not change were read again")
	}
	if err := os.WriteFile(path+".pub", []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if i := read(t, keys, "audit.record.gw1", sealed(t, generate(t), "gateway/gw1")); i.Integrity != Untrusted {
		t.Errorf("got %s", i.Integrity)
	}
	if i := read(t, keys, "audit.record.gw1", sealed(t, key, "gateway/gw1")); i.Integrity != Verified {
		t.Error("a broken file took the keys away that were known")
	}
	if _, err := NewKeys([]string{path + ".pub"}, seal.Trust{}); err == nil {
		t.Error("a file that is no key is accepted at the start")
	}
}

func BenchmarkRead(b *testing.B) {
	key := generate(b)
	keys, err := NewKeys(nil, key.Public())
	if err != nil {
		b.Fatal(err)
	}
	records := make([]*eventv1.Record, 100)
	for i := range records {
		records[i] = &eventv1.Record{Id: "1", Statement: "SELECT name, email FROM customers WHERE id = 7", Reason: "ticket 12", Principal: &eventv1.Principal{Repository: "acme/shop", Claims: map[string]string{"a": "b"}}, Target: "prod-db"}
	}
	raw, err := proto.Marshal(sealed(b, key, "gateway/gw1", records...))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if i, err := Read(message{raw, "audit.record.gw1", new(int)}, 1, time.Now(), keys); err != nil || i.Integrity != Verified {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/record")
}
