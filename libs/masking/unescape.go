package masking

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// undouble halves doubled quotes.
func undouble(s string, quote byte) string {
	q := string(quote)
	return strings.ReplaceAll(s, q+q, q)
}

// unescapeC undoes the escapes of an E'…' string (PostgreSQL manual, 4.1.2.2).
// What is no escape stays as written.
func unescapeC(s string) string {
	if !strings.ContainsAny(s, `\'`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case s[i] != '\\' || i+1 == len(s):
			b.WriteByte(s[i])
		default:
			i += escapeC(&b, s[i+1:])
		}
	}
	return b.String()
}

// escapeC writes what the escape after a backslash stands for, and returns its
// length.
func escapeC(b *strings.Builder, s string) int {
	digits := func(from, most, base int) (uint64, int) {
		n := 0
		for n < most && from+n < len(s) && strings.IndexByte("0123456789abcdefABCDEF"[:min(22, base+max(0, base-10))], s[from+n]) >= 0 {
			n++
		}
		v, _ := strconv.ParseUint(s[from:from+n], base, 32)
		return v, n
	}
	switch c := s[0]; {
	case c == 'x':
		if v, n := digits(1, 2, 16); n > 0 {
			b.WriteByte(byte(v)) //nolint:gosec // two hex digits
			return 1 + n
		}
	case c == 'u' || c == 'U':
		most := 4
		if c == 'U' {
			most = 8
		}
		if v, n := digits(1, most, 16); n == most && v <= utf8.MaxRune {
			b.WriteRune(rune(v))
			return 1 + n
		}
	case octal(c):
		v, n := digits(0, 3, 8)
		b.WriteByte(byte(v)) //nolint:gosec // PostgreSQL takes the low eight bits
		return n
	default:
		if i := strings.IndexByte("bfnrt", c); i >= 0 {
			c = "\b\f\n\r\t"[i]
		}
		b.WriteByte(c)
		return 1
	}
	b.WriteByte(s[0])
	return 1
}

// unescapeUnicode undoes \XXXX and \+XXXXXX of a U&'…' string.
func unescapeUnicode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'' {
			i++
		}
		if s[i] == '\\' {
			from, n := i+1, 4
			if from < len(s) && s[from] == '+' {
				from, n = from+1, 6
			}
			if from+n <= len(s) {
				if v, err := strconv.ParseUint(s[from:from+n], 16, 32); err == nil && v <= utf8.MaxRune {
					b.WriteRune(rune(v))
					i = from + n - 1
					continue
				}
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
