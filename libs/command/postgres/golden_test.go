package postgres

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestParse_golden compares what is read of each statement in testdata/facts
// with what lies beside it. A new case is a new paragraph; run with -update
// and look at what changed.
func TestParse_golden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "facts", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, sql := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
				fmt.Fprintf(&b, "%s\n", sql)
				st, err := Parse(sql)
				if err != nil {
					fmt.Fprintf(&b, "\terror: %v\n", err)
				}
				for _, s := range st {
					b.WriteString(render(s))
				}
				b.WriteString("\n")
			}
			golden := strings.TrimSuffix(file, ".sql") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("%s differs:\n%s", golden, diff(string(want), b.String()))
			}
		})
	}
}

// diff shows the first paragraph that differs.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n\n"), strings.Split(got, "\n\n")
	for i := range max(len(w), len(g)) {
		switch {
		case i >= len(w):
			return "new:\n" + g[i]
		case i >= len(g):
			return "gone:\n" + w[i]
		case w[i] != g[i]:
			return "want:\n" + w[i] + "\ngot:\n" + g[i]
		}
	}
	return ""
}

// render writes facts for people, only what is not empty.
func render(s Statement) string {
	f := s.Facts
	var b strings.Builder
	line := func(name string, values ...string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "\t%s: %s\n", name, strings.Join(values, ", "))
		}
	}
	flags := []string{}
	for name, on := range map[string]bool{
		"unfiltered": !f.Filtered, "whole row": f.WholeRow, "catalog": f.Catalog, "neutral": f.Neutral,
	} {
		if on {
			flags = append(flags, name)
		}
	}
	slices.Sort(flags)
	line("class", append([]string{string(f.Class) + " (" + f.Verb + ")"}, flags...)...)
	if f.Transaction != "" {
		line("transaction", f.Transaction)
	}
	var objects, literals []string
	for _, o := range f.Objects {
		text := string(o.Access) + " " + o.String()
		if o.Kind != "" {
			text += " (" + o.Kind + ")"
		}
		if o.New {
			text += " new"
		}
		objects = append(objects, text)
	}
	for _, l := range f.Literals {
		text := s.Text[l.Start:l.End]
		switch {
		case l.Column != "":
			text += " is " + l.Column
		case l.Position > 0:
			text += fmt.Sprintf(" is column %d of %s", l.Position, f.Positional.Table)
		}
		if l.Secret {
			text += " secret"
		}
		literals = append(literals, text)
	}
	line("objects", objects...)
	line("columns", columnNames(f.Columns)...)
	line("filters", columnNames(f.Filters)...)
	line("assigned", columnNames(f.Assigned)...)
	line("functions", f.Functions...)
	line("operators", f.Operators...)
	line("types", f.Types...)
	line("attributes", f.Attributes...)
	line("literals", literals...)
	for i, p := range f.ParameterColumns {
		if p != "" {
			line(fmt.Sprintf("$%d", i+1), p)
		}
	}
	line("settings", f.Settings...)
	line("unknown", f.Unknown...)
	if f.Why != "" {
		line("why", f.Why)
	}
	return b.String()
}

func columnNames(list []command.Column) []string {
	var out []string
	for _, c := range list {
		name := c.Name
		if c.Table != "" {
			name = c.Table + "." + name
		}
		if c.Schema != "" {
			name = c.Schema + "." + name
		}
		out = append(out, name)
	}
	return out
}
