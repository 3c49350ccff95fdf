package masking

import (
	"slices"
	"strings"
)

// detectorWords are the detectors' names. They stand here once more since the
// catalogue cannot be read from within one of its own detectors; a test
// compares them.
const detectorWords = "email card iban us-ssn aws-key github-token gitlab-token slack-token jwt private-key google-key stripe-key api-key connection-string password"

// placeholder reports that a value, whole, stands for a value and is none: a
// parameter, a template's hole, a column, or this package's own output. What
// merely begins like one is a value.
func placeholder(value []byte) bool {
	v := string(value)
	switch fold(v) {
	case "null", "none", "true", "false", "default", "nil", "undefined", "?", "%s", "%v", "%q":
		return true
	}
	switch {
	case strings.Trim(v, "*") == "", strings.Trim(v, "•") == "", strings.Trim(v, ".") == "":
		return true
	case v[0] == '$': // $1, $NAME, ${NAME}, $(command)
		rest := v[1:]
		return isName(rest) && (isDigits(rest) || strings.ToUpper(rest) == rest) || rest == "" || enclosed(rest, "{", "}") || rest[0] == '('
	case enclosed(v, "{", "}"), enclosed(v, "<", ">"):
		return true
	case ownOutput(v):
		return true
	}
	relation, column, ok := strings.Cut(fold(v), ".")
	return ok && (relation == "excluded" || relation == "new" || relation == "old") && isName(column) && hasPasswordWord(column)
}

// ownOutput reports this package's own output. An unquoted value ends at a blank
// and at a bracket, so that its first part alone counts too.
func ownOutput(v string) bool {
	if rest, ok := strings.CutPrefix(v, "[redacted"); ok {
		rest = strings.TrimSuffix(rest, "]")
		if rest == "" {
			return true
		}
		return rest[0] == ':' && slices.Contains(strings.Fields(detectorWords), rest[1:])
	}
	if rest, ok := strings.CutPrefix(v, "‹"); ok {
		kind, rest, more := strings.Cut(rest, " ")
		switch kind {
		case "text", "number", "boolean", "bytes", "binary", "comment":
		default:
			return false
		}
		length, tag, _ := strings.Cut(strings.TrimSuffix(rest, "›"), " #")
		return !more || isDigits(length) && (tag == "" || len(tag) == 2*tagBytes && isName(tag))
	}
	if rest, ok := strings.CutPrefix(v, HashPrefix); ok {
		return len(rest) == 2*hashBytes && isName(rest)
	}
	return IsToken(v)
}

// enclosed reports a name in brackets: {{ name }}, <password>.
func enclosed(v, open, close string) bool {
	if len(v) < 3 || !strings.HasPrefix(v, open) || !strings.HasSuffix(v, close) {
		return false
	}
	for _, c := range []byte(strings.Trim(v, open+close)) {
		if !isLower(c) && !isUpper(c) && strings.IndexByte("_-. ", c) < 0 {
			return false
		}
	}
	return true
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func hasPasswordWord(s string) bool {
	for _, word := range passwordWords {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}
