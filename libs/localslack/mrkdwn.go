package localslack

import (
	"html"
	"html/template"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// names turns ids into what a person sees.
type names struct{ user, channel func(id string) string }

// mrkdwn renders Slack's markup as safe HTML. Source:
// https://docs.slack.dev/messaging/formatting-message-text.
func mrkdwn(s string, n names) template.HTML {
	var b strings.Builder
	for {
		before, rest, fenced := strings.Cut(s, "```")
		code, after, closed := strings.Cut(rest, "```")
		if !fenced || !closed || code == "" {
			paragraphs(&b, s, n)
			return template.HTML(b.String()) //nolint:gosec // every part is escaped
		}
		paragraphs(&b, strings.TrimSuffix(before, "\n"), n)
		b.WriteString("<pre>" + verbatim(strings.TrimPrefix(code, "\n")) + "</pre>")
		s = strings.TrimPrefix(after, "\n")
	}
}

// plain renders a plain_text object: emoji only.
func plain(s string) template.HTML {
	var b strings.Builder
	for i := 0; i < len(s); {
		if e, n := emoji(s[i:]); n > 0 {
			b.WriteString(e)
			i += n
			continue
		}
		i += character(&b, s[i:])
	}
	return template.HTML(strings.ReplaceAll(b.String(), "\n", "<br>")) //nolint:gosec // every part is escaped
}

func paragraphs(b *strings.Builder, s string, n names) {
	if s == "" {
		return
	}
	quoted := false
	for i, line := range strings.Split(s, "\n") {
		q, isQuote := strings.CutPrefix(line, "&gt;")
		if isQuote != quoted {
			if quoted {
				b.WriteString("</blockquote>")
			} else {
				b.WriteString("<blockquote>")
			}
		} else if i > 0 {
			b.WriteString("<br>")
		}
		quoted = isQuote
		inline(b, strings.TrimPrefix(q, " "), n)
	}
	if quoted {
		b.WriteString("</blockquote>")
	}
}

var spans = map[rune]string{'*': "strong", '_': "em", '~': "s"}

// inline renders one line.
func inline(b *strings.Builder, s string, n names) {
	previous := ' '
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		rest := s[i+size:]
		switch {
		case r == '`':
			if end := strings.IndexByte(rest, '`'); end > 0 {
				b.WriteString("<code>" + verbatim(rest[:end]) + "</code>")
				i += size + end + 1
				previous = '`'
				continue
			}
		case r == '<':
			if end := strings.IndexByte(rest, '>'); end > 0 {
				control(b, rest[:end], n)
				i += size + end + 1
				previous = '>'
				continue
			}
		case r == ':':
			if e, length := emoji(s[i:]); length > 0 {
				b.WriteString(e)
				i += length
				previous = ':'
				continue
			}
		case spans[r] != "" && !word(previous):
			if end := closing(rest, r); end > 0 {
				tag := spans[r]
				b.WriteString("<" + tag + ">")
				inline(b, rest[:end], n)
				b.WriteString("</" + tag + ">")
				i += size + end + 1
				previous = r
				continue
			}
		}
		i += character(b, s[i:])
		previous = r
	}
}

func word(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// closing finds the mark that ends a span: neither the span's first nor last
// character is a space, and no letter follows.
func closing(s string, mark rune) int {
	if s == "" || s[0] == ' ' {
		return -1
	}
	for i := 1; i < len(s); i++ {
		next, _ := utf8.DecodeRuneInString(s[i+1:])
		if rune(s[i]) == mark && s[i-1] != ' ' && !word(next) {
			return i
		}
	}
	return -1
}

// character writes one character or entity, escaped, and returns its length.
func character(b *strings.Builder, s string) int {
	for _, entity := range []string{"&amp;", "&lt;", "&gt;"} {
		if strings.HasPrefix(s, entity) {
			b.WriteString(entity)
			return len(entity)
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	b.WriteString(html.EscapeString(s[:n]))
	return n
}

// verbatim renders code: entities, and the words of what stands in < and >.
func verbatim(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '<' {
			if end := strings.IndexByte(s[i:], '>'); end > 0 {
				address, label, ok := strings.Cut(s[i+1:i+end], "|")
				if !ok {
					label = address
				}
				b.WriteString(html.EscapeString(label))
				i += end + 1
				continue
			}
		}
		i += character(&b, s[i:])
	}
	return b.String()
}

// control renders what stands between < and >: a link, a mention, a date.
func control(b *strings.Builder, s string, n names) {
	address, label, labelled := strings.Cut(s, "|")
	mention := func(mark, name string) {
		b.WriteString(`<span class="mention">` + html.EscapeString(mark+name) + `</span>`)
	}
	switch {
	case strings.HasPrefix(address, "@"):
		mention("@", n.user(address[1:]))
	case strings.HasPrefix(address, "#"):
		mention("#", n.channel(address[1:]))
	case strings.HasPrefix(address, "!date^"):
		date(b, address, label)
	case strings.HasPrefix(address, "!"):
		name, _, _ := strings.Cut(address[1:], "^")
		mention("@", name)
	default:
		if !labelled {
			label = address
		}
		u, err := url.Parse(html.UnescapeString(address))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
			b.WriteString(html.EscapeString("<" + s + ">"))
			return
		}
		b.WriteString(`<a href="` + html.EscapeString(u.String()) + `" rel="noreferrer noopener" target="_blank">`)
		b.WriteString(html.EscapeString(html.UnescapeString(label)) + `</a>`)
	}
}

// date renders <!date^seconds^format^link|fallback>; the page puts the
// reader's local time into the format.
func date(b *strings.Builder, address, fallback string) {
	parts := strings.Split(address, "^")
	if len(parts) < 3 || strings.Trim(parts[1], "0123456789") != "" {
		b.WriteString(html.EscapeString(fallback))
		return
	}
	b.WriteString(`<time data-unix="` + parts[1] + `" data-format="` + html.EscapeString(parts[2]) + `">`)
	b.WriteString(html.EscapeString(fallback) + `</time>`)
}

// emojis holds those that apps use to mark a state, drawn, so that they look
// the same on a machine without an emoji font; the rest is left to the font.
var emojis = map[string]string{
	"white_check_mark":          drawn("check mark", "#2f9e6b", "M6.5 12.5l3.6 3.6 7.4-8"),
	"heavy_check_mark":          drawn("check mark", "#2f9e6b", "M6.5 12.5l3.6 3.6 7.4-8"),
	"x":                         drawn("cross", "#d0435b", "M8 8l8 8M16 8l-8 8"),
	"no_entry":                  drawn("no entry", "#d0435b", "M7 12h10"),
	"no_entry_sign":             drawn("no entry", "#d0435b", "M7.5 16.5l9-9"),
	"octagonal_sign":            drawn("stop", "#d0435b", "M7 12h10"),
	"hourglass":                 drawn("hourglass", "#8a94a3", "M8 6h8M8 18h8M9 6c0 4 6 8 6 12M15 6c0 4-6 8-6 12"),
	"hourglass_flowing_sand":    drawn("hourglass", "#8a94a3", "M8 6h8M8 18h8M9 6c0 4 6 8 6 12M15 6c0 4-6 8-6 12"),
	"door":                      drawn("door", "#8a94a3", "M8 18V6.5h8V18M6 18h12M13.5 12.3v.4"),
	"information_source":        drawn("information", "#3f78b5", "M12 11v6M12 7.2v.4"),
	"warning":                   drawn("warning", "#d39a1e", "M12 6.5v7M12 17v.4"),
	"key":                       drawn("key", "#3f78b5", "M8 12a2 2 0 1 0 .01 0M10 12h8M15 12v3M18 12v2"),
	"lock":                      drawn("lock", "#8a94a3", "M7.5 11h9v6.5h-9zM9.5 11V8.5a2.5 2.5 0 0 1 5 0V11"),
	"grey_question":             drawn("question", "#8a94a3", "M9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.8.4-1 .9-1 1.7M12 17v.4"),
	"leftwards_arrow_with_hook": drawn("return", "#3f78b5", "M8 11h6a3 3 0 0 1 0 6h-3M11 8l-3 3 3 3"),
	"unlock":                    "🔓", "raised_hand": "✋", "robot_face": "🤖", "bust_in_silhouette": "👤", "eyes": "👀", "bell": "🔔",
	"rotating_light": "🚨", "pause_button": "⏸️", "double_vertical_bar": "⏸️", "tada": "🎉", "mag": "🔍", "large_yellow_circle": "🟡",
}

func drawn(name, color, path string) string {
	return `<svg class="emoji" viewBox="0 0 24 24" role="img" aria-label="` + name + `"><rect x="1" y="1" width="22" height="22" rx="6" fill="` + color +
		`"/><path d="` + path + `" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>`
}

// emoji returns the emoji that s starts with, and how long its name is.
func emoji(s string) (string, int) {
	if s[0] != ':' {
		return "", 0
	}
	end := strings.IndexByte(s[1:], ':')
	if end < 1 {
		return "", 0
	}
	return emojis[s[1:1+end]], map[bool]int{true: end + 2}[emojis[s[1:1+end]] != ""]
}
