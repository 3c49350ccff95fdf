package postgres

import "encoding/binary"

// Canonical returns a statement's tokens, so that two ways to lay out and
// comment one statement are equal and nothing else is: how much white space
// stands between two tokens is dropped, with the comments in it and what
// surrounds the statement, but not whether any does (n'x' is another literal
// than n 'x'). Each token keeps its exact bytes. Empty where there is none.
func Canonical(sql string) []byte { return canonical(sql, false) }

// Blanked is Canonical with a mark in place of each constant and parameter, and
// without a word on whether tokens touch: equal for statements that differ in
// these only. It is for comparing with a known list.
func Blanked(sql string) []byte { return canonical(sql, true) }

func canonical(sql string, blank bool) []byte {
	toks := lex(sql)
	end := len(toks)
	for end > 0 && (toks[end-1].kind == tokComment || toks[end-1].text(sql) == ";") {
		end--
	}
	var out []byte
	touches := int32(-1) // where the token before ended
	for _, t := range toks[:end] {
		if t.kind == tokComment {
			continue
		}
		joint := byte(0)
		if t.start == touches && !blank {
			joint = 1
		}
		touches = t.end
		text := t.text(sql)
		constant := t.kind == tokText || t.kind == tokNumber || t.kind == tokParam
		if blank && constant {
			out = append(out, joint, 2)
			continue
		}
		out = append(out, joint, 3)
		out = binary.BigEndian.AppendUint32(out, uint32(len(text))) //nolint:gosec // at most MaxText
		out = append(out, text...)
	}
	return out
}

// Begins returns the byte at which a text's first token is, its length where
// there is none.
func Begins(sql string) int {
	for _, t := range lex(sql) {
		if t.kind != tokComment {
			return int(t.start)
		}
	}
	return len(sql)
}
