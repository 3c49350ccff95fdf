package postgres

import "strings"

// tokenKind is what a token is, as far as this package cares.
type tokenKind uint8

const (
	tokWord     tokenKind = iota // identifier or keyword, also U&"…" and "…"
	tokText                      // '…', E'…', B'…', X'…', U&'…', $$…$$
	tokNumber                    //
	tokParam                     // $1
	tokOperator                  // a run of operator characters
	tokComment                   //
	tokOther                     // one character: brackets, comma, ...
)

// token is one token of a text, comments included.
type token struct {
	start, end int32 // byte offsets
	kind       tokenKind
}

func (t token) text(sql string) string { return sql[t.start:t.end] }

// lex splits a text into tokens by the rules of PostgreSQL's scan.l, with
// standard_conforming_strings on. It is not libpg_query's scanner: that needs
// quadratic time for many comments, and redirects the standard error of the
// whole process while it runs. It serves for bounds, literals and
// fingerprints; what a text means is for the parser alone to say.
func lex(sql string) []token {
	l := lexer{s: sql}
	out := make([]token, 0, len(sql)/4+8)
	for {
		l.space()
		if l.pos >= len(sql) {
			return out
		}
		start := l.pos
		kind := l.next()
		out = append(out, token{int32(start), int32(l.pos), kind}) //nolint:gosec // at most MaxText
	}
}

type lexer struct {
	s   string
	pos int
}

// at returns the byte n places on, 0 behind the end.
func (l *lexer) at(n int) byte {
	if l.pos+n < len(l.s) {
		return l.s[l.pos+n]
	}
	return 0
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isOperator(c byte) bool { return strings.IndexByte("~!@#^&|`?+-*/%<>=", c) >= 0 }

func (l *lexer) space() {
	for l.pos < len(l.s) && isSpace(l.s[l.pos]) {
		l.pos++
	}
}

// next reads one token and leaves pos behind it.
func (l *lexer) next() tokenKind {
	c := l.at(0)
	switch {
	case c == '-' && l.at(1) == '-':
		l.line()
		return tokComment
	case c == '/' && l.at(1) == '*':
		l.block()
		return tokComment
	case c == '\'':
		l.quoted(0, false)
		return tokText
	case c == '"':
		l.identifier(0)
		return tokWord
	case (c == 'e' || c == 'E') && l.at(1) == '\'':
		l.quoted(1, true)
		return tokText
	case strings.IndexByte("bBxX", c) >= 0 && l.at(1) == '\'':
		l.quoted(1, false)
		return tokText
	case (c == 'u' || c == 'U') && l.at(1) == '&' && l.at(2) == '\'':
		l.quoted(2, false)
		return tokText
	case (c == 'u' || c == 'U') && l.at(1) == '&' && l.at(2) == '"':
		l.identifier(2)
		return tokWord
	case isWordStart(c):
		l.word()
		return tokWord
	case isDigit(c) || c == '.' && isDigit(l.at(1)):
		l.number()
		return tokNumber
	case c == '$':
		return l.dollar()
	case isOperator(c):
		l.operator()
		return tokOperator
	default:
		l.pos++
		return tokOther
	}
}

// line reads a comment to the end of its line.
func (l *lexer) line() {
	if i := strings.IndexAny(l.s[l.pos:], "\n\r"); i >= 0 {
		l.pos += i
	} else {
		l.pos = len(l.s)
	}
}

// block reads a comment that may hold others.
func (l *lexer) block() {
	depth := 0
	for l.pos < len(l.s) {
		switch {
		case l.at(0) == '/' && l.at(1) == '*':
			depth++
			l.pos += 2
		case l.at(0) == '*' && l.at(1) == '/':
			depth--
			l.pos += 2
			if depth == 0 {
				return
			}
		default:
			l.pos++
		}
	}
}

// quoted reads a string whose quote is prefix bytes on, and what continues it
// after a line break.
func (l *lexer) quoted(prefix int, escapes bool) {
	l.pos += prefix + 1
	for l.pos < len(l.s) {
		switch c := l.s[l.pos]; {
		case c == '\\' && escapes:
			l.pos = min(l.pos+2, len(l.s))
		case c == '\'' && l.at(1) == '\'':
			l.pos += 2
		case c == '\'':
			l.pos++
			if !l.continues() {
				return
			}
		default:
			l.pos++
		}
	}
}

// continues goes behind the quote of a continued string, if there is one: it
// must be on another line. The server allows -- comments between the parts,
// libpg_query does not: such a text is a syntax error.
func (l *lexer) continues() bool {
	saved, newline := l.pos, false
	for l.pos < len(l.s) {
		switch c := l.s[l.pos]; {
		case isSpace(c):
			newline = newline || c == '\n' || c == '\r'
			l.pos++
			continue
		case c == '\'' && newline:
			l.pos++
			return true
		}
		break
	}
	l.pos = saved
	return false
}

func (l *lexer) identifier(prefix int) {
	l.pos += prefix + 1
	for l.pos < len(l.s) {
		if l.s[l.pos] == '"' {
			if l.at(1) != '"' {
				l.pos++
				return
			}
			l.pos++
		}
		l.pos++
	}
}

func (l *lexer) word() {
	for c := l.at(0); isWordStart(c) || isDigit(c) || c == '$'; c = l.at(0) {
		l.pos++
	}
}

// number reads what begins like a number as far as its digits go. What the
// grammar refuses behind it does not matter here.
func (l *lexer) number() {
	digits := func() {
		for isDigit(l.at(0)) || l.at(0) == '_' && isDigit(l.at(1)) {
			l.pos++
		}
	}
	if l.at(0) == '0' && strings.IndexByte("xXoObB", l.at(1)) >= 0 && (isHex(l.at(2)) || l.at(2) == '_' && isHex(l.at(3))) {
		l.pos += 2
		for isHex(l.at(0)) || l.at(0) == '_' && isHex(l.at(1)) {
			l.pos++
		}
		return
	}
	digits()
	if l.at(0) == '.' && l.at(1) != '.' { // 1..10 is a range
		l.pos++
		digits()
	}
	if c := l.at(0); c == 'e' || c == 'E' {
		sign := 0
		if l.at(1) == '+' || l.at(1) == '-' {
			sign = 1
		}
		if isDigit(l.at(1 + sign)) {
			l.pos += 1 + sign
			digits()
		}
	}
}

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// dollar reads a parameter, a dollar-quoted string, or the sign alone.
func (l *lexer) dollar() tokenKind {
	if isDigit(l.at(1)) {
		l.pos++
		for isDigit(l.at(0)) {
			l.pos++
		}
		return tokParam
	}
	end := l.pos + 1
	if end < len(l.s) && isWordStart(l.s[end]) {
		for end < len(l.s) && (isWordStart(l.s[end]) || isDigit(l.s[end])) {
			end++
		}
	}
	if end >= len(l.s) || l.s[end] != '$' {
		l.pos++
		return tokOther
	}
	tag := l.s[l.pos : end+1]
	if i := strings.Index(l.s[end+1:], tag); i >= 0 {
		l.pos = end + 1 + i + len(tag)
	} else {
		l.pos = len(l.s)
	}
	return tokText
}

// operator reads a run of operator characters, up to where a comment begins.
func (l *lexer) operator() {
	for isOperator(l.at(0)) && l.pos < len(l.s) {
		if l.at(0) == '-' && l.at(1) == '-' || l.at(0) == '/' && l.at(1) == '*' {
			return
		}
		l.pos++
	}
}
