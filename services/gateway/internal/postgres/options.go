package postgres

import (
	"strings"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// readOptions reads the start-up parameter "options" (PGOPTIONS), which is a
// server's command line: of that only the settings, -c name=value and
// --name=value, split and named as a server does.
func readOptions(line string) ([]wire.Setting, error) {
	var list []wire.Setting
	words := splitOptions(line)
	for i := 0; i < len(words); i++ {
		word := words[i]
		var assignment string
		switch {
		case word == "-c" && i+1 < len(words):
			i++
			assignment = words[i]
		case strings.HasPrefix(word, "--"):
			assignment = word[2:]
		case strings.HasPrefix(word, "-c"):
			assignment = word[2:]
		default:
			return nil, unsupported("options", "Of PGOPTIONS only settings are taken: -c name=value, or --name=value.")
		}
		name, value, ok := strings.Cut(assignment, "=")
		if !ok || name == "" {
			return nil, &refusal.Refusal{
				Code: refusal.ProtocolViolation, Message: "a setting in the start-up options has no value", Hint: "Write PGOPTIONS='-c name=value'; a space in a value is written \\ (backslash, space).",
			}
		}
		list = append(list, wire.Setting{Name: strings.ReplaceAll(name, "-", "_"), Value: value})
	}
	return list, nil
}

// splitOptions splits at spaces; a backslash takes the character after it as it
// is.
func splitOptions(line string) []string {
	var words []string
	var word strings.Builder
	inside := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case strings.IndexByte(" \t\n\v\f\r", c) >= 0:
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
			continue
		case c == '\\':
			inside = true
			if i++; i < len(line) {
				word.WriteByte(line[i])
			}
		default:
			inside = true
			word.WriteByte(c)
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words
}
