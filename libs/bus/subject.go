package bus

import (
	"strconv"
	"strings"
)

// The subjects, registered here and nowhere else. Tokens in braces are ids
// without dots.
//
//	record.{gateway}                     batches of a gateway's records
//	admin.{service}.{instance}           batches of a service's own records: approvals, administrative acts, findings
//	audit.>                              the same batches under "audit." + subject, after the masking service's look
//	approval.{gateway}.{id}.requested    Signed-less ApprovalRequest
//	approval.{gateway}.{id}.cancelled    ApprovalCancelled
//	approval.{gateway}.{id}.decided      Signed ApprovalDecision
//	approval.{gateway}.{id}.used         ApprovalUse: a further command that a break-glass lets pass
//	approval.{gateway}.{id}.ran          ApprovalOutcome, {gateway} being where the command ran
//	control.lease                        Signed Lease, core NATS, every second
//	token.{hash}                         a used token (one message a subject)
//	comparison.{day}.{key}.{slot}        a value of a masked column that was asked for (one message a subject)
//	use.{approval}.{n}                   the n-th use of a grant, from 1 (one message a subject)
//	use.{approval}.revoked               the grant is good for nothing from here on
//	copy.{hash}                          where a masked column was copied to (one message a subject)
const (
	RecordPrefix   = "record."
	AdminPrefix    = "admin."
	AuditPrefix    = "audit."
	ApprovalPrefix = "approval."
	LeaseSubject   = "control.lease"
	TokenPrefix    = "token."
	CopyPrefix     = "copy."
	UsePrefix      = "use."

	ComparisonPrefix = "comparison."
)

// Approval events, the last token of an approval subject.
const (
	Requested = "requested"
	Cancelled = "cancelled"
	Decided   = "decided"
	Ran       = "ran"
	Used      = "used"
)

// TagHeader carries, with an approval's request, the tag of the gateway that made it
// (libs/approval.Tag), hex.
const TagHeader = "Gatestay-Tag"

// RecordSubject is where a gateway's batches go.
func RecordSubject(gateway string) string { return RecordPrefix + gateway }

// AdminSubject is where another service's own batches go.
func AdminSubject(service, instance string) string { return AdminPrefix + service + "." + instance }

// ApprovalSubject names one event of one approval.
func ApprovalSubject(gateway, id, event string) string {
	return ApprovalPrefix + gateway + "." + id + "." + event
}

// UseSubject names one use of a grant, from 1.
func UseSubject(id string, n uint32) string {
	return UsePrefix + id + "." + strconv.FormatUint(uint64(n), 10)
}

// CopySubject is where a copy of a masked column is remembered, lifted where the
// mask on it is lifted; a generation, from 0, begins when a lifted one is made
// anew. The key is of libs/copied.
func CopySubject(key string, generation uint64, lifted bool) string {
	what := ".made."
	switch {
	case lifted:
		what = ".lifted."
	case generation == 0:
		return CopyPrefix + key
	}
	return CopyPrefix + key + what + strconv.FormatUint(generation, 10)
}

// ParseCopySubject is the reverse of CopySubject.
func ParseCopySubject(subject string) (key string, generation uint64, lifted, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) == 2 && parts[0]+"." == CopyPrefix {
		return parts[1], 0, false, true
	}
	if len(parts) != 4 || parts[0]+"." != CopyPrefix || parts[2] != "made" && parts[2] != "lifted" {
		return "", 0, false, false
	}
	generation, err := strconv.ParseUint(parts[3], 10, 32)
	return parts[1], generation, parts[2] == "lifted", err == nil && subject == CopySubject(parts[1], generation, parts[2] == "lifted")
}

// RevokedSubject marks a grant as revoked.
func RevokedSubject(id string) string { return UsePrefix + id + ".revoked" }

// ParseApprovalSubject splits approval.{gateway}.{id}.{event}.
func ParseApprovalSubject(subject string) (gateway, id, event string, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || parts[0]+"." != ApprovalPrefix {
		return "", "", "", false
	}
	return parts[1], parts[2], parts[3], true
}
