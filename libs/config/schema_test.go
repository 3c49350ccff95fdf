package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gatestay/gatestay/libs/config"
)

const schemaFile = "../../schemas/config/gatestay.schema.json"

// node is the part of a JSON Schema that Go types must agree with.
type node struct {
	Type       any              `json:"type"`
	Ref        string           `json:"$ref"`
	Properties map[string]*node `json:"properties"`
	Items      *node            `json:"items"`
	Additional json.RawMessage  `json:"additionalProperties"`
	Enum       []any            `json:"enum"`
	Const      any              `json:"const"`
	Defs       map[string]*node `json:"$defs"`
}

func (n *node) is(kind string) bool {
	switch t := n.Type.(type) {
	case string:
		return t == kind
	case []any:
		return slices.Contains(t, any(kind))
	}
	return kind == "string" && (len(n.Enum) > 0 || n.Const != nil)
}

// TestSchemaAgreesWithTypes: the schema has the keys that are read, of the kinds
// that they are read as, and no others.
func TestSchemaAgreesWithTypes(t *testing.T) {
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, n *node, typ reflect.Type)
	compare = func(path string, n *node, typ reflect.Type) {
		if n == nil {
			t.Errorf("%s: nothing in the schema", path)
			return
		}
		if n.Ref != "" {
			n = root.Defs[strings.TrimPrefix(n.Ref, "#/$defs/")]
			if n == nil {
				t.Errorf("%s refers to nothing", path)
				return
			}
		}
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		kind := map[reflect.Kind]string{
			reflect.Struct: "object", reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer",
		}[typ.Kind()]
		if typ == reflect.TypeFor[config.Duration]() {
			kind = "string"
		}
		if !n.is(kind) {
			t.Errorf("%s is %v in the schema, %s in Go", path, n.Type, typ)
			return
		}
		switch typ.Kind() {
		case reflect.Slice:
			compare(path+"[]", n.Items, typ.Elem())
		case reflect.Map:
			item := &node{}
			if err := json.Unmarshal(n.Additional, item); err != nil {
				t.Errorf("%s: %v", path, err)
				return
			}
			compare(path+".*", item, typ.Elem())
		case reflect.Struct:
			if string(n.Additional) != "false" {
				t.Errorf("%s takes unknown keys", path)
			}
			var keys, known []string
			for f := range typ.Fields() {
				key := f.Tag.Get("yaml")
				if key == "-" || path == ".gateway.api" && (key == "plaintext" || key == "auth" || key == "oauth") { // which Validate refuses there
					continue
				}
				keys = append(keys, key)
				compare(path+"."+key, n.Properties[key], f.Type)
			}
			for key := range n.Properties {
				known = append(known, key)
			}
			slices.Sort(keys)
			slices.Sort(known)
			if diff := cmp.Diff(keys, known); diff != "" {
				t.Errorf("%s (-code +schema):\n%s", path, diff)
			}
		default:
		}
	}
	compare("", &root, reflect.TypeFor[config.Config]())
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bySchema(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
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
	return s.Validate(value)
}

// TestSchemaAgreesWithParse: what the schema refuses is refused, and what is good
// is good to both. The schema cannot see across keys as Validate does.
func TestSchemaAgreesWithParse(t *testing.T) {
	s := compiled(t)
	const good = `{protocol: postgres, address: "db:5432", user: u, password: "env:P"}`
	cases := map[string]struct {
		from, to string
		ok       bool
	}{
		"as it is":                   {"", "", true},
		"all of it":                  {"user: u", `user: u, environment: production, database: d, tls: verify-ca, ca: ca.pem, tls_negotiation: direct, channel_binding: require, require_auth: [scram-sha-256], session_limit: 1h30m, databases: ["*"]`, true},
		"a certificate":              {`password: "env:P"`, `certificate: c.pem, key: "file:k.pem"`, true},
		"trusted":                    {`password: "env:P"`, `require_auth: [none]`, true},
		"plain text":                 {"user: u", "user: u, tls: disable", true},
		"an unknown key":             {"user: u", "user: u, pasword: x", false},
		"another protocol":           {"protocol: postgres", "protocol: mysql", false},
		"no address":                 {`address: "db:5432", `, "", false},
		"no user":                    {"user: u, ", "", false},
		"no proof":                   {`, password: "env:P"`, "", false},
		"a literal password":         {"env:P", "hunter2", false},
		"prefer":                     {"user: u", "user: u, tls: prefer", false},
		"a certificate alone":        {"user: u", "user: u, certificate: c.pem", false},
		"a ca without TLS":           {"user: u", "user: u, tls: disable, ca: x", false},
		"direct without TLS":         {"user: u", "user: u, tls: disable, tls_negotiation: direct", false},
		"binding without TLS":        {"user: u", "user: u, tls: disable, channel_binding: require", false},
		"an unknown method":          {"user: u", "user: u, require_auth: [gss]", false},
		"a method twice":             {"user: u", "user: u, require_auth: [md5, md5]", false},
		"no duration":                {"user: u", "user: u, session_limit: 15", false},
		"no unit":                    {"user: u", `user: u, session_limit: "1h30"`, false},
		"an odd unit":                {"user: u", "user: u, session_limit: 1d", false},
		"another kind of thing":      {"user: u", "user: {a: b}", false},
		"a list that is none":        {"user: u", "user: u, databases: x", false},
		"no TLS negotiation of ours": {"user: u", "user: u, tls_negotiation: later", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			checkBoth(t, s, "targets:\n  prod-db: "+strings.Replace(good, c.from, c.to, 1)+"\n", c.ok)
		})
	}
	for text, ok := range map[string]bool{
		"issuers: [{issuer: 'https://x', audience: gatestay}]":                                         true,
		"issuers: [{issuer: 'http://127.0.0.1:1', audience: gatestay, loopback: true}]":                true,
		"issuers: [{issuer: 'http://x', audience: gatestay}]":                                          false,
		"issuers: [{issuer: 'https://x'}]":                                                             false,
		"issuers: [{audience: gatestay}]":                                                              false,
		"gateway: {id: gw.1}":                                                                          false,
		"gateway: {id: policy}":                                                                        false,
		"policy: {people_changes: file}":                                                               true,
		"policy: {people_changes: second_person}":                                                      true,
		"policy: {people_changes: nobody}":                                                             false,
		"gateway: {postgres: {auth: basic}}":                                                           false,
		"gateway: {postgres: {oauth: {scope: x}}}":                                                     false,
		"gateway: {api: {plaintext: true}}":                                                            false,
		"gateway: {api: {auth: password}}":                                                             false,
		"gateway: {postgres: {listen: '127.0.0.1:1', plaintext: true}, api: {listen: ':8443'}}":        true,
		"targets: {a.b: {protocol: postgres, address: x, user: u, password: 'env:P'}}":                 false,
		"approval: {slack: {bot_token: xoxb-1}}":                                                       false,
		"archival: {clickhouse: {password: secret}}":                                                   false,
		"archival: {clickhouse: {password: 'file:p', tls: true}}\nmasking:\npolicy: {dir: policies}\n": true,
		"unknown: {}": false,
	} {
		checkBoth(t, s, text, ok)
	}
}

func checkBoth(t *testing.T, s *jsonschema.Schema, text string, ok bool) {
	t.Helper()
	if err := bySchema(t, s, text); (err == nil) != ok {
		t.Errorf("%s: the schema says %v", text, err)
	}
	if _, err := config.Parse([]byte(text), "gatestay.yaml", "."); (err == nil) != ok {
		t.Errorf("%s: Parse says %v", text, err)
	}
}

// TestShippedFilesFitTheSchema: each gatestay.yaml of the repository.
func TestShippedFilesFitTheSchema(t *testing.T) {
	s := compiled(t)
	var files []string
	for _, pattern := range []string{"../../services/gatestay/internal/*/files/gatestay.yaml", "../../deploy/*/config/gatestay.yaml", "../../e2e/kit/files/gatestay.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 3 {
		t.Fatalf("only %v", files)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// The kit's has places that it fills in.
		text := regexp.MustCompile(`\{\{[^}]*\}\}`).ReplaceAllString(string(raw), "x")
		if err := bySchema(t, s, text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
