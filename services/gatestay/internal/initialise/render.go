package initialise

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"github.com/gatestay/gatestay/libs/masking"
)

//go:embed files/*.tmpl
var templates embed.FS

// unnamed stands for a repository that was not given.
const unnamed = "your-org/your-repo"

// file is one file to write.
type file struct {
	Path    string // relative, with slashes
	Content string
}

// page is what the templates see.
type page struct {
	Target, Environment string
	Server              target
	RepositoryName      string
	RepositoryID        string
	OwnerID             string
	Approvers           []string
	Channel             string
	Example             string // a table that exists, as SQL
	Masks               []mask
	Notes               []string
	Tables, Columns     int
	Sample              int
}

func render(o options, t target, p proposal, tables []*table) ([]file, error) {
	data := page{
		Target: o.target, Environment: o.environment, Server: t, RepositoryName: o.repository, RepositoryID: o.repositoryID, OwnerID: o.ownerID,
		Approvers: o.approvers, Channel: o.channel, Example: exampleTable(tables), Masks: p.masks, Notes: p.notes, Tables: len(tables), Sample: o.sample,
	}
	if data.RepositoryName == "" {
		data.RepositoryName = unnamed
	}
	for _, t := range tables {
		data.Columns += len(t.columns)
	}
	var files []file
	for _, f := range []struct{ path, name string }{
		{"gatestay.yaml", "gatestay.yaml.tmpl"},
		{"policies/" + o.target + ".yaml", "policy.yaml.tmpl"},
		{"policies/" + o.target + "_test.yaml", "policy_test.yaml.tmpl"},
		{"policies/people.yaml", "people.yaml.tmpl"},
		{"masking/" + o.target + ".yaml", "masking.yaml.tmpl"},
	} {
		tmpl, err := template.New(f.name).Funcs(functions).ParseFS(templates, "files/"+f.name)
		if err != nil {
			return nil, fmt.Errorf("init: %w", err)
		}
		var b bytes.Buffer
		if err := tmpl.Execute(&b, data); err != nil {
			return nil, fmt.Errorf("init: %w", err)
		}
		files = append(files, file{Path: f.path, Content: b.String()})
	}
	return files, nil
}

var functions = template.FuncMap{
	"q": quote, "comment": comment, "shows": shows, "join": strings.Join, "inc": func(i int) int { return i + 1 },
}

// plain are texts that YAML reads as themselves.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)?$`)

// single are texts with double quotes that single ones keep readable.
var single = regexp.MustCompile(`^[A-Za-z0-9_."/ -]*"[A-Za-z0-9_."/ -]*$`)

var reserved = regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n)$`)

// quote writes a text as a YAML scalar. JSON's escapes are YAML's, too; what a
// terminal would act on is escaped.
func quote(s string) (string, error) {
	if plain.MatchString(s) && !reserved.MatchString(s) {
		return s, nil
	}
	if single.MatchString(s) {
		return "'" + s + "'", nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("quote: %w", err)
	}
	var b strings.Builder
	for _, r := range string(raw) {
		if r > 0xFFFF || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String(), nil
}

// comment makes a text from the catalog fit for one line of a comment.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// shows says what a reader sees under a strategy.
func shows(s masking.Strategy) string {
	switch s {
	case masking.Partial:
		return "d•••@•••.example, •••• 4242, D•••"
	case masking.Redact:
		return "[redacted]"
	case masking.Null:
		return "NULL: what a value that is no text becomes under any strategy"
	case masking.Hash:
		return "gsh_…"
	case masking.Token:
		return "gst_…"
	case masking.Clear:
	}
	return "the value"
}

// exampleTable returns a table for the test cases: one of the target's, where it
// has one whose name SQL reads without quotes.
func exampleTable(tables []*table) string {
	for _, t := range tables {
		if simple.MatchString(t.schema) && simple.MatchString(t.name) && !slices.Contains(keywords, t.name) {
			return t.schema + "." + t.name
		}
	}
	return "public.example"
}

var simple = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// keywords are table names that people choose and SQL reserves.
var keywords = []string{"user", "order", "group", "table", "column", "check", "references", "grant", "default", "end", "case", "limit", "window", "role", "to", "from", "for", "all", "any", "do"}
