package masking

import (
	"bytes"
	"encoding/hex"

	"github.com/gatestay/gatestay/libs/refusal"
)

// WriteGuard looks through the values that a client sends as data, COPY's, for
// what a mask has made, as WrittenBack does through text and parameters. A value
// may come in pieces, cut anywhere; of a long one only the end is kept. Not safe
// for concurrent use.
type WriteGuard struct {
	view    *view
	columns []string
	known   bool // which columns the values are for
	anchor  string
	keyed   bool

	rest   []byte // of a value that is not whole yet
	broken bool   // a part of it was looked at and left behind
}

const (
	// guardWindow is how much of a value is kept before it is looked at, in bytes.
	guardWindow = 1 << 20
	// guardTail is longer than any hint, constant or prefix of a token.
	guardTail = 64
	// shortest is the length of the shortest token or hash.
	shortest = len(HashPrefix) + 2*hashBytes
)

// WriteGuard returns what looks at the values for the named columns, or for
// columns that are not known: nil. It returns nil where no mask of the target
// leaves anything in a value by which it could be told.
func (e *Engine) WriteGuard(target string, columns []string) *WriteGuard {
	g := &WriteGuard{view: e.view(target), columns: columns, known: columns != nil}
	for _, m := range g.view.columns {
		g.keyed = g.keyed || m.strategy == Token || m.strategy == Hash
	}
	for i := range catalogue {
		g.keyed = g.keyed || g.view.detectors.has(i) && (g.view.strategy[i] == Token || g.view.strategy[i] == Hash)
	}
	for name := range g.view.names { // any of them: made asks whether a column has a mask
		g.anchor = name
		break
	}
	if g.keyed || !g.known && g.anchor != "" {
		return g
	}
	for _, c := range columns {
		if g.view.masksName(c) {
			return g
		}
	}
	return nil
}

// Look takes the next piece of the value for column i (from 0), last the end of
// it, and refuses what a mask has made.
func (g *WriteGuard) Look(i int, piece []byte, last bool) *refusal.Refusal {
	if len(g.rest) == 0 && last {
		return g.judge(i, piece, false)
	}
	g.rest = append(g.rest, piece...)
	if !last {
		return g.shorten(i)
	}
	r := g.judge(i, g.rest, g.broken)
	if g.rest, g.broken = g.rest[:0], false; cap(g.rest) > guardWindow/16 {
		g.rest = nil
	}
	return r
}

// judge looks at a value, or at what is left of one.
func (g *WriteGuard) judge(i int, value []byte, part bool) *refusal.Refusal {
	column, masked := g.column(i)
	if !masked && (!g.keyed || len(value) < shortest) {
		return nil
	}
	ask := column
	if masked && column == "" {
		ask = g.anchor
	}
	what := g.view.made(value, ask)
	if what == "" || part && string(value) == redacted {
		return nil
	}
	return writtenBack(what, column)
}

// column names column i, where it is known, and reports that a mask may be on it.
func (g *WriteGuard) column(i int) (name string, masked bool) {
	if !g.known || i >= len(g.columns) {
		return "", g.anchor != ""
	}
	return g.columns[i], g.view.masksName(g.columns[i])
}

// shorten looks at a long value, and leaves behind what cannot be the beginning
// of anything.
func (g *WriteGuard) shorten(i int) *refusal.Refusal {
	if len(g.rest) < guardWindow {
		return nil
	}
	plain, isHex := unhex(g.rest)
	at := opens(plain)
	if len(plain)-at > guardWindow/4 {
		return writtenBack("what may be a token of more than all length", "")
	}
	if r := g.judge(i, plain[:at], true); r != nil {
		return r
	}
	if g.broken = true; isHex {
		g.rest = append(g.rest[:2], g.rest[2+2*at:]...)
		return nil
	}
	g.rest = append(g.rest[:0], g.rest[at:]...)
	return nil
}

// opens is where that begins which may go on behind the end of a value: a token
// or a hash, else anything short.
func opens(value []byte) int {
	at := max(bytes.LastIndex(value, []byte(TokenPrefix)), bytes.LastIndex(value, []byte(HashPrefix)))
	tail := max(0, len(value)-guardTail)
	if at < 0 {
		return tail
	}
	for _, c := range value[at+len(TokenPrefix):] {
		if !isLower(c) && !isDigit(c) {
			return tail
		}
	}
	return min(at, tail)
}

// unhex returns what a value in bytea's hex format says; one without its last
// digit says what the others do. Another value is returned as it is.
func unhex(value []byte) (plain []byte, ok bool) {
	if len(value) < 4 || value[0] != '\\' || value[1] != 'x' {
		return value, false
	}
	digits := value[2:]
	plain = make([]byte, len(digits)/2)
	if _, err := hex.Decode(plain, digits[:len(digits)&^1]); err != nil {
		return value, false
	}
	return plain, true
}
