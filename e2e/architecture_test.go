package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// rule says what a part of the project may not import. Patterns are import
// paths, those of the project without its prefix; "a/..." covers a and all
// below it.
type rule struct {
	name   string
	of     []string // the packages it binds
	but    []string // exceptions among them
	forbid []string // imports
	allow  []string // exceptions among those
	deep   bool     // holds for what they import of the project, too
	tests  bool     // binds test files, too
	reason string
}

var ours = []string{"schemas/...", "libs/...", "services/...", "e2e/..."}

var rules = []rule{
	{
		name: "the contract has no logic", of: []string{"schemas/..."}, tests: true,
		forbid: ours, allow: []string{"schemas/..."},
		reason: "schemas say what travels and rests; every other module depends on them, so they depend on none",
	},
	{
		name: "libs know no service", of: []string{"libs/..."}, tests: true,
		forbid: ours, allow: []string{"libs/...", "schemas/..."},
		reason: "a lib is what several services need; one that imports a service ties them together",
	},
	{
		name: "policy, masking and facts are pure", of: []string{"libs/policy/...", "libs/masking/...", "libs/command/..."}, deep: true,
		but: []string{"libs/command/postgres/internal/builtins"}, // go generate's program, part of no binary
		forbid: []string{
			"net", "net/http/...", "os", "os/exec", "syscall", "io/ioutil", "database/sql/...",
			"github.com/nats-io/...", "github.com/jackc/...", "github.com/ClickHouse/...", "github.com/slack-go/...", "github.com/rs/zerolog/...",
			"libs/bus/...", "libs/config/...", "libs/service/...",
		},
		reason: "a decision must be the same at every gateway, in a test and in `policy explain`: it depends on its arguments only",
	},
	{
		name: "a protocol sees one narrow seam", of: []string{"services/gateway/internal/postgres/..."}, tests: true,
		forbid: ours,
		allow: []string{
			"services/gateway/internal/postgres/...", "services/gateway/internal/seam/...",
			"libs/command/...", "libs/refusal/...", "libs/pgcatalog/...",
			"libs/embedded/...", // a real server for its tests; the stand-in rule below keeps it out of the binary
		},
		reason: "a new protocol is a decoder, a classifier and an encoder of errors; it must not need a change anywhere else",
	},
	{
		name: "a protocol knows no infrastructure", of: []string{"services/gateway/internal/postgres/..."}, tests: true,
		forbid: []string{"github.com/nats-io/...", "github.com/slack-go/...", "github.com/ClickHouse/...", "cel.dev/...", "github.com/goccy/go-yaml/..."},
		reason: "what it knows of NATS, Slack, policy files or ClickHouse would have to be known again by the next protocol",
	},
	{
		name: "the seam is narrow", of: []string{"services/gateway/internal/seam"},
		forbid: append([]string{"net/...", "os/...", "github.com/..."}, ours...), allow: []string{"libs/command", "libs/refusal", "github.com/gatestay/..."},
		reason: "whatever the seam imports, every protocol does",
	},
	{
		name: "Slack is approval's", of: []string{"..."}, but: []string{"services/approval/...", "libs/localslack/...", "e2e/..."}, tests: true,
		forbid: []string{"github.com/slack-go/..."},
		reason: "the only service that talks to people through Slack; the others meet it on the bus",
	},
	{
		name: "ClickHouse is archival's", of: []string{"..."},
		but:    []string{"services/archival/...", "libs/embedded/...", "services/gatestay/internal/demo/...", "e2e/..."}, // the demo shows what an SRE sees
		forbid: []string{"github.com/ClickHouse/..."},
		reason: "the audit store has one writer; everyone else asks archival's API",
	},
	{
		name: "the bus is libs/bus's among the libs", of: []string{"libs/..."}, but: []string{"libs/bus/...", "libs/embedded/..."},
		forbid: []string{"github.com/nats-io/..."},
		reason: "names, settings and guarantees of the bus are stated once",
	},
	{
		name: "an embedded bus server is for the journal and for dev", of: []string{"..."},
		but:    []string{"libs/embedded/...", "services/gateway/internal/journal/...", "services/gatestay/internal/dev/...", "e2e/..."},
		forbid: []string{"github.com/nats-io/nats-server/..."},
		reason: "any other service that runs a bus of its own would have records that nobody else sees",
	},
	{
		name: "stand-ins stay out of production", of: []string{"..."},
		but:    []string{"libs/embedded/...", "libs/localissuer/...", "libs/localslack/...", "services/gatestay/...", "e2e/..."},
		forbid: []string{"libs/embedded/...", "libs/localissuer/...", "libs/localslack/..."},
		reason: "an issuer that mints any token, or a workspace where anybody clicks, must not be in a binary that guards something",
	},
	{
		name: "logs are injected", of: []string{"..."}, but: []string{"libs/command/postgres/internal/builtins"}, tests: true,
		forbid: []string{"log", "log/slog", "github.com/rs/zerolog/log"},
		reason: "a global logger cannot be told apart by session, nor silenced or read by a test",
	},
	{
		name: "nothing imports the tests", of: []string{"schemas/...", "libs/...", "services/..."}, tests: true,
		forbid: []string{"e2e/..."},
		reason: "e2e is black-box: it knows the product, never the reverse",
	},
}

func TestArchitecture(t *testing.T) {
	all := sources(t)
	for _, r := range slices.Concat(rules, servicesApart(all)) {
		t.Run(r.name, func(t *testing.T) {
			bound := 0
			for _, path := range slices.Sorted(maps.Keys(all)) {
				if matchAny(r.of, path) && !matchAny(r.but, path) {
					bound++
					for _, v := range r.violations(all, all[path]) {
						t.Errorf("%s\n  forbidden: %s", v, r.reason)
					}
				}
			}
			if bound == 0 {
				t.Errorf("the rule binds no package: %v has no match; correct the table", r.of)
			}
		})
	}
}

// violations says what a package imports against the rule.
func (r *rule) violations(all map[string]*source, s *source) []string {
	var out []string
	seen := map[string]bool{s.path(): true}
	var visit func(imports []string, trail string)
	visit = func(imports []string, trail string) {
		for _, i := range imports {
			path := strings.TrimPrefix(i, project)
			if matchAny(r.forbid, path) && !matchAny(r.allow, path) {
				out = append(out, trail+" → "+path)
			}
			if next := all[path]; r.deep && next != nil && !seen[path] {
				seen[path] = true
				visit(next.Imports, trail+" → "+path)
			}
		}
	}
	visit(s.Imports, s.path())
	if r.tests {
		visit(slices.Concat(s.TestImports, s.XTestImports), s.path()+" (test)")
	}
	return out
}

// servicesApart forbids each service every other one.
func servicesApart(all map[string]*source) []rule {
	names := map[string]bool{}
	for path := range all {
		if parts := strings.Split(path, "/"); parts[0] == "services" {
			names[parts[1]] = true
		}
	}
	var out []rule
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name == "gatestay" {
			continue // gatestay dev runs all of them in one process
		}
		out = append(out, rule{
			name: name + " imports no other service", of: []string{"services/" + name + "/..."}, tests: true,
			forbid: []string{"services/..."}, allow: []string{"services/" + name + "/..."},
			reason: "services meet only on the bus: each is built, deployed and killed alone",
		})
	}
	return out
}

// A rule that can never fail protects nothing.
func TestArchitectureRulesCanFail(t *testing.T) {
	all := map[string]*source{
		"libs/policy":                        {ImportPath: project + "libs/policy", Imports: []string{project + "libs/refusal"}},
		"libs/refusal":                       {ImportPath: project + "libs/refusal", Imports: []string{"os"}},
		"services/gateway/internal/postgres": {ImportPath: project + "services/gateway/internal/postgres", TestImports: []string{project + "libs/policy"}},
	}
	for _, c := range []struct{ rule, of string }{
		{"policy, masking and facts are pure", "libs/policy"},
		{"a protocol sees one narrow seam", "services/gateway/internal/postgres"},
	} {
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
		if i < 0 {
			t.Fatalf("no rule %q", c.rule)
		}
		if v := rules[i].violations(all, all[c.of]); len(v) == 0 {
			t.Errorf("%q accepts a violation", c.rule)
		}
	}
}
