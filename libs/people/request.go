package people

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Gateway stands in the place of a gateway in the policy service's own requests;
// no gateway may have it as its id.
const Gateway = "policy"

// Wait is how long a change waits for its approvers before they are asked anew.
const Wait = 23 * time.Hour

// Author is the requester of a change in a file: nobody knows who wrote it, so it
// could be any of those who vote, and one more of them must agree.
const Author = "file:" + policy.PeopleFile

const (
	session = "people"
	target  = "people map"
)

// Hash names a state of people.yaml: the hash of the rule that a change falls under.
func Hash(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Digest is that of the one step from a state to another (SHA-256, 32 bytes).
func Digest(from, to []byte) []byte {
	a, b := sha256.Sum256(from), sha256.Sum256(to)
	sum := sha256.Sum256(append(append([]byte("gatestay/people-change/v1\x00"), a[:]...), b[:]...))
	return sum[:]
}

// Request asks for a change of the map in force. version is that of the bundle
// that has it.
func Request(now *policy.People, from, to []byte, change policy.Change, version uint64, at time.Time) *eventv1.ApprovalRequest {
	a, b := sha256.Sum256(from), sha256.Sum256(to)
	return &eventv1.ApprovalRequest{
		Id: approval.NewID(), Gateway: Gateway, SessionId: session, CommandId: command(from, to), Target: target,
		Principal: principal(), Requesters: append([]string{Author}, change.Touched...), People: &eventv1.PeopleChange{From: a[:], To: b[:]},
		Rule: policy.PeopleFile, RuleHash: Hash(from), PolicyVersion: version, Approvers: now.Changes().Event(),
		RuleDescription: "Who is who decides who may approve: a change takes a second person. Nobody counts whose own accounts or passkeys it adds or alters.",
		Verb:            "change", Class: "people", Objects: []*eventv1.Object{{Name: policy.PeopleFile, Access: "write"}},
		Statement: strings.Join(change.Lines, "\n"), Digest: Digest(from, to), RequestedAt: timestamppb.New(at), Deadline: timestamppb.New(at.Add(Wait)),
	}
}

func principal() *eventv1.Principal {
	return &eventv1.Principal{Issuer: "gatestay", Subject: "somebody who can write the policy folder"}
}

func command(from, to []byte) string { return "people_" + hex.EncodeToString(Digest(from, to)[:12]) }

// Expect is what a decision must be for a change to be made: all of it from the
// policy service's own memory. raw are the request's bytes as published.
func Expect(r *eventv1.ApprovalRequest, raw []byte, now *policy.People, from, to []byte, change policy.Change, at time.Time) approval.Expectation {
	a := now.Changes().Event()
	return approval.Expectation{
		ApprovalID: r.Id, Gateway: Gateway, Session: session, Command: command(from, to), Principal: principal(), Target: target,
		RuleHash: Hash(from), Digest: Digest(from, to), RequestHash: approval.RequestHash(raw), Count: a.GetCount(), Now: at,
		Electorate: func() *electorate.Electorate {
			e := Electorate(now, change)
			e.Requested = r.RequestedAt.AsTime()
			return e
		},
	}
}

// Electorate is who may approve a change, by the map that it replaces.
func Electorate(now *policy.People, change policy.Change) *electorate.Electorate {
	return &electorate.Electorate{Approvers: now.Changes().Event(), Requesters: append([]string{Author}, change.Touched...), People: now}
}

// Problem says what is wrong with a request in the policy service's name, whatever
// the map says; empty is nothing.
func Problem(r *eventv1.ApprovalRequest) string {
	switch {
	case r.GetPeople() == nil:
		return "it asks for no change of the people map"
	case r.Rule != policy.PeopleFile || r.Plan != nil || r.Offer != nil || r.Returned || len(r.Parameters) > 0:
		return "it is a change of the people map and something else"
	case len(r.People.From) != sha256.Size || len(r.People.To) != sha256.Size || bytes.Equal(r.People.From, r.People.To):
		return "it does not say which states it leads from and to"
	case hex.EncodeToString(r.People.From) != r.RuleHash:
		return "it is not asked of the map that it replaces"
	case r.Requesters == nil:
		return "it has no author"
	}
	return ""
}

// Mark returns what proves that a policy service made a request, as it travels
// beside it.
func Mark(key *seal.Key, raw []byte) ([]byte, error) {
	signed := key.Sign(seal.ContextPeopleChange, raw)
	signed.Payload = nil
	return proto.Marshal(signed) //nolint:wrapcheck // bytes: it does not fail
}

// Marked reports that a trusted policy service made a request.
func Marked(trust seal.Trust, raw, mark []byte) bool {
	signed := &eventv1.Signed{}
	if len(mark) == 0 || proto.Unmarshal(mark, signed) != nil {
		return false
	}
	signed.Payload = raw
	_, err := trust.Open(seal.ContextPeopleChange, signed)
	return err == nil
}
