// Package offline reads the facts of SQL text where no server can be asked:
// for a policy's test cases and for gatestay policy explain.
//
// Names without a schema are taken to lie in public, or in pg_catalog where a
// system catalog is meant, as they do under the default search_path. What only
// the target's catalog can tell stays unknown: which columns "*" stands for, which have keys. A
// gateway, which knows the catalog, may know more: that a name is a view whose
// query runs a function, for one.
package offline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/policy"
)

var _ policy.FactsFunc = Facts

// Facts returns the facts of every statement of a text.
func Facts(t policy.Target, sql string) ([]command.Facts, error) {
	if t.Protocol != "" && t.Protocol != "postgres" {
		return nil, fmt.Errorf("offline: facts of %s are not read yet", t.Protocol)
	}
	statements, err := postgres.Parse(sql)
	if err != nil {
		return nil, err
	}
	out := make([]command.Facts, 0, len(statements))
	for _, s := range statements {
		out = append(out, qualify(s.Facts))
	}
	return out, nil
}

// qualify puts names without a schema where they usually lie.
func qualify(f command.Facts) command.Facts {
	f.Objects = slices.Clone(f.Objects)
	for i := range f.Objects {
		if o := &f.Objects[i]; o.Schema == "" && o.Kind == "" {
			o.Schema = schema(o.Name)
		}
	}
	f.Columns, f.Filters = columns(f.Columns), columns(f.Filters)
	// Which columns have keys, and which are arrays, only the catalog knows.
	f.Comparisons = slices.DeleteFunc(slices.Clone(f.Comparisons), func(c command.Comparison) bool {
		return c.Use == command.Key || c.Given != "" || c.Into != (command.Column{})
	})
	for i := range f.Comparisons {
		x := &f.Comparisons[i]
		if x.Column.Schema == "" && x.Column.Table != "" {
			x.Column.Schema = schema(x.Column.Table)
		}
		if x.With.Schema == "" && x.With.Table != "" {
			x.With.Schema = schema(x.With.Table)
		}
		if x.Column.Name == "*" && !f.IsUnknown("comparisons") {
			f.Unknown = append(slices.Clone(f.Unknown), "comparisons")
		}
	}
	star := func(c command.Column) bool { return c.Name == "*" }
	if slices.ContainsFunc(f.Columns, star) && !f.IsUnknown("columns") {
		f.Unknown = append(slices.Clone(f.Unknown), "columns")
	}
	return f
}

func columns(in []command.Column) []command.Column {
	out := slices.Clone(in)
	for i := range out {
		if out[i].Schema == "" && out[i].Table != "" {
			out[i].Schema = schema(out[i].Table)
		}
	}
	return out
}

func schema(name string) string {
	if strings.HasPrefix(name, "pg_") {
		return "pg_catalog"
	}
	return "public"
}
