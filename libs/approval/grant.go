package approval

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// slack is how much a grant may outlive its rule's limit, for rounding.
const slack = 2 * time.Second

// Holder returns the fields of a principal that a grant of a scope is bound to,
// with their values, and nil where the principal does not tell a field without
// which it would be bound to nothing: its run, its job, its commit. Names, an
// agent and on whose behalf it acts are always among them.
func Holder(scope string, p *eventv1.Principal) map[string]string {
	h := map[string]string{
		"issuer": p.GetIssuer(), "preset": p.GetPreset(), "environment": p.GetEnvironment(), "workflow": p.GetWorkflow(),
		"agent": p.GetAgent(), "on_behalf_of": p.GetOnBehalfOf(),
	}
	if p.GetRepositoryId() != "" {
		h["repository_id"], h["repository_owner_id"] = p.GetRepositoryId(), p.GetRepositoryOwnerId()
	} else {
		h["subject"] = p.GetSubject()
	}
	needed := ""
	switch scope {
	case policy.ScopeRun:
		needed = p.GetRunId()
		h["run_id"] = needed
	case policy.ScopeJob:
		needed = p.GetWorkflow() + p.GetJob() + p.GetSubject()
		h["job"], h["ref"] = p.GetJob(), p.GetRef()
	case policy.ScopeReturn, ScopePlan:
		needed = p.GetClaims()["sha"]
		h["job"], h["sha"] = p.GetJob(), needed
		if needed == "" { // no commit: then the run, which re-running keeps
			needed = p.GetRunId()
			h["run_id"] = needed
		}
	}
	if p.GetIssuer() == "" || needed == "" {
		return nil
	}
	return h
}

// Use is a command that a grant is to cover: all of it from the gateway's own
// memory.
type Use struct {
	Principal *eventv1.Principal
	Target    string
	Database  string
	RuleHash  string
	Grants    *policy.Grants // of the matched rule
	// Approvers are whom the rule asks for; Deadline is how long it lets them take.
	Approvers *eventv1.Approvers
	Deadline  time.Duration
	People    *policy.People
	// Key is the gateways' common one, 32 bytes.
	Key []byte
	// Shape and Exact are the command's digests (command.Shape, command.Digest).
	Shape, Exact []byte
	Now          time.Time
}

// OpenDecision opens a signed decision of whichever approval; an error where no
// trusted key signed it. What it is good for, Covers says.
func OpenDecision(trust seal.Trust, signed *eventv1.Signed) (*eventv1.ApprovalDecision, error) {
	payload, err := trust.Open(seal.ContextApproval, signed)
	if err != nil {
		return nil, fmt.Errorf("approval: open: %w", err)
	}
	d := &eventv1.ApprovalDecision{}
	if err := proto.Unmarshal(payload, d); err != nil {
		return nil, fmt.Errorf("approval: open: %w", err)
	}
	return d, nil
}

// Tag returns what proves that a gateway made a request (HMAC-SHA256, 32 bytes
// over RequestHash): what a grant covers is what its approver was shown.
func Tag(key, requestHash []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("gatestay/request/v1"))
	h.Write(requestHash)
	return h.Sum(nil)
}

// Covers reports whether a decision holds a grant that lets a command pass, uses aside. Each
// of these voids it: a request that no gateway made; another target, database, rule or state of it, shape or
// command; a principal that differs in a field that the scope names; somebody
// behind the principal who was not behind the request, or who approved it; more
// or longer than the rule allows; fewer persons than it asks for; its end.
func Covers(d *eventv1.ApprovalDecision, u Use) bool {
	g := d.GetGrant()
	if g == nil || d.Outcome != Approved || !u.Grants.Allows(g.Scope) || d.ExpiresAt == nil || d.DecidedAt == nil {
		return false
	}
	digest, uses := u.Shape, u.Grants.Uses
	if g.Scope == policy.ScopeReturn {
		digest, uses = u.Exact, 1
	}
	holder := Holder(g.Scope, u.Principal)
	return len(digest) > 0 && len(u.Key) > 0 && hmac.Equal(g.Tag, Tag(u.Key, d.RequestHash)) && hmac.Equal(g.Digest, digest) &&
		d.Target == u.Target && g.Database == u.Database && d.RuleHash == u.RuleHash && u.RuleHash != "" &&
		holder != nil && maps.Equal(holder, g.Holder) &&
		d.Uses >= 1 && d.Uses <= uses &&
		u.Now.Before(d.ExpiresAt.AsTime()) && d.ExpiresAt.AsTime().Sub(d.DecidedAt.AsTime()) <= u.Grants.Life+slack &&
		persons(d.Votes, u.Approvers.GetReasonRequired()) >= max(u.Approvers.GetCount(), 1) && disinterested(d, u) &&
		elected(d, u.Approvers.GetReasonRequired(), &electorate.Electorate{Approvers: u.Approvers, Requesters: g.Requesters, People: u.People, Requested: requested(d)}, u.Deadline, u.Now)
}

// requested is when an approval was asked for, as its decision says; the zero time
// where an older service did not say it.
func requested(d *eventv1.ApprovalDecision) time.Time {
	if d.RequestedAt == nil {
		return time.Time{}
	}
	return d.RequestedAt.AsTime()
}

// disinterested reports that everybody behind the principal was behind the
// request, too, and that none of them is among those who approved it.
func disinterested(d *eventv1.ApprovalDecision, u Use) bool {
	for _, account := range policy.Requesters(u.Principal) {
		if !slices.ContainsFunc(d.Grant.Requesters, func(a string) bool { return strings.EqualFold(a, account) }) {
			return false
		}
		person, known := u.People.Person(account)
		for _, v := range d.Votes {
			if strings.EqualFold(v.GetAccount(), account) || known && (v.GetPerson() == person || v.GetForPerson() == person) {
				return false
			}
		}
	}
	return true
}

// GrantedTo says in a phrase what a grant of a scope covers.
func GrantedTo(scope string) string {
	switch scope {
	case policy.ScopeRun:
		return "this statement with any values, for the rest of this run"
	case policy.ScopeJob:
		return "this statement with any values, by this job in any of its runs"
	case policy.ScopeReturn:
		return "this very command, once more, by the same job at the same commit"
	case ScopePlan:
		return "each statement of the plan, once and in its order, by the same job at the same commit"
	}
	return "this command"
}

// UsedUp is what a command gets whose grant has no use left, or was revoked
// between its click and its resumption.
func UsedUp(id string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ApprovalInvalid, ID: id, Message: "the approval has been used as often as it is good for, or was revoked",
		Hint: "run the command again to ask anew",
	}
}

// Refused returns the refusal for a decision that does not approve, made for a
// client that did not wait for it.
func Refused(d *eventv1.ApprovalDecision) *refusal.Refusal {
	return denied(d, Expectation{ApprovalID: d.ApprovalId})
}
