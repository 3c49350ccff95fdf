package message

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatestay/gatestay/libs/approval"
)

var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape makes Slack's control characters literal.
func escape(s string) string { return entities.Replace(s) }

// inline renders one line of foreign text so that no character of it is
// markup: as it is where it holds none, else as code, in which Slack reads none.
func inline(s string) string {
	s = approval.Visible(s)
	if plain(s) {
		return escape(s)
	}
	return span(s)
}

// span renders one line of foreign text as code.
func span(s string) string {
	s = strings.ReplaceAll(approval.Visible(s), "`", "‹U+0060›")
	if strings.TrimSpace(s) == "" {
		s = "‹empty›"
	}
	return "`" + escape(s) + "`"
}

// plain reports that Slack would read no markup in s: no mark of bold, strike
// or code, no underscore at the edge of a word, no emoji's name.
func plain(s string) bool {
	if s == "" || strings.ContainsAny(s, "*~`|") || strings.Count(s, ":") > 1 || strings.HasPrefix(s, ">") {
		return false
	}
	before := ' '
	for i, r := range s {
		after, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		if r == '_' && (!letter(before) || !letter(after)) {
			return false
		}
		before = r
	}
	return true
}

func letter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

// link renders foreign text as a link where the address is a plain https one.
func link(address, words string) string {
	shown := inline(words)
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(address) > 1000 {
		return shown
	}
	target := strings.NewReplacer("|", "%7C", "<", "%3C", ">", "%3E", "&", "&amp;").Replace(u.String())
	if strings.HasPrefix(shown, "`") { // markup does not belong into a link's words
		return shown + " (<" + target + "|open>)"
	}
	return "<" + target + "|" + shown + ">"
}

var (
	wideGap  = regexp.MustCompile(`[ \t]{24,}|\t{6,}`)
	tallGap  = regexp.MustCompile(`\n([ \t]*\n){3,}`)
	notSpace = regexp.MustCompile(`[^\n]`)
)

// Reveal makes everything in a text of several lines visible that could hide a
// part of it: invisible characters, and runs of space that push text out of
// sight.
func Reveal(s string) string {
	s = approval.VisibleText(s)
	s = tallGap.ReplaceAllStringFunc(s, func(gap string) string {
		return fmt.Sprintf("\n‹%d blank lines›\n", len(notSpace.ReplaceAllString(gap, ""))-1)
	})
	return wideGap.ReplaceAllStringFunc(s, func(gap string) string { return fmt.Sprintf(" ‹%d spaces› ", len(gap)) })
}

// units is how Slack may count a text at most: in UTF-16 units.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += 1 + btoi(r > 0xffff)
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cut shortens s to at most n units and says so.
func cut(s string, n int) (string, bool) {
	if units(s) <= n {
		return s, false
	}
	used := 0
	for i, r := range s {
		if used += 1 + btoi(r > 0xffff); used > n-1 {
			return s[:i] + "…", true
		}
	}
	return s, false
}
