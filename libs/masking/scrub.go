package masking

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatestay/gatestay/libs/command"
)

// scrubbed shows a value by its type, its length in characters and a keyed tag:
// ‹text 17 #a1b2c3›. Equal values have equal tags under one key; nothing else
// can be told from one.
func (e *Engine) scrubbed(kind, value string) string {
	return fmt.Sprintf("‹%s %d%s›", kind, utf8.RuneCountInString(value), e.keys.tag([]byte(value)))
}

// edit replaces text[start:end].
type edit struct {
	start, end int
	with       string
}

func apply(text string, edits []edit) string {
	if len(edits) == 0 {
		return text
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	last := 0
	for _, x := range edits {
		if x.start < last { // inside one that is gone already
			continue
		}
		b.WriteString(text[last:x.start])
		b.WriteString(x.with)
		last = x.end
	}
	b.WriteString(text[last:])
	return b.String()
}

// ScrubStatement returns the text of one statement without its secrets, for
// records and approvers. A literal that is compared with or assigned to a
// masked column is replaced, and so is one of which the column is not certain
// where the statement mentions a masked column or writes a relation that has
// one. All detectors look at everything else. f are the statement's facts;
// offsets in it count from the start of text. Where f is nil or does not come
// from a parsed text, every string, comment and (where the target has masked
// columns) number is replaced.
func (e *Engine) ScrubStatement(target, text string, f *command.Facts) string {
	v := e.view(target)
	tokens := lex(text)
	literals, ok := literalsOf(text, tokens, f)
	if !ok {
		return e.lookAgain(e.scrubUnread(v, text))
	}
	mentions := v.mentions(f)
	code, renames := carriesCode(f.Verb), f.WholeRow || nested(text, tokens)
	var edits []edit
	for i, t := range tokens {
		switch t.kind {
		case tokenString, tokenDollar, tokenNumber:
		case tokenComment:
			if mentions {
				edits = append(edits, e.quotesIn(text, t)...)
			}
			continue
		case tokenQuoted, tokenWord, tokenParam, tokenOther:
			continue
		}
		literal := literals[i]
		masked := mentions
		if literal != nil && literal.Column != "" {
			masked = v.masksName(literal.Column) || mentions && renames && (t.kind != tokenNumber || t.end-t.start >= shortNumber)
		}
		switch {
		case t.kind == tokenNumber && (literal == nil || f.Class == command.DDL) && t.end-t.start < shortNumber: // varchar(20)
		case t.kind == tokenDollar && code:
			edits = append(edits, edit{t.inner, t.outer, e.scrubUnread(v, text[t.inner:t.outer])})
		case masked && !counts(text, tokens, i):
			edits = append(edits, e.replaced(text, t))
		case t.kind == tokenString && hides(text, t):
			edits = append(edits, e.replaced(text, t))
		}
	}
	return e.lookAgain(apply(text, edits))
}

// literalsOf returns, for each token, the facts' literal that it is a part of.
// ok is false where the literals are not known or do not fit the text: then
// nothing in the text is certain.
func literalsOf(text string, tokens []token, f *command.Facts) ([]*command.Literal, bool) {
	if f == nil || f.Verb == "" || f.IsUnknown("literals") || slices.ContainsFunc(tokens, func(t token) bool { return t.open }) {
		return nil, false
	}
	out := make([]*command.Literal, len(tokens))
	for n := range f.Literals {
		l := &f.Literals[n]
		if l.Start < 0 || l.End > len(text) || l.Start >= l.End {
			return nil, false
		}
		// A string may be continued on the next line, and a minus is part of the
		// literal but not of the token.
		i, _ := slices.BinarySearchFunc(tokens, l.Start, func(t token, at int) int { return t.start - at })
		matched := false
		for ; i < len(tokens) && tokens[i].start < l.End; i++ {
			out[i] = l
			matched = matched || tokens[i].kind == tokenString || tokens[i].kind == tokenDollar || !l.Text
		}
		if !matched {
			return nil, false
		}
	}
	return out, true
}

// mentions reports that the statement names a masked column, or writes a
// relation that has one, or may do so.
func (v *view) mentions(f *command.Facts) bool {
	if len(v.names) == 0 {
		return false
	}
	if f.IsUnknown("columns") || f.IsUnknown("objects") || f.Class == command.Unknown {
		return true
	}
	for _, m := range v.columns {
		if m.strategy == Clear {
			continue
		}
		for _, c := range f.Columns {
			if strings.EqualFold(m.Name, c.Name) && m.coversTable(c.Schema, "") {
				return true
			}
		}
		for _, o := range f.Objects {
			if (o.Access != command.Read || f.WholeRow) && m.coversTable(o.Schema, o.Name) {
				return true
			}
		}
	}
	return false
}

func (v *view) masksName(column string) bool {
	_, masked := v.names[fold(column)]
	return masked
}

// carriesCode reports a verb whose dollar-quoted string is code, which an
// approver must be able to read.
func carriesCode(verb string) bool {
	return verb == "do" || strings.HasSuffix(verb, " function") || strings.HasSuffix(verb, " procedure")
}

// shortNumber is the length below which a number stays where it is a type's
// length, or compared with a column that is most likely not a masked one.
const shortNumber = 5

// counts reports a number that only says how many rows, or is selected as it is.
func counts(text string, tokens []token, i int) bool {
	if tokens[i].kind != tokenNumber || i == 0 {
		return false
	}
	switch wordAt(text, tokens, i-1) {
	case "limit", "offset", "first", "next":
		return true
	case "select":
		return wordAt(text, tokens, i+1) == "from"
	default:
		return false
	}
}

// nested reports a statement with a query inside: in it, a column may be
// another one under a new name.
func nested(text string, tokens []token) bool {
	first, selects := "", 0
	for i := range tokens {
		switch word := wordAt(text, tokens, i); word {
		case "":
			continue
		case "with":
			return true
		case "select", "table":
			selects++
			fallthrough
		default:
			if first == "" {
				first = word
			}
		}
	}
	if first == "select" || first == "insert" {
		return selects > 1
	}
	return selects > 0
}

// wordAt returns a word in lower case, empty for other tokens.
func wordAt(text string, tokens []token, i int) string {
	if i >= len(tokens) || tokens[i].kind != tokenWord {
		return ""
	}
	return fold(text[tokens[i].start:tokens[i].end])
}

// hides reports a string whose escapes hide from the detectors what it says.
func hides(text string, t token) bool {
	if !t.escapes && !t.unicode {
		return false
	}
	value := t.value(text)
	return value != text[t.inner:t.outer] && len(setAll.find([]byte(value), nil)) > 0
}

func (e *Engine) replaced(text string, t token) edit {
	if t.kind == tokenNumber {
		return edit{t.start, t.end, e.scrubbed("number", text[t.start:t.end])}
	}
	return edit{t.start, t.end, "'" + e.scrubbed("text", t.value(text)) + "'"}
}

// quotesIn replaces the strings inside a comment.
func (e *Engine) quotesIn(text string, comment token) []edit {
	inner := text[comment.inner:comment.outer]
	var edits []edit
	for _, t := range lex(inner) {
		if t.kind != tokenString && t.kind != tokenDollar && t.kind != tokenNumber {
			continue
		}
		x := e.replaced(inner, t)
		edits = append(edits, edit{x.start + comment.inner, x.end + comment.inner, x.with})
	}
	return edits
}

// scrubUnread scrubs text of which nothing is certain. An apostrophe behind a
// backslash and a quote that is never closed leave open where strings begin:
// then all from the first quote on goes.
func (e *Engine) scrubUnread(v *view, text string) string {
	tokens := lex(text)
	doubtful := strings.Contains(text, `\`) || slices.ContainsFunc(tokens, func(t token) bool { return t.open })
	if first := strings.IndexAny(text, `'"$`); doubtful && first >= 0 {
		return e.scrubUnread(v, text[:first]) + "'" + e.scrubbed("text", text[first:]) + "'"
	}
	var edits []edit
	for _, t := range tokens {
		switch t.kind {
		case tokenString, tokenDollar:
			edits = append(edits, e.replaced(text, t))
		case tokenNumber:
			if len(v.names) > 0 {
				edits = append(edits, e.replaced(text, t))
			}
		case tokenComment:
			edits = append(edits, edit{t.start, t.end, "/* " + e.scrubbed("comment", text[t.inner:t.outer]) + " */"})
		case tokenQuoted, tokenWord, tokenParam, tokenOther:
		}
	}
	return apply(text, edits)
}

// lookAgain lets all detectors look at a scrubbed text as a whole.
func (e *Engine) lookAgain(text string) string {
	masked, _ := deepText([]byte(text))
	return string(masked)
}
