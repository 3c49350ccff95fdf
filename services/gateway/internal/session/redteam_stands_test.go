package session_test

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/refusal"
)

const standingRules = `
rules:
  - name: all
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
`

// TestRedteam18_APermitEndsWithItsRules: what was admitted and has not run is
// decided by the rules of the moment in which it would; what has begun goes on
// under the masks that it began with, or not at all.
func TestRedteam18_APermitEndsWithItsRules(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": standingRules})
	p, err := w.open().Admit(t.Context(), write())
	must(t, err)
	must(t, p.Stands(false))
	w.publish("policy", map[string]string{"a.yaml": standingRules, "b.yaml": strings.NewReplacer("name: all", "name: other", "prod-db", "other-db").Replace(standingRules)})
	must(t, p.Stands(false)) // another rule
	w.publish("masking", map[string]string{"a.yaml": masks})
	must(t, p.Stands(false)) // the same masks
	limited := standingRules + "    row_limit: 1\n"
	w.publish("policy", map[string]string{"a.yaml": limited})
	refused(t, p.Stands(false), refusal.StateChanged)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(standingRules, "allow", "deny", 1)})
	refused(t, p.Stands(false), refusal.DeniedByRule)
	must(t, p.Stands(true))
	w.publish("policy", map[string]string{"a.yaml": standingRules})
	must(t, p.Stands(false))
	w.publish("masking", map[string]string{"a.yaml": strings.Replace(masks, "strategy: redact", `strategy: redact, compare: {otherwise: deny}`, 1)})
	refused(t, p.Stands(false), refusal.StateChanged)
	must(t, p.Stands(true))
	w.publish("masking", map[string]string{"a.yaml": strings.Replace(masks, "redact", `"null"`, 1)})
	refused(t, p.Stands(true), refusal.StateChanged)
	s := w.open()
	p, err = s.Admit(t.Context(), write())
	must(t, err)
	s.Close("over")
	if p.Stands(false) == nil {
		t.Error("a session that has ended runs what it had bound")
	}
}
