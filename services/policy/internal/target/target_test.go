package target_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/services/policy/internal/target"
)

func of(targets map[string]config.Target) target.State {
	return target.Of(&config.Config{Targets: targets})
}

func TestDiff(t *testing.T) {
	before := of(map[string]config.Target{
		"gone": {Protocol: "postgres", Address: "g:1"},
		"same": {Protocol: "postgres", Address: "s:1", Databases: []string{"a", "b"}, SessionLimit: 60e9},
		"prod": {Protocol: "postgres", Address: "p:1", Password: "env:A", TLS: "verify-full"},
	})
	after := of(map[string]config.Target{
		"same": {Protocol: "postgres", Address: "s:1", Databases: []string{"a", "b"}, SessionLimit: 60e9},
		"prod": {Protocol: "postgres", Address: "p:1", Password: "env:A", TLS: "disable", Environment: "production"},
		"new":  {Protocol: "postgres", Address: "n:1"},
	})
	want := []target.Change{
		{Action: "target.removed", Name: "gone", Fields: map[string]string{"protocol": "postgres", "address": "g:1"}},
		{Action: "target.added", Name: "new", Fields: map[string]string{"protocol": "postgres", "address": "n:1"}},
		{Action: "target.changed", Name: "prod", Fields: map[string]string{"tls": "verify-full → disable", "environment": "none → production"}},
	}
	if diff := cmp.Diff(want, target.Diff(before, after)); diff != "" {
		t.Error(diff)
	}
	if got := target.Diff(before, before); got != nil {
		t.Errorf("no change is %v", got)
	}
}

// Every field of a target but its name shows when it changes.
func TestEveryFieldShows(t *testing.T) {
	if n := reflect.TypeFor[config.Target]().NumField(); n != 15 {
		t.Errorf("a target has %d fields: let Of and this test know of the new one", n)
	}
	base := config.Target{Protocol: "postgres"}
	for name, changed := range map[string]config.Target{
		"protocol": {Protocol: "mysql"}, "environment": {Protocol: "postgres", Environment: "x"}, "address": {Protocol: "postgres", Address: "x"},
		"database": {Protocol: "postgres", Database: "x"}, "user": {Protocol: "postgres", User: "x"}, "password": {Protocol: "postgres", Password: "env:X"},
		"tls": {Protocol: "postgres", TLS: "disable"}, "ca": {Protocol: "postgres", CA: "x"}, "session_limit": {Protocol: "postgres", SessionLimit: 1e9},
		"databases": {Protocol: "postgres", Databases: []string{"x"}}, "tls_negotiation": {Protocol: "postgres", TLSNegotiation: "direct"},
		"certificate": {Protocol: "postgres", Certificate: "x"}, "key": {Protocol: "postgres", Key: "file:x"},
		"channel_binding": {Protocol: "postgres", ChannelBinding: "require"}, "require_auth": {Protocol: "postgres", RequireAuth: []string{"md5"}},
	} {
		got := target.Diff(of(map[string]config.Target{"t": base}), of(map[string]config.Target{"t": changed}))
		if len(got) != 1 || got[0].Fields[name] == "" {
			t.Errorf("%s: %v", name, got)
		}
	}
}
