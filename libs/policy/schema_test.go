package policy

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemas = "../../schemas/policy"

func compileSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	paths, err := filepath.Glob(schemas + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("https://gatestay.dev/schemas/"+filepath.Base(path), doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("https://gatestay.dev/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The keys of the schemas are the keys that this package reads.
func TestSchemasHaveTheSameKeys(t *testing.T) {
	for _, c := range []struct {
		file, path string
		keys       []string
	}{
		{"policy", "", fileKeys},
		{"policy", "$defs.rule", ruleKeys},
		{"policy", "$defs.principal", selectorKeys},
		{"policy", "$defs.approvers", approverKeys},
		{"policy", "$defs.approverGroup", groupKeys},
		{"policy", "$defs.window", hourKeys},
		{"policy", "$defs.escalation", escalationKeys},
		{"policy", "$defs.members", memberKeys},
		{"policy", "$defs.freeze", freezeKeys},
		{"people", "", peopleKeys},
		{"schedule", "", scheduleKeys},
		{"schedule", "$defs.rotation", rotationKeys},
		{"schedule", "$defs.shift", shiftKeys},
		{"schedule", "$defs.weekly", weeklyKeys},
		{"schedule", "$defs.ical", feedKeys},
		{"schedule", "$defs.delegation", delegationKeys},
		{"people", "$defs.person", personKeys},
		{"people", "$defs.passkey", passkeyKeys},
		{"people", "$defs.relyingParty", relyingPartyKeys},
		{"people", "$defs.changes", changesKeys},
		{"cases", "", testKeys},
		{"cases", "$defs.case", caseKeys},
		{"cases", "$defs.principal", casePrincipal},
		{"cases", "$defs.facts", caseFactKeys},
		{"cases", "$defs.expect", expectKeys},
		{"cases", "$defs.case.properties.session", caseSessionKeys},
	} {
		raw, err := os.ReadFile(filepath.Join(schemas, c.file+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		var node map[string]any
		if err := json.Unmarshal(raw, &node); err != nil {
			t.Fatal(err)
		}
		for _, step := range strings.FieldsFunc(c.path, func(r rune) bool { return r == '.' }) {
			node, _ = node[step].(map[string]any)
		}
		properties, _ := node["properties"].(map[string]any)
		var got []string
		for key := range properties {
			got = append(got, key)
		}
		slices.Sort(got)
		if diff := cmp.Diff(slices.Sorted(slices.Values(c.keys)), got); diff != "" {
			t.Errorf("%s %s (-code +schema):\n%s", c.file, c.path, diff)
		}
		if closed, ok := node["additionalProperties"].(bool); !ok || closed {
			t.Errorf("%s %s takes unknown keys", c.file, c.path)
		}
	}
}

// What the schema refuses this package refuses, and what is good is good to
// both. The schema cannot see across keys and files as this package does.
func TestSchemaAgreesWithCompile(t *testing.T) {
	schema := compileSchema(t, "policy.schema.json")
	const good = `{name: r, effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U1]}}`
	cases := map[string]struct {
		from, to string
		ok       bool
	}{
		"as it is":              {"", "", true},
		"environments":          {"targets: [prod-db]", "environments: [production]", true},
		"pinned":                {"any: true", `repository: acme/shop, repository_id: 1001, repository_owner_id: "2"`, true},
		"a condition":           {"name: r", `name: r, when: 'command.filtered'`, true},
		"all of a hold":         {"name: r", "name: r, description: d, deadline: 1h30m, reason: required, row_limit: 5, hold_in_transaction: 5s, masked_copies: allow", true},
		"unknown key":           {"name: r", "name: r, nam: s", false},
		"no name":               {"name: r, ", "", false},
		"no effect":             {"effect: hold, ", "", false},
		"unknown effect":        {"effect: hold", "effect: ask", false},
		"no targets":            {"targets: [prod-db], ", "", false},
		"empty targets":         {"[prod-db]", "[]", false},
		"both":                  {"name: r", "name: r, environments: [x]", false},
		"no principals":         {"[{any: true}]", "[]", false},
		"any: false":            {"any: true", "any: false", false},
		"nobody":                {"any: true", "event: push", false},
		"any and a repository":  {"any: true", "any: true, repository: x", false},
		"wildcard id":           {"any: true", `repository_id: "1*"`, false},
		"hold of nobody":        {", approvers: {slack_users: [U1]}", "", false},
		"approvers of an allow": {"effect: hold", "effect: allow", false},
		"row limit of a deny":   {"effect: hold, targets: [prod-db], principals: [{any: true}], approvers: {slack_users: [U1]}", "effect: deny, targets: [prod-db], principals: [{any: true}], row_limit: 5", false},
		"count 0":               {"slack_users: [U1]", "slack_users: [U1], count: 0", false},
		"no duration":           {"name: r", "name: r, deadline: 15", false},
		"reason: maybe":         {"name: r", "name: r, reason: maybe", false},
		"row limit as text":     {"name: r", `name: r, row_limit: "5"`, false},
		"a rehearsal":           {"name: r", "name: r, rehearsal: allow", true},
		"a bounded rehearsal":   {"name: r", "name: r, rehearsal: {timeout: 20s}, approve_if: 'rehearsal.rows <= 50'", true},
		"no rehearsal to bound": {"name: r", "name: r, approve_if: 'rehearsal.rows <= 50'", false},
		"rehearsal: yes":        {"name: r", "name: r, rehearsal: sure", false},
		"an empty rehearsal":    {"name: r", "name: r, rehearsal: {}", false},
		"groups":                {"slack_users: [U1]", "slack_groups: [S0DBA], oidc_groups: [dba], count: 2", true},
		"a group's handle":      {"slack_users: [U1]", `slack_groups: ["@dba"]`, false},
		"all of":                {"slack_users: [U1]", "all_of: [{name: a, slack_users: [U1]}, {name: b, oidc_groups: [dba], count: 2}]", true},
		"all of one":            {"slack_users: [U1]", "all_of: [{name: a, slack_users: [U1]}]", false},
		"all of and a list":     {"slack_users: [U1]", "slack_users: [U1], all_of: [{name: a, slack_users: [U1]}, {name: b, slack_users: [U2]}]", false},
		"all of with a count":   {"slack_users: [U1]", "count: 2, all_of: [{name: a, slack_users: [U1]}, {name: b, slack_users: [U2]}]", false},
		"a group of nobody":     {"slack_users: [U1]", "all_of: [{name: a}, {name: b, slack_users: [U2]}]", false},
		"a group without name":  {"slack_users: [U1]", "all_of: [{slack_users: [U1]}, {name: b, slack_users: [U2]}]", false},
		"hours of a rule":       {"name: r", `name: r, hours: {days: [mon-fri], from: "09:00", to: "17:30", zone: Europe/Berlin}`, true},
		"several windows":       {"name: r", `name: r, hours: [{days: [sat, sun], zone: UTC}, {from: "22:00", to: "06:00", zone: UTC}]`, true},
		"no window":             {"name: r", "name: r, hours: []", false},
		"hours without a zone":  {"name: r", `name: r, hours: {from: "09:00", to: "17:30"}`, false},
		"hours without an end":  {"name: r", `name: r, hours: {from: "09:00", zone: UTC}`, false},
		"an unknown day":        {"name: r", "name: r, hours: {days: [monday], zone: UTC}", false},
		"hours of approvers":    {"slack_users: [U1]", "slack_users: [U1], hours: {days: [mon-fri], zone: UTC}", true},
		"hours beside all of":   {"slack_users: [U1]", "hours: {zone: UTC}, all_of: [{name: a, slack_users: [U1]}, {name: b, slack_users: [U2]}]", false},
		"an escalation":         {"slack_users: [U1]", "slack_users: [U1], escalate: {after: 5m, to: {slack_groups: [S0LEADS]}}", true},
		"one to nobody":         {"slack_users: [U1]", "slack_users: [U1], escalate: {after: 5m, to: {hours: {zone: UTC}}}", false},
		"one at no time":        {"slack_users: [U1]", "slack_users: [U1], escalate: {to: {slack_groups: [S0LEADS]}}", false},
		"one beside all of":     {"slack_users: [U1]", "escalate: {after: 5m, to: {slack_users: [U3]}}, all_of: [{name: a, slack_users: [U1]}, {name: b, slack_users: [U2]}]", false},
		"one within all of":     {"slack_users: [U1]", "all_of: [{name: a, slack_users: [U1], escalate: {after: 5m, to: {slack_users: [U3]}}}, {name: b, slack_users: [U2]}]", true},
		"hours within all of":   {"slack_users: [U1]", "all_of: [{name: a, slack_users: [U1], hours: {zone: UTC}}, {name: b, slack_users: [U2]}]", true},
		"empty when":            {"name: r", `name: r, when: " "`, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text := "rules:\n  - " + strings.Replace(good, c.from, c.to, 1) + "\n"
			var doc any
			if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
			if err != nil {
				t.Fatal(err)
			}
			bySchema := schema.Validate(value)
			_, byCode := Compile(map[string][]byte{"r.yaml": []byte(text)})
			if (bySchema == nil) != c.ok {
				t.Errorf("the schema says %v", bySchema)
			}
			if (byCode == nil) != c.ok {
				t.Errorf("Compile says %v", byCode)
			}
		})
	}
	for _, name := range []string{"people.schema.json", "schedule.schema.json", "cases.schema.json"} {
		compileSchema(t, name)
	}
}
