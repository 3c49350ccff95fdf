package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// searchPath reads the schemas that are searched: as the target lists them, or,
// where its list would make the temporary schema that the setting begins with,
// those of the setting that are there.
func (s *session) searchPath(list []byte, setting, user string) ([]string, error) {
	if list == nil {
		query, err := searchPathQuery(setting, user)
		if err != nil {
			return nil, err
		}
		row, err := s.inquire(query)
		if err != nil {
			return nil, err
		}
		if len(row) != 1 {
			return nil, fmt.Errorf("postgres: search path: %d columns, not 1", len(row))
		}
		list = row[0]
	}
	var path []string
	if err := json.Unmarshal(list, &path); err != nil {
		return nil, fmt.Errorf("postgres: search path: %w", err)
	}
	return path, nil
}

// searchPathQuery asks for the schemas of a setting that begins with pg_temp.
func searchPathQuery(setting, user string) (string, error) {
	// How the target folds and trims what is no ASCII depends on its encoding and
	// its version. So it may make the schema.
	if strings.ContainsFunc(setting, func(r rune) bool { return r > unicode.MaxASCII || r == '\v' }) {
		return `SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text`, nil
	}
	wanted := schemaNames(setting)
	for i, name := range wanted {
		if name == "$user" {
			wanted[i] = user
		}
	}
	if !slices.Contains(wanted, "pg_catalog") { // searched first then
		wanted = slices.Insert(wanted, 0, "pg_catalog")
	}
	asked, err := json.Marshal(wanted)
	if err != nil {
		return "", fmt.Errorf("postgres: search path: %w", err)
	}
	return fmt.Sprintf(schemasQuery, asked), nil
}

// schemaNames splits a search_path as the target does (SplitIdentifierString):
// names with commas between, in lower case unless they are quoted. All is ASCII.
func schemaNames(setting string) []string {
	const space = " \t\n\r\f"
	var names []string
	for rest := strings.Trim(setting, space); rest != ""; {
		name := ""
		if rest[0] == '"' {
			rest = rest[1:]
			for {
				piece, after, closed := strings.Cut(rest, `"`)
				name, rest = name+piece, after
				if !closed || !strings.HasPrefix(rest, `"`) {
					break
				}
				name, rest = name+`"`, rest[1:]
			}
			_, rest, _ = strings.Cut(rest, ",")
		} else {
			name, rest, _ = strings.Cut(rest, ",")
			name = strings.ToLower(strings.TrimRight(name, space))
		}
		names = append(names, name)
		rest = strings.TrimLeft(rest, space)
	}
	return names
}
