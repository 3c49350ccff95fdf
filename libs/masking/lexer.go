package masking

// tokenKind is what a piece of SQL text is, as far as scrubbing cares.
type tokenKind int

const (
	tokenOther   tokenKind = iota
	tokenString            // '…', E'…', U&'…', B'…', X'…', N'…'
	tokenDollar            // $tag$…$tag$
	tokenQuoted            // "…"
	tokenComment           // -- … and /* … */
	tokenNumber            // 42, 4.2e1, 0xff, 1_000
	tokenWord              // keyword, name
	tokenParam             // $1
)

// token is text[start:end]; inner bounds cut the quotes off.
type token struct {
	kind         tokenKind
	start, end   int
	inner, outer int  // text[inner:outer] is the content between the quotes
	escapes      bool // of a string: backslashes escape
	unicode      bool // of a string: U&'…'
	open         bool // the closing quote is missing
}

// lex splits SQL text by PostgreSQL's lexical rules (manual, 4.1) with
// standard_conforming_strings on. It never fails: what is not closed runs to
// the end of the text and is marked open.
func lex(text string) []token {
	var tokens []token
	for i := 0; i < len(text); {
		t := next(text, i)
		if t.kind != tokenOther {
			tokens = append(tokens, t)
		}
		i = t.end
	}
	return tokens
}

func next(text string, i int) token {
	c := text[i]
	two := func(a, b byte) bool { return c == a && i+1 < len(text) && text[i+1] == b }
	switch {
	case c == '\'':
		return quoted(text, i, i, token{kind: tokenString})
	case c == '"':
		return quoted(text, i, i, token{kind: tokenQuoted})
	case two('-', '-'):
		end := i
		for end < len(text) && text[end] != '\n' && text[end] != '\r' {
			end++
		}
		return token{kind: tokenComment, start: i, end: end, inner: i + 2, outer: end}
	case two('/', '*'):
		return block(text, i)
	case c == '$':
		return dollar(text, i)
	case isDigit(c), c == '.' && i+1 < len(text) && isDigit(text[i+1]):
		return number(text, i)
	case wordStart(c):
		return word(text, i)
	}
	return token{start: i, end: i + 1}
}

func wordStart(c byte) bool { return isUpper(c) || isLower(c) || c == '_' || c >= 0x80 }

func word(text string, i int) token {
	if i+1 < len(text) && text[i+1] == '\'' {
		switch text[i] {
		case 'e', 'E':
			return quoted(text, i, i+1, token{kind: tokenString, escapes: true})
		case 'b', 'B', 'x', 'X', 'n', 'N':
			return quoted(text, i, i+1, token{kind: tokenString})
		}
	}
	if (text[i] == 'u' || text[i] == 'U') && i+2 < len(text) && text[i+1] == '&' {
		switch text[i+2] {
		case '\'':
			return quoted(text, i, i+2, token{kind: tokenString, unicode: true})
		case '"':
			return quoted(text, i, i+2, token{kind: tokenQuoted, unicode: true})
		}
	}
	end := i
	for end < len(text) && (wordStart(text[end]) || isDigit(text[end]) || text[end] == '$') {
		end++
	}
	return token{kind: tokenWord, start: i, end: end, inner: i, outer: end}
}

// quoted reads from the quote at open on; the token begins at start.
func quoted(text string, start, open int, t token) token {
	q := text[open]
	t.start, t.inner = start, open+1
	for i := open + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && t.escapes:
			i++
		case text[i] != q:
		case i+1 < len(text) && text[i+1] == q:
			i++
		default:
			t.outer, t.end = i, i+1
			return t
		}
	}
	t.outer, t.end, t.open = len(text), len(text), true
	return t
}

// block reads a comment; they nest.
func block(text string, i int) token {
	t := token{kind: tokenComment, start: i, inner: i + 2}
	depth := 0
	for j := i; j+1 < len(text); j++ {
		switch {
		case text[j] == '/' && text[j+1] == '*':
			depth++
			j++
		case text[j] == '*' && text[j+1] == '/':
			j++
			if depth--; depth == 0 {
				t.outer, t.end = j-1, j+1
				return t
			}
		}
	}
	t.outer, t.end, t.open = len(text), len(text), true
	t.inner = min(t.inner, t.outer)
	return t
}

// dollar reads a dollar-quoted string or a parameter.
func dollar(text string, i int) token {
	j := i + 1
	for j < len(text) && isDigit(text[j]) {
		j++
	}
	if j > i+1 {
		return token{kind: tokenParam, start: i, end: j}
	}
	for j < len(text) && (wordStart(text[j]) || isDigit(text[j])) {
		j++
	}
	if j == len(text) || text[j] != '$' {
		return token{start: i, end: i + 1}
	}
	tag := text[i : j+1]
	t := token{kind: tokenDollar, start: i, inner: j + 1}
	for k := j + 1; k+len(tag) <= len(text); k++ {
		if text[k:k+len(tag)] == tag {
			t.outer, t.end = k, k+len(tag)
			return t
		}
	}
	t.outer, t.end, t.open = len(text), len(text), true
	return t
}

func number(text string, i int) token {
	end := i
	for end < len(text) && (isAlnum(text[end]) || text[end] == '.' || text[end] == '_' ||
		(text[end] == '+' || text[end] == '-') && end > i && text[end-1]&^0x20 == 'E' && text[i] != '0') {
		end++
	}
	return token{kind: tokenNumber, start: i, end: end, inner: i, outer: end}
}

// value returns what a string token says, escapes undone.
func (t token) value(text string) string {
	inner := text[t.inner:t.outer]
	switch {
	case t.kind == tokenDollar || t.kind == tokenNumber || t.kind == tokenComment || t.kind == tokenWord:
		return inner
	case t.escapes:
		return unescapeC(inner)
	case t.unicode:
		return unescapeUnicode(inner)
	}
	return undouble(inner, text[t.inner-1])
}
