package bundle_test

import (
	"errors"
	"testing"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/bundle"
)

var errBroken = errors.New("broken")

func TestVersionsNeverGoBack(t *testing.T) {
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := follower(key, dir)
	take(t, f, key, "policy", 3, "three", true)
	take(t, f, key, "policy", 2, "two", false)
	take(t, f, key, "masking", 4, "another kind", false)
	take(t, f, key, "policy", 4, "broken", false)
	if got := f.Current(); got.Engine != "three" || got.Version != 3 {
		t.Fatalf("in use: %+v, want version 3", got)
	}
	stranger, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	take(t, f, stranger, "policy", 9, "forged", false)

	again := follower(key, dir) // a restart remembers
	if again.Ready() == nil {
		t.Fatal("ready without a bundle")
	}
	if err := again.LoadFloor(); err != nil {
		t.Fatal(err)
	}
	take(t, again, key, "policy", 2, "two", false)
	take(t, again, key, "policy", 3, "three", true)
}

func follower(key *seal.Key, dir string) *bundle.Follower[string] {
	return &bundle.Follower[string]{
		Kind: "policy", Trust: key.Public(), Dir: dir, Log: zerolog.Nop(),
		Compile: func(files map[string][]byte) (string, error) {
			if s := string(files["a"]); s != "broken" {
				return s, nil
			}
			return "", errBroken
		},
	}
}

func take(t *testing.T, f *bundle.Follower[string], key *seal.Key, kind string, version uint64, text string, ok bool) {
	t.Helper()
	payload, err := proto.Marshal(&eventv1.Bundle{Kind: kind, Version: version, Files: map[string][]byte{"a": []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(key.Sign(seal.ContextBundle, payload))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Take(raw); (err == nil) != ok {
		t.Fatalf("Take(%s %d): %v, want ok %t", kind, version, err, ok)
	}
}
