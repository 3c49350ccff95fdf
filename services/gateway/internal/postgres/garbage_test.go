package postgres_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestRedteam11_Garbage damages conversations at random: each ends, none meets
// a bug, and every command that was admitted has one outcome.
func TestRedteam11_Garbage(t *testing.T) {
	var log lockedBuffer
	g := start(t, &seamtest.Gate{}, func(o *postgres.Options) { o.Log = zerolog.New(&log) })
	rapid.Check(t, func(rt *rapid.T) {
		var stream []byte
		for _, s := range rapid.SliceOfN(drawStep(), 1, 15).Draw(rt, "steps") {
			b, err := s.gateway.Encode(nil)
			if err != nil {
				rt.Fatal(err)
			}
			stream = append(stream, b[:min(len(b), 2000)]...)
		}
		for range rapid.IntRange(1, 4).Draw(rt, "damages") {
			at := rapid.IntRange(0, len(stream)-1).Draw(rt, "at")
			switch rapid.SampledFrom([]string{"change", "cut", "insert", "repeat"}).Draw(rt, "damage") {
			case "change":
				stream[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
			case "cut":
				stream = append(stream[:at:at], stream[min(len(stream), at+rapid.IntRange(1, 9).Draw(rt, "bytes")):]...)
			case "insert":
				stream = append(stream[:at:at], append(rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(rt, "bytes"), stream[at:]...)...)
			case "repeat":
				stream = append(stream[:at:at], append([]byte(string(stream[max(0, at-20):at])), stream[at:]...)...)
			}
			if len(stream) == 0 {
				return
			}
		}
		r := dialRaw(t, g.config(t))
		defer func() { _ = r.Close() }()
		if _, err := r.Write(stream); err == nil {
			_ = r.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}
		if got, err := r.rest(); err != nil && !strings.Contains(err.Error(), "reset") {
			rt.Fatalf("after %q: %v", short(got), err)
		}
	})
	eventually(t, "every session is closed", func() bool {
		for _, s := range g.Sessions() {
			if s.Closed() == "" {
				return false
			}
		}
		return true
	})
	for _, a := range g.Admitted("") {
		if _, n := a.Outcome(); a.Err == nil && n != 1 {
			t.Errorf("%q has %d outcomes", a.Text, n)
		}
	}
	if strings.Contains(log.String(), "a bug in the gateway") {
		t.Error(log.String())
	}
	conn := dialRaw(t, g.config(t))
	equal(t, "the next client", conn.query(t, "SELECT 1 AS a"), []string{"columns a:23/0", `row ["1"]`, "complete SELECT 1", "ready I"})
}
