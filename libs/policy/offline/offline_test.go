package offline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/policy/offline"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestFacts(t *testing.T) {
	for sql, want := range map[string]string{
		"select email from customers where id = 1":       "select read [public.customers] columns [public.customers.email public.customers.id] unknown []",
		"select * from customers":                        "select read [public.customers] columns [public.customers.*] unknown [columns]",
		"update app.orders set state = 'x'":              "update write [app.orders] columns [app.orders.state] unknown []",
		"drop table customers":                           "drop table ddl [public.customers] columns [] unknown []",
		"select relname from pg_class":                   "select read [pg_catalog.pg_class] columns [pg_catalog.pg_class.relname] unknown [] catalog",
		"set role admin":                                 "set role admin [] columns [] unknown []",
		"begin; select 1":                                "begin session [] columns [] unknown []\nselect read [] columns [] unknown [] catalog",
		"with customers as (select 1) table customers":   "select read [] columns [] unknown [] catalog",
		"delete from a using b where a.x = b.x and true": "delete write [public.a public.b] columns [public.a.x public.b.x] unknown []",
	} {
		facts, err := offline.Facts(policy.Target{Protocol: "postgres"}, sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		var lines []string
		for _, f := range facts {
			lines = append(lines, line(f))
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", sql, got, want)
		}
	}
}

func line(f command.Facts) string {
	var columns []string
	for _, c := range f.Columns {
		columns = append(columns, c.Schema+"."+c.Table+"."+c.Name)
	}
	s := fmt.Sprintf("%s %s %v columns %v unknown %v", f.Verb, f.Class, f.Objects, columns, f.Unknown)
	if f.Catalog {
		s += " catalog"
	}
	return s
}

func TestWhatCannotBeParsedIsUnknown(t *testing.T) {
	e, err := policy.Compile(map[string][]byte{"r.yaml": []byte("rules: [{name: r, effect: allow, targets: ['*'], principals: [{any: true}], when: 'command.class == \"read\"'}]")})
	if err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]policy.Effect{"select 1 from t": policy.Allow, "selec 1": policy.Deny, "": policy.Deny, "-- nothing": policy.Deny} {
		worst := policy.Allow
		for _, f := range policy.StatementFacts(policy.Target{Protocol: "postgres"}, sql, offline.Facts) {
			if d := e.Decide(policy.Input{Principal: &eventv1.Principal{}, Target: policy.Target{Name: "t"}, Facts: &f}); d.Effect == policy.Deny {
				worst = policy.Deny
			}
		}
		if worst != want {
			t.Errorf("%q: %s, want %s", sql, worst, want)
		}
	}
	if _, err := offline.Facts(policy.Target{Protocol: "mysql"}, "select 1"); err == nil {
		t.Error("facts of another protocol")
	}
}
