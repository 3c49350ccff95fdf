package web

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
)

func TestVaultSealsForOneUseAndOneKey(t *testing.T) {
	v, err := newVault(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := newVault(bytes.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := &session{ID: "a", Account: "oidc:dana@acme.example"}
	sealed, err := v.seal(cookieSession, s)
	if err != nil {
		t.Fatal(err)
	}
	got := &session{}
	if err := v.open(cookieSession, sealed, got); err != nil || got.Account != s.Account {
		t.Fatalf("got %v, %v", got, err)
	}
	if v.open(cookieSignIn, sealed, got) == nil || other.open(cookieSession, sealed, got) == nil || v.open(cookieSession, sealed+"A", got) == nil {
		t.Error("it opens for another use, with another key, or changed")
	}
	if !v.fits(s, v.formToken(s)) || v.fits(&session{ID: "b"}, v.formToken(s)) || v.fits(s, "") || other.fits(s, v.formToken(s)) {
		t.Error("a form's token is not of its session alone")
	}
}

func TestSessionEnds(t *testing.T) {
	start := time.Now()
	for name, c := range map[string]struct {
		seen, want time.Duration
	}{
		"idle":               {0, idleLife},
		"in use":             {3 * time.Hour, 4 * time.Hour},
		"in use all the day": {7*time.Hour + 59*time.Minute, sessionLife},
	} {
		s := &session{Started: start, Seen: start.Add(c.seen)}
		if got := s.ends().Sub(start); got != c.want {
			t.Errorf("%s: ends after %s, not %s", name, got, c.want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for raw, want := range map[string]bool{
		"https://approvals.acme.example": true, "https://approvals.acme.example/": true, "http://127.0.0.1:9103": true, "http://localhost:1": true,
		"http://approvals.acme.example": false, "https://a.example/b": false, "https://u@a.example": false, "https://a.example?x": false, "a.example": false, "": false,
	} {
		if got := CheckURL(raw) == nil; got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
}

func TestMarked(t *testing.T) {
	text := func(runs []run) (whole, marks string) {
		for _, r := range runs {
			if whole += r.Text; r.Mark {
				marks += r.Text + "|"
			}
		}
		return whole, marks
	}
	for in, want := range map[string][2]string{
		"plain":                    {"plain", ""},
		"a\u202eb":                 {"a‹U+202E›b", "‹U+202E›|"},
		"drop p\u0430y, p\u0430y2": {"drop p‹U+0430›y, p‹U+0430›y2", "p‹U+0430›y|p‹U+0430›y2|"},
		"":                         {"", ""},
	} {
		if whole, marks := text(marked(in)); whole != want[0] || marks != want[1] {
			t.Errorf("%q: %q, marked %q", in, whole, marks)
		}
	}
	if whole, marks := text(marked("SELECT \u0440\u0430\u0443 FROM p\u0430y\u200b_x")); whole != "SELECT ‹U+0440›‹U+0430›‹U+0443› FROM p‹U+0430›y‹U+200B›_x" || !strings.HasPrefix(marks, "‹U+0440›") {
		t.Errorf("%q, marked %q", whole, marks)
	}
	if got := lines("a\n\n\n\n\n\nb\u200bc"); len(got) != 3 || got[1][0].Text != "‹5 blank lines›" {
		t.Errorf("got %v", got)
	}
	for in, want := range map[string]bool{"a": false, "a\u200b": true, "‹U+200B›": false, "‹U+200B›\u200b": true} {
		if hides(in) != want {
			t.Errorf("hides(%q) is %v", in, !want)
		}
	}
}

func TestLinkIsPlainHTTPS(t *testing.T) {
	for in, want := range map[string]string{
		"https://ci.example/run/1": "https://ci.example/run/1", "http://ci.example": "", "javascript:alert(1)": "", "https://u:p@ci.example": "", "": "", "data:text/html,x": "",
	} {
		if got := link(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if approval.Visible(link("https://ci.example/\u202e")) != link("https://ci.example/\u202e") {
		t.Error("an address keeps what hides")
	}
}

// A megabyte of different look-alikes is looked through once.
func TestRedteam32_InboxTextThatIsHardToMark(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "p\u0430y%d ", i)
	}
	marks := 0
	for _, r := range marked(b.String()) {
		if r.Mark {
			marks++
		}
	}
	if marks != 100_000 {
		t.Errorf("%d are marked", marks)
	}
}
