package command_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/command"
)

var key = bytes.Repeat([]byte{7}, 32)

func TestRedteam18_DigestBindsEveryPart(t *testing.T) {
	text := "UPDATE t SET a = $1 WHERE id = $2"
	params := func() []command.Parameter {
		return []command.Parameter{{Type: 23, Format: 0, Value: []byte("1")}, {Type: 23, Value: []byte("2")}}
	}
	state := func() command.State {
		return command.State{
			User: "app", LoginUser: "app", Database: "shop", SearchPath: []string{"public"}, InTransaction: 'I',
			Settings: map[string]string{"DateStyle": "ISO, MDY"},
		}
	}
	base := command.Digest(key, text, params(), state())
	for name, got := range map[string][]byte{
		"another key":            command.Digest(bytes.Repeat([]byte{8}, 32), text, params(), state()),
		"another text":           command.Digest(key, text+" ", params(), state()),
		"another value":          command.Digest(key, text, []command.Parameter{{Type: 23, Value: []byte("9")}, params()[1]}, state()),
		"another type":           command.Digest(key, text, []command.Parameter{{Type: 25, Value: []byte("1")}, params()[1]}, state()),
		"another format":         command.Digest(key, text, []command.Parameter{{Type: 23, Format: 1, Value: []byte("1")}, params()[1]}, state()),
		"NULL for empty":         command.Digest(key, text, []command.Parameter{{Type: 23}, params()[1]}, state()),
		"fewer parameters":       command.Digest(key, text, params()[:1], state()),
		"another role":           command.Digest(key, text, params(), with(state(), func(s *command.State) { s.User = "admin" })),
		"another login":          command.Digest(key, text, params(), with(state(), func(s *command.State) { s.LoginUser = "admin" })),
		"another database":       command.Digest(key, text, params(), with(state(), func(s *command.State) { s.Database = "x" })),
		"another search_path":    command.Digest(key, text, params(), with(state(), func(s *command.State) { s.SearchPath = []string{"evil", "public"} })),
		"an open transaction":    command.Digest(key, text, params(), with(state(), func(s *command.State) { s.InTransaction = 'T' })),
		"another setting":        command.Digest(key, text, params(), with(state(), func(s *command.State) { s.Settings["DateStyle"] = "ISO, DMY" })),
		"a setting more":         command.Digest(key, text, params(), with(state(), func(s *command.State) { s.Settings["x"] = "" })),
		"path joined with comma": command.Digest(key, text, params(), with(state(), func(s *command.State) { s.SearchPath = []string{"pub", "lic"} })),
	} {
		if bytes.Equal(base, got) {
			t.Errorf("%s gives the same digest", name)
		}
	}
	if !bytes.Equal(base, command.Digest(key, text, params(), state())) {
		t.Error("the same command gives another digest")
	}
}

func with(s command.State, change func(*command.State)) command.State {
	change(&s)
	return s
}

func TestDigestHasNoSharedEncodings(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := rapid.String().Draw(rt, "a"), rapid.String().Draw(rt, "b")
		one := command.Digest(key, a, []command.Parameter{{Value: []byte(b)}}, command.State{})
		two := command.Digest(key, a+b, []command.Parameter{{Value: []byte{}}}, command.State{})
		if b != "" && bytes.Equal(one, two) {
			rt.Fatalf("%q/%q and %q share a digest", a, b, a+b)
		}
	})
}
