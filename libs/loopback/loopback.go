// Package loopback tells this machine from others, for what is plain HTTP or
// open without a sign-in because nobody else can reach it. A name that an
// attacker rebinds to 127.0.0.1 is not this machine: it is the Host that counts.
package loopback

import (
	"net"
	"net/http"
	"net/netip"
)

// Host reports that host, or host:port, is this machine by name or address.
func Host(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// Caller reports a request from a program of this machine that no proxy speaks
// for, and that no page in a browser makes.
func Caller(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Origin"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return Host(r.RemoteAddr) && Host(r.Host)
}

// Guard refuses a request that reaches this machine's own address under
// another's name, as a page does after DNS rebinding.
func Guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && Host(at.String()) && !Host(r.Host) {
			http.Error(w, "use this machine's own address: "+at.String(), http.StatusForbidden)
			return
		}
		next(w, r)
	}
}
