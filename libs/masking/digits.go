package masking

import "bytes"

// Numbers that carry a checksum: payment cards, IBANs, US social security
// numbers. They have no keyword; a text with fewer than nine digits has none.
const fewestDigits = 9

// groups are runs of digits joined by one separator each.
type group struct{ start, end int }

// findCards appends the payment card numbers: 13 to 19 digits in groups of
// three or more, joined by spaces, dashes or dots, of a known brand, with a
// right check digit (Luhn, ISO/IEC 7812-1).
func findCards(b []byte, spans []span) []span {
	var groups [16]group
	for i := 0; i < len(b); {
		if !isDigit(b[i]) {
			i++
			continue
		}
		n, end := 0, i
		var separator byte
		for end < len(b) && isDigit(b[end]) && n < len(groups) {
			g := group{start: end}
			for end < len(b) && isDigit(b[end]) {
				end++
			}
			g.end = end
			groups[n] = g
			n++
			if end+1 < len(b) && isSeparator(b[end]) && isDigit(b[end+1]) && (separator == 0 || separator == b[end]) {
				separator = b[end]
				end++
			} else {
				break
			}
		}
		spans = cardsIn(b, groups[:n], spans)
		i = max(end, i+1)
	}
	return spans
}

func isSeparator(c byte) bool { return c == ' ' || c == '-' || c == '.' }

func cardsIn(b []byte, groups []group, spans []span) []span {
	for first := 0; first < len(groups); first++ {
		for last := len(groups) - 1; last >= first; last-- {
			if isCard(b, groups[first:last+1]) {
				spans = append(spans, span{groups[first].start, groups[last].end, detectCard})
				first = last
				break
			}
		}
	}
	return spans
}

func isCard(b []byte, groups []group) bool {
	start, end := groups[0].start, groups[len(groups)-1].end
	total := 0
	for _, g := range groups {
		total += g.end - g.start
		if len(groups) > 1 && g.end-g.start < 3 && g != groups[len(groups)-1] {
			return false
		}
	}
	if total < 13 || total > 19 || wordBefore(b, start) || end < len(b) && (isAlnum(b[end]) || b[end] == '_') {
		return false
	}
	var digits [19]byte
	n := 0
	for _, g := range groups {
		n += copy(digits[n:], b[g.start:g.end])
	}
	return brand(digits[:n]) && luhn(digits[:n])
}

func wordBefore(b []byte, i int) bool {
	return i > 0 && (isAlnum(b[i-1]) || b[i-1] == '_' || b[i-1] == '.' && i > 1 && isDigit(b[i-2]))
}

// brand reports a prefix and length that a card network issues.
func brand(d []byte) bool {
	prefix := func(n int) int {
		v := 0
		for _, c := range d[:n] {
			v = v*10 + int(c-'0')
		}
		return v
	}
	n, two, four := len(d), prefix(2), prefix(4)
	switch {
	case d[0] == '4': // Visa
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720: // Mastercard
		return n == 16
	case two == 34 || two == 37: // American Express
		return n == 15
	case four == 6011 || two == 65 || four >= 6440 && four <= 6499: // Discover
		return n >= 16
	case two == 36 || two == 38 || two == 39 || four >= 3000 && four <= 3059: // Diners Club
		return n >= 14
	case four >= 3528 && four <= 3589: // JCB
		return n >= 16
	case two == 62 || two == 81: // UnionPay
		return n >= 16
	case two == 50 || two >= 56 && two <= 69: // Maestro
		return n >= 13
	default:
		return false
	}
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// findSSNs appends US social security numbers as they are written, ddd-dd-dddd
// or with spaces, in the ranges that are issued. Bare nine digits are one only
// behind a keyword.
func findSSNs(b []byte, spans []span) []span {
	for i := 3; i+7 < len(b); i++ {
		sep := b[i]
		if sep != '-' && sep != ' ' || b[i+3] != sep || !allDigits(b[i-3:i]) || !allDigits(b[i+1:i+3]) || !allDigits(b[i+4:i+8]) {
			continue
		}
		start, end := i-3, i+8
		if wordBefore(b, start) || start > 0 && b[start-1] == '-' || end < len(b) && (isAlnum(b[end]) || b[end] == '-' || b[end] == '_') {
			continue
		}
		if issued(b[start:start+3], b[i+1:i+3], b[i+4:end]) {
			spans = append(spans, span{start, end, detectSSN})
			i = end
		}
	}
	return spans
}

func issued(area, two, four []byte) bool {
	return string(area) != "000" && string(area) != "666" && area[0] != '9' && string(two) != "00" && string(four) != "0000"
}

// verifyKeyedSSN matches nine bare digits behind "ssn" or "social security".
func verifyKeyedSSN(b []byte, at, end int) verdict {
	if at > 0 && isAlnum(b[at-1]) {
		return verdict{}
	}
	start := end
	for start < len(b) && start-end < 16 && !isDigit(b[start]) {
		if isAlnum(b[start]) && !bytes.HasPrefix(b[start:], []byte("number")) && !bytes.HasPrefix(b[start:], []byte("no")) && !isLower(b[start-1]) {
			return verdict{}
		}
		start++
	}
	stop := start
	for stop < len(b) && isDigit(b[stop]) {
		stop++
	}
	if stop-start != 9 || !issued(b[start:start+3], b[start+3:start+5], b[start+5:stop]) {
		return verdict{}
	}
	return verdict{start: start, stop: stop, next: stop}
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return true
}
