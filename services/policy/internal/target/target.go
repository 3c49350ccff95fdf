// Package target tells which targets were added, removed or changed in
// gatestay.yaml, once for all replicas and also over a restart: what was last
// seen lies in the policy bucket, written by compare-and-set.
package target

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/gatestay/gatestay/libs/config"
)

// key holds the state last seen in the policy bucket.
const key = "targets"

// State is what is known of targets by name: their fields, without secrets.
type State map[string]map[string]string

// Of returns the state of a configuration. Of a password and of a
// key only a hash of the reference is kept, so that a change shows.
func Of(cfg *config.Config) State {
	s := State{}
	for name, t := range cfg.Targets {
		f := map[string]string{
			"protocol": t.Protocol, "environment": t.Environment, "address": t.Address, "database": t.Database, "user": t.User,
			"tls": t.TLS, "ca": t.CA, "databases": strings.Join(t.Databases, " "), "tls_negotiation": t.TLSNegotiation,
			"certificate": t.Certificate, "channel_binding": t.ChannelBinding, "require_auth": strings.Join(t.RequireAuth, " "),
		}
		if t.SessionLimit != 0 {
			f["session_limit"] = time.Duration(t.SessionLimit).String()
		}
		for field, reference := range map[string]config.Secret{"password": t.Password, "key": t.Key} {
			if reference != "" {
				sum := sha256.Sum256([]byte(reference))
				f[field] = "reference " + hex.EncodeToString(sum[:4])
			}
		}
		maps.DeleteFunc(f, func(_, v string) bool { return v == "" })
		s[name] = f
	}
	return s
}

// Change is what happened to one target.
type Change struct {
	Action string // target.added, target.removed, target.changed
	Name   string
	Fields map[string]string // of a change: "old → new"
}

// Diff returns the changes from one state to another, by name.
func Diff(from, to State) []Change {
	names := slices.Collect(maps.Keys(from))
	for name := range to {
		if from[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []Change
	for _, name := range names {
		switch a, b := from[name], to[name]; {
		case a == nil:
			out = append(out, Change{Action: "target.added", Name: name, Fields: b})
		case b == nil:
			out = append(out, Change{Action: "target.removed", Name: name, Fields: a})
		case !maps.Equal(a, b):
			out = append(out, Change{Action: "target.changed", Name: name, Fields: fields(a, b)})
		}
	}
	return out
}

func fields(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for f := range m {
			if a[f] != b[f] {
				out[f] = orNone(a[f]) + " → " + orNone(b[f])
			}
		}
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Sync brings the state in the bucket up to date and returns what this replica
// changed in it; nothing where another was first.
func Sync(ctx context.Context, kv jetstream.KeyValue, now State) ([]Change, error) {
	raw, err := json.Marshal(now)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	entry, err := kv.Get(ctx, key)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, fmt.Errorf("target: read the state: %w", err)
	}
	before := State{}
	if err == nil {
		if err := json.Unmarshal(entry.Value(), &before); err != nil {
			before = State{} // not ours: everything counts as added
		}
	}
	changes := Diff(before, now)
	if len(changes) == 0 {
		return nil, nil
	}
	if entry == nil {
		_, err = kv.Create(ctx, key, raw)
	} else {
		_, err = kv.Update(ctx, key, raw, entry.Revision())
	}
	switch {
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("target: write the state: %w", err)
	}
	return changes, nil
}
