package masking

import (
	"bytes"
	"strings"
)

// class is a set of bytes.
type class [256]bool

func classOf(in func(c byte) bool) *class {
	var k class
	for i := range k {
		k[i] = in(byte(i))
	}
	return &k
}

// The classes of the token formats.
var (
	alnum      = classOf(isAlnum)
	awsID      = classOf(func(c byte) bool { return isUpper(c) || isDigit(c) })
	wordDot    = classOf(func(c byte) bool { return isAlnum(c) || c == '_' || c == '-' || c == '.' })
	base64URL  = classOf(func(c byte) bool { return isAlnum(c) || c == '_' || c == '-' })
	base64Char = classOf(func(c byte) bool { return isAlnum(c) || c == '+' || c == '/' || c == '=' })
	urlPath    = classOf(func(c byte) bool { return isAlnum(c) || c == '_' || c == '-' || c == '/' })
	identChar  = classOf(func(c byte) bool { return isAlnum(c) || c == '_' })
)

// run returns the end of the bytes of a class from i on.
func (k *class) run(b []byte, i int) int {
	for i < len(b) && k[b[i]] {
		i++
	}
	return i
}

// prefixed matches a token: its prefix, in this letter case, then at least
// least bytes of a class (at most most, where that is not 0). The token begins
// at a word's start; sentence punctuation at its end is not part of it.
func prefixed(prefix string, k *class, least, most int) func(b []byte, at, end int) verdict {
	return func(b []byte, at, _ int) verdict {
		if at+len(prefix) > len(b) || string(b[at:at+len(prefix)]) != prefix || at > 0 && isAlnum(b[at-1]) {
			return verdict{}
		}
		stop := k.run(b, at+len(prefix))
		next := stop
		for stop > at && (b[stop-1] == '.' || b[stop-1] == '-') {
			stop--
		}
		if n := stop - at - len(prefix); n < least || most > 0 && n > most {
			return verdict{next: at + 1}
		}
		return verdict{start: at, stop: stop, next: next}
	}
}

// firstOf returns the first match of several.
func firstOf(all ...func(b []byte, at, end int) verdict) func(b []byte, at, end int) verdict {
	return func(b []byte, at, end int) verdict {
		for _, f := range all {
			if v := f(b, at, end); v.stop > v.start {
				return v
			}
		}
		return verdict{}
	}
}

// verifyEmail matches the address around an @.
func verifyEmail(b []byte, at, _ int) verdict {
	start := at
	if at > 0 && b[at-1] == '"' { // "quoted local"@part
		if q := bytes.LastIndexByte(b[max(0, at-66):at-1], '"'); q >= 0 {
			start = max(0, at-66) + q
		}
	} else {
		for start > 0 && emailLocal(b, start-1) {
			start--
		}
		for start < at && (b[start] == '.' || b[start] == '\'' || b[start] == '-') {
			start++
		}
	}
	stop, dot := at+1, -1
	for stop < len(b) && (isAlnum(b[stop]) || b[stop] == '-' || b[stop] >= 0x80 && !isDot(b, stop) || b[stop] == '.' && stop > at+1 && b[stop-1] != '.') {
		if b[stop] == '.' {
			dot = stop
		}
		stop++
	}
	for stop > at && (b[stop-1] == '.' || b[stop-1] == '-') {
		stop--
		if dot >= stop {
			dot = bytes.LastIndexByte(b[at:stop], '.')
			if dot >= 0 {
				dot += at
			}
		}
	}
	if start == at || dot < 0 || stop-dot < 3 || isDigit(b[stop-1]) {
		return verdict{}
	}
	return verdict{start: start, stop: stop}
}

// emailLocal reports a byte of an address's local part. The dots of a masked
// address are none, so that masking twice is masking once.
func emailLocal(b []byte, i int) bool {
	switch c := b[i]; {
	case isAlnum(c), c == '.', c == '_', c == '%', c == '+', c == '-':
		return true
	case c == '\'': // o'brien, but not the quote of E'…'
		return i > 0 && isAlnum(b[i-1]) && (strings.IndexByte("EeNnBbXx", b[i-1]) < 0 || i > 1 && identChar[b[i-2]])
	default:
		return c >= 0x80 && !isDot(b, i)
	}
}

// isDot reports that b[i] belongs to a • or to one of the quotes of this
// package's own output.
func isDot(b []byte, i int) bool {
	for from := max(0, i-2); from <= i; from++ {
		if from+2 < len(b) && b[from] == 0xE2 && b[from+1] == 0x80 && (b[from+2] == 0xA2 || b[from+2] == 0xB9 || b[from+2] == 0xBA) {
			return true
		}
	}
	return false
}

func isEmail(b []byte) bool {
	at := bytes.IndexByte(b, '@')
	if at < 0 {
		return false
	}
	v := verifyEmail(b, at, at+1)
	return v.start == 0 && v.stop == len(b) && v.stop > 0
}
