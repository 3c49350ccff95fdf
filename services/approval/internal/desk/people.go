package desk

import (
	"encoding/hex"

	"github.com/gatestay/gatestay/libs/people"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// byPolicy names what is wrong with a request in the policy service's name, or
// with one that asks for what only the policy service may. On the bus a subject
// is a permission; here it is a signature, too.
func (d *Desk) byPolicy(gateway string, r *eventv1.ApprovalRequest, raw []byte, mark string) string {
	if gateway != people.Gateway {
		if r.People != nil {
			return "only the policy service asks for a change of the people map"
		}
		return ""
	}
	signature, err := hex.DecodeString(mark)
	if err != nil || !people.Marked(d.Policy, raw, signature) {
		return "no policy service has signed it"
	}
	return people.Problem(r)
}
