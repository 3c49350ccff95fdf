package masking

import (
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// ScrubParameter returns a bound parameter as a record shows it: NULL, 42,
// 'Berlin', ‹text 17 #a1b2c3›. It is replaced where column (the one that it is
// compared with or assigned to) is masked, and where column is not known and
// the target has masked columns. All detectors look at what is shown.
// ScrubParameters knows more, and shows more.
func (e *Engine) ScrubParameter(target string, p command.Parameter, column string) string {
	v := e.view(target)
	return e.parameter(p, column == "" && len(v.names) > 0 || v.masksName(column))
}

// ScrubParameters scrubs all parameters of one statement by the rule of
// ScrubStatement: one of which the column is not certain is replaced only where
// the statement mentions a masked column or writes a relation that has one.
func (e *Engine) ScrubParameters(target, text string, parameters []command.Parameter, f *command.Facts) []string {
	v := e.view(target)
	mentions, renames := len(v.names) > 0, true
	if f != nil && f.Verb != "" {
		mentions = v.mentions(f)
		renames = mentions && (f.WholeRow || nested(text, lex(text)))
	}
	out := make([]string, len(parameters))
	for i, p := range parameters {
		masked := mentions
		if f != nil {
			if column := f.ParameterColumn(i); column != "" {
				masked = v.masksName(column) || mentions && renames
			}
		}
		out[i] = e.parameter(p, masked)
	}
	return out
}

func (e *Engine) parameter(p command.Parameter, masked bool) string {
	if p.Value == nil {
		return "NULL"
	}
	text, kind, ok := display(p)
	switch {
	case !ok:
		return fmt.Sprintf("‹binary %d%s›", len(p.Value), e.keys.tag(p.Value))
	case masked:
		return e.scrubbed(kind, text)
	}
	if p.Type == oidBytes {
		if plain, ok := unescape([]byte(text)); !ok || len(setAll.find(plain, nil)) > 0 {
			return e.scrubbed(kind, text)
		}
	}
	shown, _ := deepText([]byte(text))
	if kind == "text" || kind == "bytes" {
		return "'" + strings.ReplaceAll(string(shown), "'", "''") + "'"
	}
	return string(shown)
}

// display returns a parameter's value as text. ok is false for binary values of
// a type that is not known.
func display(p command.Parameter) (text, kind string, ok bool) {
	kind = kindOf(p.Type)
	if p.Format != 0 {
		text, ok = binaryText(p.Type, p.Value)
		return text, kind, ok
	}
	text = string(p.Value)
	if (kind == "number" || kind == "boolean") && strings.Trim(text, "0123456789+-.eE_ NaIinfty") != "" && !isBoolean(text) {
		kind = "text" // said to be a number, and is none
	}
	return text, kind, true
}

func isBoolean(text string) bool {
	switch fold(text) {
	case "t", "f", "true", "false", "on", "off", "yes", "no":
		return true
	default:
		return false
	}
}
