package bus

import "strings"

// The subjects, registered here and nowhere else. Tokens in braces are ids
// without dots.
//
//	record.{gateway}                     batches of a gateway's records
//	admin.{service}.{instance}           batches of a service's own records: approvals, administrative acts, findings
//	audit.>                              the same batches under "audit." + subject, after the masking service's look
//	approval.{gateway}.{id}.requested    Signed-less ApprovalRequest
//	approval.{gateway}.{id}.cancelled    ApprovalCancelled
//	approval.{gateway}.{id}.decided      Signed ApprovalDecision
//	control.lease                        Signed Lease, core NATS, every second
//	token.{hash}                         a used token (one message a subject)
//	comparison.{day}.{key}.{slot}        a value of a masked column that was asked for (one message a subject)
//	copy.{hash}                          where a masked column was copied to (one message a subject)
const (
	RecordPrefix   = "record."
	AdminPrefix    = "admin."
	AuditPrefix    = "audit."
	ApprovalPrefix = "approval."
	LeaseSubject   = "control.lease"
	TokenPrefix    = "token."
	CopyPrefix     = "copy."

	ComparisonPrefix = "comparison."
)

// Approval events, the last token of an approval subject.
const (
	Requested = "requested"
	Cancelled = "cancelled"
	Decided   = "decided"
)

// RecordSubject is where a gateway's batches go.
func RecordSubject(gateway string) string { return RecordPrefix + gateway }

// AdminSubject is where another service's own batches go.
func AdminSubject(service, instance string) string { return AdminPrefix + service + "." + instance }

// ApprovalSubject names one event of one approval.
func ApprovalSubject(gateway, id, event string) string {
	return ApprovalPrefix + gateway + "." + id + "." + event
}

// ParseApprovalSubject splits approval.{gateway}.{id}.{event}.
func ParseApprovalSubject(subject string) (gateway, id, event string, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || parts[0]+"." != ApprovalPrefix {
		return "", "", "", false
	}
	return parts[1], parts[2], parts[3], true
}
