package masking

import (
	"encoding/hex"
	"encoding/json"
)

// jsonbVersion is the first byte of a jsonb value in binary format (PostgreSQL,
// jsonb_recv).
const jsonbVersion = 1

// decode returns what a cell says, without its wire format. ok is false where
// the format is not understood.
func decode(kind Kind, binary bool, cell []byte) (plain []byte, ok bool) {
	switch {
	case kind == KindJSONB && binary:
		if len(cell) < 1 || cell[0] != jsonbVersion {
			return nil, false
		}
		return cell[1:], true
	case kind == KindBytes && !binary:
		return unescape(cell)
	default:
		return cell, true
	}
}

// encode is the reverse of decode for a masked text. A document becomes a JSON
// string.
func encode(kind Kind, binary bool, text []byte) []byte {
	switch kind {
	case KindJSON:
		return quoteJSON(text)
	case KindJSONB:
		if binary {
			return append([]byte{jsonbVersion}, quoteJSON(text)...)
		}
		return quoteJSON(text)
	case KindBytes:
		if !binary {
			return hex.AppendEncode([]byte(`\x`), text)
		}
		return text
	case KindOther, KindText, KindWordless:
	}
	return text
}

func quoteJSON(text []byte) []byte {
	quoted, err := json.Marshal(string(text))
	if err != nil {
		return []byte(`"` + redacted + `"`) // cannot happen for a string
	}
	return quoted
}

// unescape reads bytea's text formats, hex and escape (PostgreSQL manual, 8.4).
func unescape(cell []byte) ([]byte, bool) {
	if len(cell) >= 2 && cell[0] == '\\' && cell[1] == 'x' {
		plain, err := hex.AppendDecode(nil, cell[2:])
		return plain, err == nil
	}
	plain := make([]byte, 0, len(cell))
	for i := 0; i < len(cell); i++ {
		switch {
		case cell[i] != '\\':
			plain = append(plain, cell[i])
		case i+1 < len(cell) && cell[i+1] == '\\':
			plain = append(plain, '\\')
			i++
		case i+3 < len(cell) && octal(cell[i+1]) && octal(cell[i+2]) && octal(cell[i+3]):
			plain = append(plain, (cell[i+1]-'0')<<6|(cell[i+2]-'0')<<3|(cell[i+3]-'0'))
			i += 3
		default:
			return nil, false
		}
	}
	return plain, true
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
