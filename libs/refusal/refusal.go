// Package refusal is the one home of what a job, an agent or a person is told
// when Gatestay says no: a stable code, what happened, and what to do next.
package refusal

import "fmt"

// Refusal is an error meant for the caller's eyes. It never carries upstream
// text that may hold secrets. Adapters turn it into their protocol's error.
type Refusal struct {
	Code    Code
	Message string // one line, no code
	Detail  string // what was seen, what would be allowed
	Hint    string // the next step
	Rule    string // the deciding rule, where there is one
	ID      string // the id to quote: approval, command or session
}

// Error returns the code, the message and the hint.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("%s: %s", r.Code, r.Message)
	if r.Hint != "" {
		s += " (" + r.Hint + ")"
	}
	return s
}

// Code is a stable identifier: GS and four digits.
type Code string

// Authentication: 11xx.
const (
	TokenInvalid      Code = "GS1101" // malformed, wrong signature, wrong algorithm
	TokenIssuer       Code = "GS1102" // no configured issuer made it
	TokenAudience     Code = "GS1103"
	TokenTime         Code = "GS1104" // expired or not yet valid
	TokenUsed         Code = "GS1105" // single-use, already used
	TokenClaims       Code = "GS1106" // a claim that the preset needs is missing
	TargetUnknown     Code = "GS1107"
	TargetForbidden   Code = "GS1108" // no rule could allow anything here
	CredentialInvalid Code = "GS1109" // run-bound credential unknown, ended, or used up
	TLSRequired       Code = "GS1110"
	UpstreamLogin     Code = "GS1111" // the target refused or could not be reached
)

// Decisions: 12xx.
const (
	DeniedByRule    Code = "GS1201"
	DeniedByDefault Code = "GS1202"
	CommandUnknown  Code = "GS1203" // could not be classified, and no rule allows unknown
	BinaryMasked    Code = "GS1204" // a mask touches a binary column of another type than text
	HoldInTx        Code = "GS1205" // would hold while its transaction has written or locked
	StateChanged    Code = "GS1206" // session state differs from that decided for
	Frozen          Code = "GS1207" // a freeze lets reads pass only
	MaskedCopy      Code = "GS1209" // would store a masked column where no mask is on it
)

// Masked columns: 122x.
const (
	ComparisonMasked Code = "GS1221" // uses a masked column's values in a way that its mask does not allow
	ComparisonLimit  Code = "GS1222" // as many different values were asked for today as the mask allows
	MaskWrittenBack  Code = "GS1223" // would write what a mask has made over what it hides
)

// Holds and approvals: 13xx.
const (
	ApprovalDenied    Code = "GS1301"
	ApprovalExpired   Code = "GS1302"
	ApprovalCancelled Code = "GS1303"
	ApprovalInvalid   Code = "GS1304" // forged, wrong scope, used
	RuleChanged       Code = "GS1305"
	ReasonRequired    Code = "GS1306"
	VoteForbidden     Code = "GS1307" // not among the rule's approvers, or not a full member
	VoteSelf          Code = "GS1308" // a requester may not decide
	ApprovalOver      Code = "GS1309" // decided, expired or cancelled before the vote
	ApprovalUnknown   Code = "GS1310"
	VoteNotHere       Code = "GS1311" // may not be decided in this place: it was not shown whole
	StepUpRequired    Code = "GS1319" // the rule asks for the voter's passkey, on the inbox's page
	ApprovalPending   Code = "GS1312" // waits for an approval, and its client does not wait with it
	GlassForbidden    Code = "GS1313" // no rule lets this job break the glass here
	VoteUntimely      Code = "GS1320" // may approve, but not at this time
	RunExceeded       Code = "GS1350" // what it changed was measured, and is more than its rule's approve_if lets pass
)

// Availability, fail closed: 14xx.
const (
	JournalUnavailable Code = "GS1401"
	LeaseExpired       Code = "GS1402"
	BundleMissing      Code = "GS1403"
	ShuttingDown       Code = "GS1404"
	SessionEnded       Code = "GS1405" // hard limit, job ended, killed
	LimitReached       Code = "GS1406"
	BusUnavailable     Code = "GS1407"
	UpstreamLost       Code = "GS1408" // the target ended the connection
)

// Protocol: 15xx.
const (
	ProtocolUnsupported Code = "GS1501" // replication, names that are the gateway's, ...
	ProtocolViolation   Code = "GS1502"
	SettingFixed        Code = "GS1503" // client_encoding, standard_conforming_strings
)
