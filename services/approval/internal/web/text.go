package web

import (
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/message"
)

// run is a piece of text; a marked one stands for something that a reader would
// not see, or would take for something else.
type run struct {
	Text string
	Mark bool
	Why  string
}

// stands are the marks of libs/approval and internal/message.
var stands = regexp.MustCompile(`‹(?:U\+[0-9A-F]{4,6}|0x[0-9A-F]{2}|\d+ blank lines|\d+ spaces)›`)

// marked splits one line of foreign text at what is marked: characters that
// hide, and words that look like others.
func marked(s string) []run { return split(approval.Visible(s)) }

// lines is marked for a text of several lines.
func lines(s string) [][]run {
	var out [][]run
	for line := range strings.SplitSeq(strings.TrimSuffix(message.Reveal(s), "\n"), "\n") {
		out = append(out, split(line))
	}
	return out
}

func split(s string) []run {
	var out []run
	at := 0
	for _, m := range stands.FindAllStringIndex(s, -1) {
		out = append(words(out, s[at:m[0]]), run{Text: s[m[0]:m[1]], Mark: true, Why: "not visible by itself"})
		at = m[1]
	}
	return words(out, s[at:])
}

// words adds a text without marks of its own, its look-alikes spelled out. It
// looks at each word once: what is shown may be a megabyte of them.
func words(out []run, s string) []run {
	plain := 0 // where the text not added yet begins
	for at := 0; at < len(s); {
		end := len(s)
		if n := strings.IndexFunc(s[at:], func(r rune) bool { return !ofWord(r) }); n >= 0 {
			end = at + n
		}
		if end > at && len(approval.LookAlikes(s[at:end])) > 0 {
			if plain < at {
				out = append(out, run{Text: s[plain:at]})
			}
			out = append(out, run{Text: approval.SpellOut(s[at:end]), Mark: true, Why: "looks like another name: " + s[at:end]})
			plain = end
		}
		_, n := utf8.DecodeRuneInString(s[end:])
		at = end + n
	}
	if plain < len(s) {
		out = append(out, run{Text: s[plain:]})
	}
	return out
}

func ofWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r)
}

// hides reports that a text holds what is shown as ‹U+…›.
func hides(s string) bool {
	return strings.Count(approval.VisibleText(s), "‹U+")+strings.Count(approval.VisibleText(s), "‹0x") > strings.Count(s, "‹U+")+strings.Count(s, "‹0x")
}

// link returns an address that a page may lead to: a plain https one; else "".
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(address) > 1000 {
		return ""
	}
	return u.String()
}

// ran says how the command ended, or the latest of those that a grant let pass.
func ran(r *api.Run, g *api.Grant) approval.Ending {
	e := approval.Ending{Status: r.Status, Code: r.Code, Message: r.Message, Rows: r.Rows, Took: time.Duration(r.Millis * float64(time.Millisecond))}
	if g != nil {
		e.Uses, e.Of = r.Uses, g.Uses
	}
	return e
}
