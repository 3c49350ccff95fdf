package people_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func key(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A later state is the higher one, also where clocks go back.
func TestSequencesGrow(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	first := (*people.State)(nil).Next([]byte("a"), people.First, at)
	second := first.Next([]byte("b"), people.Approved, at.Add(-time.Hour))
	alone := (*people.State)(nil).Next([]byte("c"), people.Machine, at.Add(time.Minute)) // on a machine that knows of none
	if second.Sequence <= first.Sequence || alone.Sequence <= second.Sequence {
		t.Errorf("sequences %d, %d, %d", first.Sequence, second.Sequence, alone.Sequence)
	}
}

// A state is what a trusted key signed as one, whole, and nothing else.
func TestRedteam32_AStateIsSignedAsOne(t *testing.T) {
	k, file := key(t), filepath.Join(t.TempDir(), "policy.pem.people")
	if s, err := people.Read(file, k.Public()); s != nil || err != nil {
		t.Fatalf("without a file: %v, %v", s, err)
	}
	raw, err := (*people.State)(nil).Next([]byte("people: []"), people.First, time.Now()).Sign(k)
	if err == nil {
		err = people.Write(file, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s, err := people.Read(file, k.Public()); err != nil || string(s.Map) != "people: []" {
		t.Fatalf("got %v, %v", s, err)
	}
	if s, err := people.Open(key(t).Public(), raw); err == nil {
		t.Errorf("a stranger's: %v", s)
	}
	for _, context := range []string{seal.ContextBundle, seal.ContextApproval, seal.ContextPeopleChange} {
		other, err := proto.Marshal(k.Sign(context, []byte(`{"sequence":9,"map":"eA=="}`)))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := people.Open(k.Public(), other); err == nil {
			t.Errorf("signed as %s: %v", context, s)
		}
	}
	if err := os.WriteFile(file, raw[:len(raw)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := people.Read(file, k.Public()); err == nil {
		t.Errorf("cut off: %v", s)
	}
}

// A mark is of one request, by a policy service.
func TestRedteam20_AMarkIsOfOneRequest(t *testing.T) {
	k := key(t)
	mark, err := people.Mark(k, []byte("request"))
	if err != nil {
		t.Fatal(err)
	}
	lease, err := proto.Marshal(&eventv1.Signed{KeyId: k.ID(), Signature: k.Sign(seal.ContextLease, []byte("request")).Signature})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		trust seal.Trust
		raw   string
		mark  []byte
		ok    bool
	}{
		"its own":           {k.Public(), "request", mark, true},
		"another request":   {k.Public(), "Request", mark, false},
		"a stranger's":      {key(t).Public(), "request", mark, false},
		"none":              {k.Public(), "request", nil, false},
		"of another use":    {k.Public(), "request", lease, false},
		"what is no mark":   {k.Public(), "request", []byte{0xff}, false},
		"nobody is trusted": {nil, "request", mark, false},
	} {
		if got := people.Marked(c.trust, []byte(c.raw), c.mark); got != c.ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The digest of a change is that of both its ends, in their order.
func TestRedteam18_ADigestIsOfOneStep(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range [][2]string{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"", "ab"}, {"ab", ""}, {"a", "a"}} {
		seen[string(people.Digest([]byte(c[0]), []byte(c[1])))] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d digests of six steps", len(seen))
	}
}
