package masking

import "testing"

func TestScrubError(t *testing.T) {
	e := engine(t, scrubRules)
	for name, tc := range map[string]struct {
		target, text string
		known        []string
		want         string
	}{
		"unique key": {
			"prod-db", `duplicate key value violates unique constraint "customers_email_key"` + "\nKey (email)=(dana@acme.example) already exists.", nil,
			`duplicate key value violates unique constraint "customers_email_key"` + "\nKey (email)=([redacted]) already exists.",
		},
		"key with brackets inside": {"prod-db", "Key (lower(name), id)=(da)na (x), 7) is not present in table \"customers\".", nil, "Key (lower(name), id)=([redacted]) is not present in table \"customers\"."},
		"key the caller wrote":     {"prod-db", "Key (id)=(42) already exists.", []string{"INSERT INTO t VALUES (42)"}, "Key (id)=(42) already exists."},
		"key copied from a masked column": {
			"prod-db", "Key (u)=(dana) already exists.", []string{"INSERT INTO t SELECT email FROM customers"}, "Key (u)=([redacted]) already exists.",
		},
		"exclusion":              {"prod-db", "Key (r)=([1,2)) conflicts with existing key (r)=([1,3)).", nil, "Key (r)=([redacted]) conflicts with existing key (r)=([redacted])."},
		"failing row":            {"prod-db", "Failing row contains (1, dana, null).", nil, "Failing row contains [redacted]"},
		"input syntax":           {"prod-db", `invalid input syntax for type integer: "dana"`, nil, `invalid input syntax for type integer: "[redacted]"`},
		"input with quotes":      {"prod-db", `invalid input syntax for type integer: "da"na" x"`, nil, `invalid input syntax for type integer: "[redacted]"`},
		"input of several lines": {"prod-db", "invalid input syntax for type integer: \"da\nna\"", nil, `invalid input syntax for type integer: "[redacted]"`},
		"cast to a name":         {"prod-db", `relation "dana" does not exist`, []string{"SELECT email::regclass FROM customers"}, `relation "[redacted]" does not exist`},
		"a misspelt name":        {"prod-db", `relation "custmers" does not exist`, []string{"SELECT 1 FROM custmers"}, `relation "custmers" does not exist`},
		"a part of what the caller wrote is not it": {
			"prod-db", `role "dan" does not exist`, []string{"SELECT 'dana'"}, `role "[redacted]" does not exist`,
		},
		"names of the rules": {"prod-db", `null value in column "email" of relation "customers" violates not-null constraint`, nil, `null value in column "email" of relation "customers" violates not-null constraint`},
		"JSON context":       {"prod-db", "Token \"dana\" is invalid.\nJSON data, line 1: {\"a\":dana...", nil, "Token \"[redacted]\" is invalid.\nJSON data, line 1:[redacted]"},
		"COPY context":       {"prod-db", `COPY customers, line 3, column email: "dana"`, nil, `COPY customers, line 3, column email: "[redacted]"`},
		"parameters context": {"prod-db", "unnamed portal with parameters: $1 = 'da''na', $2 = '7'", nil, "unnamed portal with parameters: $1 = '[redacted]'"},
		"German":             {"prod-db", "Schlüssel »(email)=(dana)« existiert bereits. Relation „dana“", nil, "Schlüssel »[redacted]« existiert bereits. Relation „[redacted]“"},
		"an apostrophe":      {"prod-db", "can't do that; don't try", nil, "can't do that; don't try"},
		"no values":          {"prod-db", "division by zero", nil, "division by zero"},
		"detectors without masked columns": {
			"staging", `Key (email)=(dana@acme.example) already exists in "x".`, nil, `Key (email)=([redacted:email]) already exists in "x".`,
		},
		"detectors beat what the caller wrote": {
			"prod-db", `invalid input: "dana@acme.example"`, []string{"SELECT 'dana@acme.example'::int"}, `invalid input: "[redacted:email]"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := e.ScrubError(tc.target, tc.text, tc.known...); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
	if got := e.ScrubText(`role "dana" does not exist`); got != `role "[redacted]" does not exist` {
		t.Errorf("without a target: %s", got)
	}
	if got := engine(t, "masks: []\n").ScrubText(`role "dana" ghp_abcdefghijklmnopqrstuvwxyz0123456789`); got != `role "dana" [redacted:github-token]` {
		t.Errorf("without rules: %s", got)
	}
}
