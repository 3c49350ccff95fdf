package policy_test

import (
	"testing"

	"github.com/gatestay/gatestay/libs/policy"
)

func TestTheLowestByteLimitCounts(t *testing.T) {
	e := compile(t, `rules:
  - {name: a, effect: allow, targets: [prod-db], principals: [{any: true}], byte_limit: 5000}
  - {name: b, effect: allow, targets: [prod-db], principals: [{any: true}], byte_limit: 300, row_limit: 7}
  - {name: c, effect: allow, targets: [prod-db], principals: [{any: true}]}
`)
	d := e.Decide(policy.Input{Principal: shop(), Target: prod(), Facts: read("customers")})
	if d.Effect != policy.Allow || d.ByteLimit != 300 || d.RowLimit != 7 {
		t.Errorf("%+v", d)
	}
}
