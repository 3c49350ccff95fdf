package grant

import (
	"maps"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// maxAsked bounds the memory: what is dropped asks again.
const maxAsked = 10_000

// Asked is a request for a command whose client does not wait, asked by
// whichever gateway. A request is not signed: it keeps nobody from anything but
// asking the same again.
type Asked struct {
	ID       string
	Deadline time.Time
	Request  *eventv1.ApprovalRequest
	holder   map[string]string
	Decision *eventv1.ApprovalDecision // nil while it waits
}

// Asked returns the request that was made for the exact command, waiting or
// denied, until its deadline; nil where there is none.
func (b *Book) Asked(u approval.Use) *Asked {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.asked[string(u.Exact)]
	if a == nil || len(u.Exact) == 0 || !b.now().Before(a.Deadline) || a.Request.RuleHash != u.RuleHash ||
		!maps.Equal(a.holder, approval.Holder(policy.ScopeReturn, u.Principal)) {
		return nil
	}
	if a.Decision != nil && a.Decision.Outcome != approval.Denied {
		return nil // what was approved is a grant; what expired or was cancelled is over
	}
	found := *a
	return &found
}

// requested notes a request whose client does not wait.
func (b *Book) requested(gateway, id string, raw []byte) {
	r := &eventv1.ApprovalRequest{}
	if proto.Unmarshal(raw, r) != nil || !r.Returned || r.Id != id || r.Gateway != gateway || len(r.GetOffer().GetExact()) == 0 {
		return
	}
	b.Note(r)
}

// Note keeps a request until its deadline: this gateway need not wait for it to
// come back from the bus.
func (b *Book) Note(r *eventv1.ApprovalRequest) {
	a := &Asked{ID: r.Id, Deadline: r.Deadline.AsTime(), Request: r, holder: approval.Holder(policy.ScopeReturn, r.Principal)}
	if !b.now().Before(a.Deadline) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) >= maxAsked {
		maps.DeleteFunc(b.asked, func(_ string, old *Asked) bool { return !b.now().Before(old.Deadline) })
	}
	if len(b.asked) >= maxAsked {
		clear(b.asked)
	}
	b.asked[string(r.Offer.Exact)] = a
}

// answered notes how such a request ended.
func (b *Book) answered(d *eventv1.ApprovalDecision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.asked {
		if a.ID == d.ApprovalId {
			a.Decision = d
		}
	}
}
