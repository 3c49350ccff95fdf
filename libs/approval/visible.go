package approval

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns s with everything that could hide or reorder text made
// visible as ‹U+202E›: control characters, bidirectional marks, zero-width and
// other invisible characters, odd spaces, invalid UTF-8 as ‹0x80›. Line breaks
// become ⏎ and tabs spaces, so that the result is one line. Letters of every
// script stay as they are. Applying it twice is applying it once.
func Visible(s string) string { return reveal(s, false) }

// VisibleText is Visible for text of several lines: \n stays a line break (a
// \r\n too), tabs stay.
func VisibleText(s string) string { return reveal(s, true) }

func reveal(s string, lines bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "‹0x%02X›", s[i])
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case lines && r == '\r' && strings.HasPrefix(s[i+1:], "\n"):
		case r == '\n':
			b.WriteString("⏎")
		case r == '\t':
			b.WriteByte(' ')
		case hidden(r):
			fmt.Fprintf(&b, "‹U+%04X›", r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// Blank reports that s holds nothing that a reader sees.
func Blank(s string) bool {
	for _, r := range s {
		if !unicode.IsSpace(r) && !hidden(r) {
			return false
		}
	}
	return true
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// hidden reports characters that a reader cannot see, or that move others.
func hidden(r rune) bool {
	switch {
	case r == ' ':
		return false
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return true
	case unicode.Is(unicode.Zs, r): // no-break, en, em, ideographic ... spaces
		return true
	case unicode.Is(unicode.Co, r), unicode.Is(unicode.Cs, r):
		return true
	case unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
		return true
	case unicode.Is(unicode.Me, r), r >= 0x0334 && r <= 0x0338, r >= 0x20D0 && r <= 0x20FF: // strike out or enclose what precedes
		return true
	}
	switch r {
	case 0x2800, 0x3164, 0xFFA0, 0x115F, 0x1160, utf8.RuneError: // blank braille, Hangul fillers, a lost character
		return true
	}
	return false
}
