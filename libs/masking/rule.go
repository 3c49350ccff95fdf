package masking

import (
	"fmt"
	"path"
	"strings"
)

// Rule is one entry under `masks:`. It names a column or detectors, not both.
type Rule struct {
	Name        string   `yaml:"name"`
	Description string   `yaml:"description,omitempty"`
	Targets     []string `yaml:"targets,omitempty"` // names or globs; empty is all
	Column      string   `yaml:"column,omitempty"`  // [schema.]table.column
	Detectors   []string `yaml:"detectors,omitempty"`
	Strategy    Strategy `yaml:"strategy"`
	Compare     *Compare `yaml:"compare,omitempty"` // of a column
	// Translate says that a token of the column, bound as a parameter that is
	// compared with it, stands for its value.
	Translate bool `yaml:"translate,omitempty"`
}

// Column names a column of a target. An empty Schema stands for any schema.
type Column struct{ Schema, Table, Name string }

// String returns [schema.]table.column as a rule writes it: parts that SQL would
// fold or not read are quoted.
func (c Column) String() string {
	s := quoteIdentifier(c.Table) + "." + quoteIdentifier(c.Name)
	if c.Schema != "" {
		s = quoteIdentifier(c.Schema) + "." + s
	}
	return s
}

func quoteIdentifier(name string) string {
	if unquoted, after, err := identifier(name); err == nil && after == "" && unquoted == name && name[0] != '"' {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// Covers reports whether c, as a rule names it, is the catalog's column o.
// Letter case is ignored: the safe side of a quoted identifier.
func (c Column) Covers(o Column) bool {
	return strings.EqualFold(c.Name, o.Name) && c.coversTable(o.Schema, o.Table)
}

// coversTable compares relations; what is empty on either side is not known
// and may be the same.
func (c Column) coversTable(schema, table string) bool {
	return (c.Table == "" || table == "" || strings.EqualFold(c.Table, table)) &&
		(c.Schema == "" || schema == "" || strings.EqualFold(c.Schema, schema))
}

// applies reports whether the rule is for the target.
func (r *Rule) applies(target string) bool {
	if len(r.Targets) == 0 {
		return true
	}
	for _, pattern := range r.Targets {
		if ok, err := path.Match(pattern, target); err == nil && ok {
			return true
		}
	}
	return false
}

// parseColumn reads [schema.]table.column by SQL's rules for identifiers:
// unquoted parts fold to lower case, "Quoted" ones stay.
func parseColumn(text string) (Column, error) {
	var parts []string
	rest := text
	for {
		part, after, err := identifier(rest)
		if err != nil {
			return Column{}, err
		}
		parts = append(parts, part)
		if after == "" {
			break
		}
		rest = after[1:]
	}
	switch len(parts) {
	case 2:
		return Column{Table: parts[0], Name: parts[1]}, nil
	case 3:
		return Column{Schema: parts[0], Table: parts[1], Name: parts[2]}, nil
	default:
		return Column{}, fmt.Errorf("%q has %d parts", text, len(parts))
	}
}

// identifier cuts one identifier off; after is empty or begins with a dot.
func identifier(s string) (name, after string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, '.')
		if end < 0 {
			end = len(s)
		}
		name = strings.ToLower(s[:end])
		if name == "" || strings.ContainsAny(name, "\"'*?[] \t\r\n") {
			return "", "", fmt.Errorf("%q is no identifier", s[:end])
		}
		return name, s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '"':
			b.WriteByte('"')
			i++
		case b.Len() == 0 || i+1 < len(s) && s[i+1] != '.':
			return "", "", fmt.Errorf("%q is no identifier", s)
		default:
			return b.String(), s[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("%q lacks its closing quote", s)
}
