package credential_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
)

func TestRedteam30_TwoGatewaysRacingOnOneTokenAdmitOne(t *testing.T) {
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	var gateways []*credential.UsedTokens
	for n := range 2 {
		b, err := bus.Connect(t.Context(), bus.Options{Name: fmt.Sprint("gw", n), Log: zerolog.Nop(), Extra: []nats.Option{nats.InProcessServer(s)}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		u := &credential.UsedTokens{}
		refused(t, u.Claim(t.Context(), "k", credential.Use{}), refusal.BusUnavailable) // not connected: nobody gets in
		u.Connect(b)
		gateways = append(gateways, u)
	}
	for token := range 20 {
		var admitted atomic.Int32
		var wg sync.WaitGroup
		for n, u := range gateways {
			for range 4 {
				wg.Go(func() {
					err := u.Claim(t.Context(), fmt.Sprint("token", token), credential.Use{By: "session ses_1", Gateway: fmt.Sprint("gw", n), At: time.Now()})
					if err == nil {
						admitted.Add(1)
						return
					}
					refused(t, err, refusal.TokenUsed)
					if !strings.Contains(err.Error(), "already used, at ") || !strings.Contains(err.Error(), "ses_1") {
						t.Errorf("the refusal does not say when and by whom: %v", err)
					}
				})
			}
		}
		wg.Wait()
		if n := admitted.Load(); n != 1 {
			t.Fatalf("token %d was admitted %d times", token, n)
		}
	}
}
