package masking

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
)

// WrittenBack refuses a command that may change the target and carries what a
// mask has made: written, it would overwrite the value that it hides. A token or
// a hash is told by its form wherever it stands; a constant or a hint (D•••), which
// anybody may have typed, in an assignment to a masked column or a comparison
// with it. Parameters that translate are not looked at.
func (e *Engine) WrittenBack(target, text string, parameters []command.Parameter, f *command.Facts, translated map[int][]byte) *refusal.Refusal {
	v := e.view(target)
	if f.Class == command.Read || f.Class == command.Session {
		return nil
	}
	known := map[int]*command.Literal{}
	for i := range f.Literals {
		known[f.Literals[i].Start] = &f.Literals[i]
	}
	for _, t := range lex(text) {
		if t.kind != tokenString && t.kind != tokenDollar {
			continue
		}
		column := ""
		if l := known[t.start]; l != nil {
			column = l.Column
		}
		if what := v.made([]byte(t.value(text)), column); what != "" {
			return writtenBack(what, column)
		}
	}
	for i, p := range parameters {
		if _, ok := translated[i]; ok {
			continue
		}
		if what := v.made(p.Value, f.ParameterColumn(i)); what != "" {
			return writtenBack(what, f.ParameterColumn(i))
		}
	}
	return nil
}

// made says what of a mask's making a value holds.
func (v *view) made(value []byte, column string) string {
	value, _ = unhex(value) // a bytea's
	switch {
	case holdsToken(value):
		return "a token"
	case holdsHash(value):
		return "a hash"
	case !v.masksName(column):
		return ""
	case bytes.Contains(value, []byte(dots)), bytes.Contains(value, []byte("••••")):
		return "a hint of a masked value"
	case string(value) == redacted, string(value) == `"`+redacted+`"`, holdsRedaction(value):
		return "what stands for a masked value"
	}
	return ""
}

// holdsToken reports a token anywhere in a value: its prefix, and a check that
// holds for the run of characters behind it.
func holdsToken(value []byte) bool {
	for {
		at := bytes.Index(value, []byte(TokenPrefix))
		if at < 0 {
			return false
		}
		value = value[at:]
		end := len(TokenPrefix)
		for end < len(value) && (isLower(value[end]) || value[end] >= '2' && value[end] <= '7') {
			end++
		}
		if IsToken(string(value[:end])) {
			return true
		}
		value = value[len(TokenPrefix):]
	}
}

func holdsHash(value []byte) bool {
	for {
		at := bytes.Index(value, []byte(HashPrefix))
		if at < 0 {
			return false
		}
		value = value[at+len(HashPrefix):]
		end := 0
		for end < len(value) && (isDigit(value[end]) || value[end] >= 'a' && value[end] <= 'f') {
			end++
		}
		if end == 2*hashBytes {
			return true
		}
	}
}

func holdsRedaction(value []byte) bool {
	for {
		at := bytes.Index(value, []byte("[redacted:"))
		if at < 0 {
			return false
		}
		value = value[at+len("[redacted:"):]
		end := bytes.IndexByte(value, ']')
		if end >= 0 && slices.Contains(strings.Fields(detectorWords), string(value[:end])) {
			return true
		}
	}
}

func writtenBack(what, column string) *refusal.Refusal {
	where := "its text or parameters"
	if column != "" {
		where = "the value for " + column
	}
	return &refusal.Refusal{
		Code:    refusal.MaskWrittenBack,
		Message: fmt.Sprintf("this command may write, and %s holds %s, which a mask has made: it would overwrite the value that the mask hides", where, what),
		Detail:  "What comes back masked is not the value. A command that only reads may use it.",
		Hint:    "Leave the column out of the write. To find rows by a token, bind it: WHERE column = $1, on a mask with translate: true.",
	}
}

// translating are the verbs of commands whose results cannot quote a parameter
// that stands in an equality: EXPLAIN can.
var translating = []string{"select", "insert", "update", "delete", "merge"}

// Translate returns the values behind tokens that a command has bound where it
// compares a masked column, by the parameter's index, for those whose mask says
// translate. A parameter that stands anywhere else is left as it is.
func (e *Engine) Translate(target string, parameters []command.Parameter, f *command.Facts) map[int][]byte {
	if len(parameters) == 0 || !slices.Contains(translating, f.Verb) {
		return nil
	}
	var out map[int][]byte
	v := e.view(target)
	for _, c := range f.Compared {
		i := c.Parameter - 1
		if c.Use != command.Equality || !c.Alone || i < 0 || i >= len(parameters) || !IsToken(string(parameters[i].Value)) || !v.translates(c.Mask) {
			continue
		}
		if parameters[i].Format != 0 && !Textual(parameters[i].Type) {
			continue
		}
		value, err := e.Detokenise(string(parameters[i].Value))
		if err != nil {
			continue // another gateway's, or nobody's
		}
		if out == nil {
			out = map[int][]byte{}
		}
		out[i] = value
	}
	return out
}

// translates reports that all masks on a column show tokens, and say that these
// are translated.
func (v *view) translates(mask command.Column) bool {
	found := false
	for _, m := range v.columns {
		if m.strategy == Clear || !m.Covers(Column{Schema: mask.Schema, Table: mask.Table, Name: mask.Name}) {
			continue
		}
		if m.strategy != Token || !m.translate {
			return false
		}
		found = true
	}
	return found
}

// Textual reports a type that has the same bytes in both formats: unknown,
// name, text, varchar, bpchar, or what the server is left to find out.
func Textual(oid uint32) bool { return slices.Contains([]uint32{0, 19, 25, 705, 1042, 1043}, oid) }
