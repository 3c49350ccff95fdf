package masking

import (
	"bytes"
	"strings"
)

// ScrubText returns an error or notice text without values, on the safe side:
// as ScrubError for a target that has every rule, without a statement.
func (e *Engine) ScrubText(text string) string {
	for i := range e.rules {
		if e.rules[i].column.Name != "" && e.rules[i].Strategy != Clear {
			return e.scrubMessage(text, e.tables(e.rules), nil)
		}
	}
	return e.lookAgain(text)
}

// ScrubError returns an upstream's error or notice text without values. Where
// the target has masked columns, everything that a message may quote from the
// data goes: what stands in quotes, Key (…)=(…), the failing row, JSON and COPY
// context. What the caller wrote itself stays: known are texts that the reader
// may see anyway, such as the statement (its scrubbed form where the message
// is recorded). All detectors look at the rest.
func (e *Engine) ScrubError(target, text string, known ...string) string {
	v := e.view(target)
	if len(v.names) == 0 {
		return e.lookAgain(text)
	}
	var rules []compiled
	for _, r := range e.rules {
		if r.applies(target) {
			rules = append(rules, r)
		}
	}
	return e.scrubMessage(text, e.tables(rules), known)
}

// tables returns the names that column rules give: no secret of the data.
func (e *Engine) tables(rules []compiled) map[string]struct{} {
	names := map[string]struct{}{}
	for _, r := range rules {
		if r.column.Name != "" {
			names[r.column.Table], names[r.column.Name], names[r.column.Schema] = struct{}{}, struct{}{}, struct{}{}
		}
	}
	return names
}

// quotes are the pairs that PostgreSQL's messages quote with, in all of its
// languages. An apostrophe opens only at a word's start.
var quotes = []struct{ open, close string }{
	{`"`, `"`}, {"„", "“"}, {"“", "”"}, {"»", "«"}, {"«", "»"}, {"‘", "’"}, {"‚", "‘"}, {"「", "」"}, {"『", "』"}, {"'", "'"}, {"`", "'"},
}

// rows are what stands before a whole row or document of the data.
var rows = []string{"JSON data, line ", "Failing row contains ", "contains unexpected "}

func (e *Engine) scrubMessage(text string, names map[string]struct{}, known []string) string {
	m := message{text: text, names: names, known: known}
	for m.at < len(text) {
		m.step()
	}
	return e.lookAgain(m.out.String())
}

type message struct {
	text  string
	names map[string]struct{}
	known []string
	at    int
	out   strings.Builder
}

func (m *message) step() {
	rest := m.text[m.at:]
	if strings.HasPrefix(rest, ")=(") { // Key (email)=(dana@acme.example) …
		m.keep(len(")=("))
		end := closing(m.text[m.at:])
		m.value(end)
		return
	}
	for _, row := range rows {
		if strings.HasPrefix(rest, row) {
			m.keep(len(row))
			if row == rows[0] { // JSON data, line 1: …
				m.keep(strings.IndexByte(m.text[m.at:]+":", ':') + 1)
			}
			m.value(lineEnd(m.text[m.at:]))
			return
		}
	}
	for _, q := range quotes {
		if !strings.HasPrefix(rest, q.open) || q.open == "'" && m.at > 0 && isAlnum(m.text[m.at-1]) {
			continue
		}
		m.quoted(q.open, q.close)
		return
	}
	m.keep(1)
}

func (m *message) quoted(open, close string) {
	rest := m.text[m.at+len(open):]
	end := closingQuote(rest, close)
	if strings.HasSuffix(m.text[:m.at], ": ") { // …: "value" ends a message
		end = strings.LastIndex(rest, close)
	}
	if end < 0 { // cut off, or no quote at all: safe side
		end = len(rest)
	}
	content := rest[:end]
	m.out.WriteString(open)
	m.at += len(open)
	if m.harmless(content, open) {
		m.keep(end)
	} else {
		m.value(end)
	}
	if strings.HasPrefix(m.text[m.at:], close) {
		m.keep(len(close))
	}
}

// closingQuote finds the quote that ends a value which may itself hold quotes:
// the last one on the line behind which the message goes on or ends.
func closingQuote(s, close string) int {
	line := s[:lineEnd(s)]
	first := strings.Index(line, close)
	if first < 0 {
		if next := strings.Index(s, close); next >= 0 { // a value of several lines
			return next
		}
		return -1
	}
	if strings.Count(line, close)%2 == 1 && close != "'" {
		return first
	}
	return strings.LastIndex(line, close)
}

// harmless reports a quoted text that cannot come from masked data: a name of
// the rules, a constraint's name, or what the caller wrote.
func (m *message) harmless(content, open string) bool {
	if _, named := m.names[content]; named {
		return true
	}
	if open == `"` && strings.HasSuffix(m.text[:m.at-len(open)], "constraint ") && isName(content) {
		return true
	}
	for _, k := range m.known {
		if wrote(k, content) {
			return true
		}
	}
	return false
}

// wrote reports that text holds content as a word or phrase of its own.
func wrote(text, content string) bool {
	if len(content) < 2 {
		return false
	}
	for from := 0; ; {
		i := strings.Index(text[from:], content)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(content)
		if (start == 0 || !partOfWord(text[start-1])) && (end == len(text) || !partOfWord(text[end])) {
			return true
		}
		from = start + 1
	}
}

func partOfWord(c byte) bool { return identChar[c] || c >= 0x80 || c == '@' || c == '-' || c == '.' }

func isName(s string) bool {
	for i := range len(s) {
		if !identChar[s[i]] {
			return false
		}
	}
	return s != ""
}

// keep copies n bytes.
func (m *message) keep(n int) {
	n = min(n, len(m.text)-m.at)
	m.out.WriteString(m.text[m.at : m.at+n])
	m.at += n
}

// value replaces n bytes, unless the caller wrote them.
func (m *message) value(n int) {
	content := m.text[m.at : m.at+n]
	for _, k := range m.known {
		if wrote(k, content) {
			m.keep(n)
			return
		}
	}
	if n > 0 {
		m.out.WriteString(redacted)
	}
	m.at += n
}

// closing returns the end of what stands in brackets: the last closing bracket
// on the line, since a value may hold some. A message says "already exists" or
// "is not present" after it, never another value in brackets, but for
// "conflicts with existing key (…)=(…)".
func closing(s string) int {
	line := s[:lineEnd(s)]
	if next := strings.Index(line, ") conflicts with existing key ("); next >= 0 {
		return next
	}
	if i := strings.LastIndexByte(line, ')'); i >= 0 {
		return i
	}
	return len(line)
}

func lineEnd(s string) int {
	if i := bytes.IndexByte([]byte(s), '\n'); i >= 0 {
		return i
	}
	return len(s)
}
