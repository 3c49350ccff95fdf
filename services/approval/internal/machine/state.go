// Package machine is the state of one approval and its transitions. It does no
// I/O: a transition changes a copy, which the store writes with compare-and-set,
// so that of two racing transitions one happens and the other is tried anew on
// what the first left behind.
//
//	waiting ── votes suffice ──▶ approved ── the gateway could not use it ──▶ approved, void
//	   ├────── a vote to deny ─▶ denied
//	   ├────── deadline ───────▶ expired
//	   └────── gateway gave up, rule changed ─▶ cancelled
package machine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Status is where an approval stands.
type Status string

// Waiting is the one status that is not an outcome; the others are those of
// libs/approval.
const (
	Waiting   Status = "waiting"
	Approved  Status = approval.Approved
	Denied    Status = approval.Denied
	Expired   Status = approval.Expired
	Cancelled Status = approval.Cancelled
)

// State is all that is known of one approval, as the bucket keeps it.
type State struct {
	ID       string    `json:"id"`
	Gateway  string    `json:"gateway"`
	Status   Status    `json:"status"`
	Received time.Time `json:"received"`
	Ended    time.Time `json:"ended,omitzero"`
	// Request is the request's exact bytes. It is empty where a cancellation
	// overtook the request.
	Request []byte `json:"request,omitempty"`
	// Tag is the gateway's own word that it made the request (libs/approval.Tag).
	Tag   []byte `json:"tag,omitempty"`
	Votes []Vote `json:"votes,omitempty"`
	// Needed is how many distinct persons must approve, at the last look.
	Needed int `json:"needed,omitempty"`
	// Why tells why it was cancelled, or denied by what the service found.
	Why string `json:"why,omitempty"`
	// Void tells why the gateway could not use the approval.
	Void string `json:"void,omitempty"`
	// Decision is the marshalled Signed decision; Announced that it is on the
	// stream.
	Decision  []byte      `json:"decision,omitempty"`
	Announced bool        `json:"announced,omitempty"`
	Chain     Chain       `json:"chain"`
	Grant     *Grant      `json:"grant,omitempty"`
	Latest    *Run        `json:"latest,omitempty"`    // of the commands that it let pass
	Glass     *Glass      `json:"glass,omitempty"`     // of a break-glass
	Escalated *Escalation `json:"escalated,omitempty"` // nil before the first
	Slack     Slack       `json:"slack"`
	// Questions were asked of who is behind it.
	Questions []Question `json:"questions,omitempty"`
	// Hooks are the webhooks that are told of it, by name.
	Hooks map[string]Hook `json:"hooks,omitempty"`

	request *eventv1.ApprovalRequest
}

// Vote is one person's vote.
type Vote struct {
	Person  string    `json:"person"`
	Account string    `json:"account"`
	Vote    string    `json:"vote"` // approve, deny
	Reason  string    `json:"reason,omitempty"`
	Via     string    `json:"via"` // slack, cli, web
	At      time.Time `json:"at"`
	// Groups are those of the rule in which the voter was found.
	Groups []string `json:"groups,omitempty"`
	// For is in whose place they voted; empty: as themselves.
	For string `json:"for,omitempty"`
	// Scope is empty for the command alone; Uses and Life, 0 for all that the rule
	// lets, are of a grant.
	Scope string        `json:"scope,omitempty"`
	Uses  uint32        `json:"uses,omitempty"`
	Life  time.Duration `json:"life,omitempty"`
	// Assertion is what the voter's passkey made of it, marshalled.
	Assertion []byte `json:"assertion,omitempty"`
	// Counted is set when the decision is made.
	Counted bool `json:"counted,omitempty"`
}

// Slack is the state of the approval's message.
type Slack struct {
	Channel string `json:"channel,omitempty"`
	TS      string `json:"ts,omitempty"`
	// Shown identifies the content that the message has, empty before the first
	// post; Final that it needs no further look.
	Shown string `json:"shown,omitempty"`
	Final bool   `json:"final,omitempty"`
	// Approvable says whether the message has an Approve button.
	Approvable bool `json:"approvable,omitempty"`
	// Attempted is set before the first post: it may be there though its
	// answer never came.
	Attempted bool `json:"attempted,omitempty"`
	// Claim and Until say which process works on the message, and until when
	// others keep off.
	Claim string    `json:"claim,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Trouble is Slack's last error code, empty when all is well.
	Trouble string `json:"trouble,omitempty"`
	Notes   []Note `json:"notes,omitempty"` // in its thread
}

// New returns the state of a request that has just come.
func New(gateway string, raw []byte, r *eventv1.ApprovalRequest, now time.Time) *State {
	return &State{ID: r.Id, Gateway: gateway, Status: Waiting, Received: now.UTC(), Request: raw, request: r}
}

// Tombstone is the state of an approval whose cancellation overtook its request.
func Tombstone(gateway, id, reason string, now time.Time) *State {
	return &State{ID: id, Gateway: gateway, Status: Cancelled, Received: now.UTC(), Ended: now.UTC(), Why: reason, Slack: Slack{Final: true}}
}

// Parse reads what the bucket keeps; nil where no request has come.
func (s *State) Parse() (*eventv1.ApprovalRequest, error) {
	if s.request == nil && len(s.Request) > 0 {
		r := &eventv1.ApprovalRequest{}
		if err := proto.Unmarshal(s.Request, r); err != nil {
			return nil, fmt.Errorf("machine: request of %s: %w", s.ID, err)
		}
		s.request = r
	}
	return s.request, nil
}

// Clone returns a copy that a transition may change.
func (s *State) Clone() *State {
	c := *s
	c.Votes = slices.Clone(s.Votes)
	c.Chain.Outgoing = slices.Clone(s.Chain.Outgoing)
	c.Slack.Notes = slices.Clone(s.Slack.Notes)
	c.Hooks, c.Questions = maps.Clone(s.Hooks), slices.Clone(s.Questions)
	return &c
}

// Done reports that an outcome is reached, or that nobody is waited for.
func (s *State) Done() bool { return s.Status != Waiting }

// Settled reports that nothing is left to be done: the decision and the
// records are on the bus and the message shows the outcome.
func (s *State) Settled() bool {
	return s.Done() && s.Status != InReview && (s.Glass == nil || s.Glass.Told) && (len(s.Decision) == 0 || s.Announced) && len(s.Chain.Outgoing) == 0 && s.Slack.Final && !s.untold() &&
		(s.Grant == nil || s.Grant.Over && (s.Grant.Revoked.IsZero() || s.Grant.Told))
}

// Has reports that an account has given this vote.
func (s *State) Has(account, vote string) bool {
	return slices.ContainsFunc(s.Votes, func(v Vote) bool { return v.Account == account && v.Vote == vote })
}
