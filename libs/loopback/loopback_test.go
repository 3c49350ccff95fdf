package loopback

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:80": true, "127.0.0.1:80": true, "127.9.9.9": true, "[::1]:80": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"": false, "10.0.0.1:80": false, "0.0.0.0:80": false, "localhost.evil.example": false, "127.0.0.1.evil.example:80": false, "127.1": false, "LOCALHOST\x00": false,
	} {
		if got := Host(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestCaller(t *testing.T) {
	request := func(remote, host string, header ...string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Host = remote, host
		if len(header) > 0 {
			r.Header.Set(header[0], header[1])
		}
		return r
	}
	if !Caller(request("127.0.0.1:5", "127.0.0.1:80")) {
		t.Error("a program of this machine is refused")
	}
	for name, r := range map[string]*http.Request{
		"another machine": request("10.0.0.9:5", "127.0.0.1:80"),
		"a rebound name":  request("127.0.0.1:5", "evil.example"),
		"a page":          request("127.0.0.1:5", "127.0.0.1:80", "Origin", "http://evil.example"),
		"a proxy":         request("127.0.0.1:5", "127.0.0.1:80", "X-Forwarded-For", "10.0.0.9"),
	} {
		if Caller(r) {
			t.Errorf("%s is let in", name)
		}
	}
}

func TestGuard(t *testing.T) {
	server := httptest.NewServer(Guard(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"": http.StatusNoContent, "localhost:" + port: http.StatusNoContent, "evil.example:" + port: http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("Host %q: %s", host, answer.Status)
		}
	}
}
