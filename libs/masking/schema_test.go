package masking

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatestay/gatestay/libs/command"
)

// schema is the part of a JSON Schema that Go types must agree with.
type schema struct {
	Type       any                `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Enum       []any              `json:"enum"`
	Pattern    string             `json:"pattern"`
	Additional *bool              `json:"additionalProperties"`
	Defs       map[string]*schema `json:"$defs"`
}

func TestSchemaAgreesWithTypes(t *testing.T) {
	raw, err := os.ReadFile("../../schemas/masking/masking.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var file schema
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	mask := file.Defs["mask"]
	fields := map[string]string{}
	var required []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Rule]()) {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options != "omitempty" {
			required = append(required, name)
		}
		switch {
		case f.Type.Kind() == reflect.Slice:
			fields[name] = "array"
		case f.Type == reflect.TypeFor[Strategy]():
			fields[name] = "enum"
		case f.Type.Kind() == reflect.Pointer:
			fields[name] = "object"
		case f.Type.Kind() == reflect.Bool:
			fields[name] = "boolean"
		default:
			fields[name] = f.Type.Kind().String()
		}
	}
	described := map[string]string{}
	for name, p := range mask.Properties {
		described[name], _ = p.Type.(string)
		if p.Enum != nil {
			described[name] = "enum"
		}
	}
	if diff := cmp.Diff(fields, described); diff != "" {
		t.Errorf("fields (Go -, schema +):\n%s", diff)
	}
	if diff := cmp.Diff(required, mask.Required); diff != "" {
		t.Errorf("required (Go -, schema +):\n%s", diff)
	}
	if mask.Additional == nil || *mask.Additional || file.Additional == nil || *file.Additional {
		t.Error("the schema takes keys that Compile refuses")
	}
	strategies := map[any]bool{nil: true} // YAML reads the bare word null as no value
	for _, s := range Strategies() {
		strategies[string(s)] = true
	}
	same(t, "strategy", strategies, mask.Properties["strategy"].Enum)
	compare := mask.Properties["compare"]
	allowed := map[any]bool{}
	for _, u := range command.Uses() {
		allowed[string(u)] = true
	}
	same(t, "compare.allow", allowed, compare.Properties["allow"].Items.Enum)
	same(t, "compare.otherwise", map[any]bool{"deny": true, "hold": true, "allow": true}, compare.Properties["otherwise"].Enum)
	detectors := map[any]bool{}
	for _, name := range slices.Concat(DetectorNames(), groupNames()) {
		detectors[name] = true
	}
	same(t, "detectors", detectors, mask.Properties["detectors"].Items.Enum)
	pattern := regexp.MustCompile(mask.Properties["column"].Pattern)
	for _, column := range []string{"t.c", "s.t.c", "Customers.Note", `public."Odd.Name"."C""x"`, "größe.ß", "c", "a.b.c.d", "a..b", "a.*", `"a.b`, "a .b", `a."b"c`} {
		if _, err := parseColumn(column); (err == nil) != pattern.MatchString(column) {
			t.Errorf("column %q: Compile says %v, the schema's pattern %v", column, err, pattern.MatchString(column))
		}
	}
}

func same(t *testing.T, what string, want map[any]bool, got []any) {
	t.Helper()
	for _, v := range got {
		if !want[v] {
			t.Errorf("%s: the schema has %v, Go does not", what, v)
		}
		delete(want, v)
	}
	for v := range want {
		t.Errorf("%s: Go has %v, the schema does not", what, v)
	}
}
