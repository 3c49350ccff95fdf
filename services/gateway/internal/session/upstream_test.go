package session_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// TestUpstreamIsWhatTheTargetSays hands every field of a target to the protocol.
func TestUpstreamIsWhatTheTargetSays(t *testing.T) {
	w := newWorld(t)
	dir := w.gate.Config().Dir
	for name, text := range map[string]string{"pw": "s3cret\n", "k.pem": "a key\n"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	w.gate.Config().Targets["prod-db"] = config.Target{
		Protocol: "postgres", Address: "h:1", Database: "shop", User: "app", Password: "file:pw", CA: "ca.pem", TLSNegotiation: "direct",
		Certificate: "c.pem", Key: "file:k.pem", ChannelBinding: "require", RequireAuth: []string{"scram-sha-256"},
	}
	s := w.open()
	defer s.Close("test over")
	got, err := s.Upstream(t.Context())
	must(t, err)
	want := seam.Upstream{
		Address: "h:1", Database: "shop", User: "app", Password: "s3cret", TLS: "verify-full", CA: filepath.Join(dir, "ca.pem"), Direct: true,
		Certificate: filepath.Join(dir, "c.pem"), Key: "a key", ChannelBinding: true, RequireAuth: []string{"scram-sha-256"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	must(t, os.Remove(filepath.Join(dir, "k.pem")))
	_, err = s.Upstream(t.Context())
	refused(t, err, refusal.UpstreamLogin)
}
