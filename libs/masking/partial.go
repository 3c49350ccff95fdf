package masking

import (
	"bytes"
	"unicode/utf8"
)

const dots = "•••"

// partial keeps a hint of a value: enough to recognise one's own, not enough to
// use or to guess another's.
func partial(kind string, value []byte) []byte {
	switch kind {
	case "card":
		return tail("•••• ", value, 4)
	case "iban":
		return append(append([]byte{}, value[:min(2, len(value))]...), tail(dots, value, 4)...)
	case "us-ssn":
		return tail(dots, value, 4)
	case "email":
		return partialEmail(value)
	case "":
	default: // a secret: nothing of it is a hint
		return []byte(redactedAs(kind))
	}
	switch digits, other := countDigits(value); {
	case isEmail(value):
		return partialEmail(value)
	case other == 0 && digits >= 13:
		return tail("•••• ", value, 4)
	case other == 0 && digits >= 7:
		return tail(dots, value, 2)
	}
	// One character of many is a hint; one of three or fewer is most of it.
	if utf8.RuneCount(value) <= 3 {
		return []byte(dots)
	}
	_, size := utf8.DecodeRune(value)
	return append(append([]byte{}, value[:size]...), dots...)
}

// partialEmail keeps the first letter and the top-level domain:
// dana@acme.example becomes d•••@•••.example.
func partialEmail(value []byte) []byte {
	at := bytes.LastIndexByte(value, '@')
	if at < 0 {
		return []byte(dots)
	}
	var out []byte
	if utf8.RuneCount(value[:at]) > 1 {
		_, size := utf8.DecodeRune(value)
		out = append(out, value[:size]...)
	}
	out = append(out, dots+"@"+dots...)
	if dot := bytes.LastIndexByte(value, '.'); dot > at {
		out = append(out, value[dot:]...)
	}
	return out
}

// tail keeps the last n digits or letters.
func tail(prefix string, value []byte, n int) []byte {
	kept := make([]byte, 0, n)
	for i := len(value) - 1; i >= 0 && len(kept) < n; i-- {
		if isAlnum(value[i]) {
			kept = append(kept, value[i])
		}
	}
	out := []byte(prefix)
	for i := len(kept) - 1; i >= 0; i-- {
		out = append(out, kept[i])
	}
	return out
}

// countDigits counts the digits, and what is neither digit nor the punctuation
// of card and phone numbers.
func countDigits(value []byte) (digits, other int) {
	for _, c := range value {
		switch {
		case isDigit(c):
			digits++
		case c == ' ' || c == '-' || c == '+' || c == '(' || c == ')' || c == '.' || c == '/':
		default:
			other++
		}
	}
	return digits, other
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isAlnum(c byte) bool { return isDigit(c) || isUpper(c) || isLower(c) }
