package kit

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Metric returns the value of one line of a service's /metrics, "" for none.
func (g *Gatestay) Metric(t testing.TB, part, name string) string {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(g.Health(part) + "/metrics") //nolint:noctx // bounded by the client
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return value
		}
	}
	return ""
}
