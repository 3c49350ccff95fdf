package masking

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"unicode/utf8"
)

// plainer is a text with its disguises taken off, and where each byte of it
// stands in the original.
type plainer struct {
	text []byte
	from []int // text[i] comes from original[from[i]:to[i]]
	to   []int
}

func (p *plainer) add(c byte, from, to int) {
	p.text = append(p.text, c)
	p.from = append(p.from, from)
	p.to = append(p.to, to)
}

// span translates b[start:end] of the plainer text into the original.
func (p *plainer) span(s span) span {
	return span{p.from[s.start], p.to[s.end-1], s.detector}
}

// undisguise takes off what hides a value from a detector and not from a
// person or a database: invisible characters, pieces joined by || or by
// adjacency, percent-encoding, and \u and \x escapes. It returns nil where
// there is nothing of the kind.
func undisguise(b []byte) *plainer {
	if bytes.IndexByte(b, '\\') < 0 && bytes.IndexByte(b, '%') < 0 && !bytes.Contains(b, []byte("||")) && !hasInvisible(b) {
		return nil
	}
	p := &plainer{text: make([]byte, 0, len(b)), from: make([]int, 0, len(b)), to: make([]int, 0, len(b))}
	for i := 0; i < len(b); {
		n, c, drop := disguise(b[i:])
		if !drop {
			p.add(c, i, i+n)
		}
		i += n
	}
	return p
}

// disguise reads one byte and how many bytes it takes in its disguise; drop
// means that they stand for nothing.
func disguise(b []byte) (n int, c byte, drop bool) {
	switch {
	case b[0] == '%' && len(b) > 2:
		if v, ok := hexByte(b[1:3]); ok && v < utf8.RuneSelf {
			return 3, v, false
		}
	case b[0] == '\\' && len(b) > 3 && b[1] == 'x':
		if v, ok := hexByte(b[2:4]); ok && v < utf8.RuneSelf {
			return 4, v, false
		}
	case b[0] == '\\' && len(b) > 5 && b[1] == 'u' && b[2] == '0' && b[3] == '0':
		if v, ok := hexByte(b[4:6]); ok && v < utf8.RuneSelf {
			return 6, v, false
		}
	case b[0] == '\'' || b[0] == '"':
		if n := joint(b); n > 0 {
			return n, 0, true
		}
	case b[0] >= utf8.RuneSelf:
		if r, size := utf8.DecodeRune(b); invisible(r) {
			return size, 0, true
		}
	}
	return 1, b[0], false
}

// joint returns the length of what joins two pieces of text: ' || ', or 0.
func joint(b []byte) int {
	i := skipSpace(b, 1)
	if i+1 >= len(b) || b[i] != '|' || b[i+1] != '|' {
		return 0
	}
	i = skipSpace(b, i+2)
	if i < len(b) && (b[i] == 'E' || b[i] == 'e') {
		i++
	}
	if i < len(b) && b[i] == b[0] {
		return i + 1
	}
	return 0
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

func hexByte(two []byte) (byte, bool) {
	var v [1]byte
	_, err := hex.Decode(v[:], two)
	return v[0], err == nil
}

// invisible reports characters that a reader does not see: zero width, soft
// hyphen, bidirectional controls, variation selectors and tags.
func invisible(r rune) bool {
	return r == 0xAD || r == 0x34F || r == 0x61C || r == 0x180E || r >= 0x200B && r <= 0x200F || r >= 0x202A && r <= 0x202E ||
		r >= 0x2060 && r <= 0x206F || r == 0xFEFF || r >= 0xFE00 && r <= 0xFE0F || r >= 0xE0000 && r <= 0xE01EF
}

func hasInvisible(b []byte) bool {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if invisible(r) {
			return true
		}
		i += size
	}
	return false
}

// shortestEncoded is the least number of characters that are worth decoding.
const shortestEncoded = 20

// encoded returns the runs of base64 and hexadecimal digits whose decoded text a
// detector finds something in: they are a secret whole.
func (set detectorSet) encoded(b []byte) []span {
	var spans []span
	for i := 0; i < len(b); {
		if !base64Char[b[i]] && !base64URL[b[i]] {
			i++
			continue
		}
		end := i
		for end < len(b) && (base64Char[b[end]] || base64URL[b[end]]) {
			end++
		}
		if end-i >= shortestEncoded {
			if d := set.decodedIn(b[i:end]); d >= 0 {
				spans = append(spans, span{i, end, d})
			}
		}
		i = end
	}
	return spans
}

// decodedIn returns the detector that finds something in a decoded run, or -1.
func (set detectorSet) decodedIn(run []byte) int {
	if len(run) > 1 && (run[0] == 'x' || run[0] == '0' && run[1] == 'x') { // \x…, 0x…
		run = run[bytes.IndexByte(run, 'x')+1:]
	}
	for _, plain := range decodings(run) {
		if len(plain) == 0 || !printable(plain) || !utf8.Valid(plain) {
			continue
		}
		if found := set.find(plain, nil); len(found) > 0 {
			return found[0].detector
		}
	}
	return -1
}

func decodings(run []byte) [][]byte {
	var out [][]byte
	if plain, err := hex.AppendDecode(nil, run); err == nil {
		out = append(out, plain)
	}
	trimmed := bytes.TrimRight(run, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if plain, err := encoding.AppendDecode(nil, trimmed); err == nil {
			out = append(out, plain)
			break
		}
	}
	return out
}
