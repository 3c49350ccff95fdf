package lease_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/lease"
)

func TestRedteam32_GatewayCutOffFromTheHubAdmitsNothing(t *testing.T) {
	key, stranger := generate(t), generate(t)
	now := time.Now()
	l := lease.New(key.Public(), zerolog.Nop(), func() time.Time { return now })
	if l.Fresh() == nil {
		t.Fatal("fresh before the first lease")
	}
	first := signed(t, key, seal.ContextLease, "policy/1", now)
	receive(t, l, first, true)
	if err := l.Fresh(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lease.Life)
	if err := l.Fresh(); err != nil {
		t.Fatalf("at its very end: %v", err)
	}
	now = now.Add(time.Millisecond)
	if l.Fresh() == nil {
		t.Fatal("fresh after its life")
	}
	receive(t, l, first, false)                                                   // replayed
	receive(t, l, signed(t, stranger, seal.ContextLease, "policy/1", now), false) // forged
	receive(t, l, signed(t, key, seal.ContextBundle, "policy/1", now), false)     // made for another use
	receive(t, l, signed(t, key, seal.ContextLease, "policy/2", now.Add(-time.Hour)), false)
	if l.Fresh() == nil {
		t.Fatal("a refused lease made it fresh")
	}
	receive(t, l, signed(t, key, seal.ContextLease, "policy/2", now), true) // any replica will do
	if err := l.Fresh(); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, l *lease.Lease, raw []byte, ok bool) {
	t.Helper()
	if err := l.Receive(raw); (err == nil) != ok {
		t.Fatalf("Receive: %v, want ok %t", err, ok)
	}
}

func signed(t *testing.T, key *seal.Key, context, issuer string, at time.Time) []byte {
	t.Helper()
	payload, err := proto.Marshal(&eventv1.Lease{Issuer: issuer, IssuedAt: timestamppb.New(at)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(key.Sign(context, payload))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func generate(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
