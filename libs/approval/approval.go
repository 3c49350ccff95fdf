// Package approval is what the approval service and the gateway agree on: how
// a decision is bound, signed and verified (DESIGN.md, promise 3), and the
// words in which a held command is described to people, the same in a client's
// notice, in Slack and in the terminal. It does no I/O and keeps no state: how
// often a decision has been used is counted by the gateway.
package approval

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// The outcomes of an approval.
const (
	Approved  = "approved"
	Denied    = "denied"
	Expired   = "expired"
	Cancelled = "cancelled"
)

// The two votes.
const (
	Approve = "approve"
	Deny    = "deny"
)

// Why a gateway stopped waiting (ApprovalCancelled.reason).
const (
	ClientGone      = "client_gone"
	ClientCancelled = "client_cancelled"
	DeadlinePassed  = "expired"
	GatewayStopping = "gateway_stopping"
	RuleChanged     = "rule_changed"
	Withdrawn       = "withdrawn" // of a change of the people map: the file was put back, or changed again
	Granted         = "granted"   // another approval's grant let the command pass
)

// NewID returns a new approval id: "apr_" and a ULID.
func NewID() string { return "apr_" + ulid.Make().String() }

// PrincipalHash returns the SHA-256 (32 bytes) of the principal's
// deterministic bytes.
func PrincipalHash(p *eventv1.Principal) []byte {
	// Marshal fails for invalid UTF-8 only, which no verified token yields; the
	// hash of nothing then matches no decision.
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// RequestHash returns the SHA-256 (32 bytes) of an ApprovalRequest's exact
// bytes as they travelled: what the approver was shown.
func RequestHash(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return sum[:]
}

// Sign signs a decision with the approval service's key.
func Sign(key *seal.Key, d *eventv1.ApprovalDecision) (*eventv1.Signed, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("approval: marshal decision: %w", err)
	}
	return key.Sign(seal.ContextApproval, raw), nil
}

// Approving returns the persons whose votes to approve counted, and what they
// gave as reasons, "dana: …".
func Approving(d *eventv1.ApprovalDecision) (persons, said []string) {
	for _, v := range d.GetVotes() {
		if v.GetVote() != Approve {
			continue
		}
		persons = append(persons, v.GetPerson())
		if reason := strings.TrimSpace(v.GetReason()); reason != "" {
			said = append(said, v.GetPerson()+": "+reason)
		}
	}
	return persons, said
}
