package masking

import (
	"bytes"
	"encoding/json"
)

// document masks a JSON text (RFC 8259). Each string is looked at unescaped,
// each number as written, and a string under a secret's name (password, token)
// as if it were assigned to it. The result is JSON whenever the input is; what
// is no JSON is masked as text.
func (r *replacer) document(doc []byte) ([]byte, bool) {
	var room [8]span
	if len(r.set.find(doc, room[:0])) == 0 && bytes.IndexByte(doc, '\\') < 0 && bytes.IndexByte(doc, '=') < 0 {
		return doc, false // no escape hides anything, and no line of settings
	}
	if !json.Valid(doc) {
		return r.text(doc)
	}
	w := documentWriter{replacer: r, doc: doc}
	for w.at < len(doc) && !w.null {
		w.token()
	}
	if w.null {
		return nil, true
	}
	if w.out == nil {
		return doc, false
	}
	return append(w.out, doc[w.copied:]...), true
}

// documentWriter walks over valid JSON and copies it.
type documentWriter struct {
	*replacer
	doc    []byte
	at     int
	out    []byte // nil until something changed
	copied int    // doc[:copied] is in out
	key    []byte // the last member name, unescaped
	null   bool
}

func (w *documentWriter) token() {
	switch c := w.doc[w.at]; {
	case c == '"':
		w.text()
	case c == '-' || isDigit(c):
		w.number()
	case c == ',' || c == '{':
		w.key = nil
		w.at++
	default:
		w.at++
	}
}

func (w *documentWriter) text() {
	start := w.at
	w.at++
	for w.doc[w.at] != '"' {
		if w.doc[w.at] == '\\' {
			w.at++
		}
		w.at++
	}
	w.at++
	var plain string
	if err := json.Unmarshal(w.doc[start:w.at], &plain); err != nil {
		w.put(start, []byte(redacted))
		return
	}
	isKey := w.followedByColon()
	masked, changed := w.replacer.text([]byte(plain))
	if !changed && !isKey && w.key != nil {
		masked, changed = w.assigned(plain)
	}
	if isKey {
		w.key = []byte(plain)
	}
	if changed {
		w.put(start, masked)
	}
}

// assigned looks at a string together with the name it stands under.
func (w *documentWriter) assigned(plain string) ([]byte, bool) {
	joint := append(append([]byte{}, w.key...), `="`...)
	at := len(joint)
	joint = append(append(joint, plain...), '"')
	var room [8]span
	for _, s := range w.set.find(joint, room[:0]) {
		if s.start >= at {
			return w.replace([]byte(plain), []span{{0, len(plain), s.detector}}), true
		}
	}
	return nil, false
}

func (w *documentWriter) number() {
	start := w.at
	for w.at < len(w.doc) && (isAlnum(w.doc[w.at]) || w.doc[w.at] == '-' || w.doc[w.at] == '+' || w.doc[w.at] == '.') {
		w.at++
	}
	if masked, changed := w.replacer.text(w.doc[start:w.at]); changed {
		w.put(start, masked)
	}
}

// put replaces doc[start:at] by a JSON string.
func (w *documentWriter) put(start int, text []byte) {
	if text == nil {
		w.null = true
		return
	}
	w.out = append(append(w.out, w.doc[w.copied:start]...), quoteJSON(text)...)
	w.copied = w.at
}

func (w *documentWriter) followedByColon() bool {
	for i := w.at; i < len(w.doc); i++ {
		switch w.doc[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return w.doc[i] == ':'
		}
	}
	return false
}
