package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// pending is the change that was asked for last.
type pending struct {
	Request []byte `json:"request"` // exact bytes
	Mark    []byte `json:"mark"`    // people.Mark of them: who wrote into the bucket cannot change what is asked
	Sent    bool   `json:"sent"`
	Denied  string `json:"denied,omitempty"` // in words

	request  *eventv1.ApprovalRequest
	revision uint64
}

// Decided takes a decision off the bus. It may be called at any time.
func (g *Guard) Decided(id string, raw []byte) {
	signed := &eventv1.Signed{}
	if proto.Unmarshal(raw, signed) != nil {
		return
	}
	if trust, err := g.Approvals(); err == nil {
		if _, err := approval.OpenDecision(trust, signed); err != nil { // strangers take no room
			g.Log.Error().Err(err).Str("approval_id", id).Msg("a decision about the people map that no approval service signed was ignored")
			return
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.decisions == nil {
		g.decisions = map[string][]*eventv1.Signed{}
	}
	if len(g.decisions[id]) < maxDecisions && len(g.decisions) < maxApprovals {
		g.decisions[id] = append(g.decisions[id], signed)
	}
}

// The bounds of what forgers can have this process remember.
const (
	maxDecisions = 16
	maxApprovals = 4096
)

func (g *Guard) offered(id string) []*eventv1.Signed {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.decisions[id]
}

// ask goes on with a change: asks for it, waits, or makes it.
func (g *Guard) ask(ctx context.Context, s *step) (Verdict, error) {
	p, err := g.pending(ctx)
	if err != nil {
		return Verdict{}, err
	}
	if p == nil || !bytes.Equal(p.request.Digest, people.Digest(s.from, s.to)) || p.Denied == "" && !g.Now().Before(p.request.Deadline.AsTime()) {
		return g.askAnew(ctx, s, p)
	}
	if p.Denied != "" {
		return Verdict{Map: s.from, Finding: waits("was denied ("+p.Denied+")", "put the file back, or change it again: that asks anew")}, nil
	}
	if !p.Sent {
		if err := g.send(ctx, p); err != nil {
			return Verdict{}, err
		}
	}
	for _, signed := range g.offered(p.request.Id) {
		v, err := g.decided(ctx, s, p, signed)
		if v != nil || err != nil {
			return *or(v), err
		}
	}
	return Verdict{Map: s.from, Finding: g.waiting(s, p)}, nil
}

func or(v *Verdict) *Verdict {
	if v == nil {
		return &Verdict{}
	}
	return v
}

func (g *Guard) waiting(s *step, p *pending) *policy.Finding {
	return waits("waits for "+people.Electorate(s.now, s.change).InWords(g.Now())+" ("+p.request.Id+"): "+strings.Join(s.change.Lines, "; "),
		"have it approved in Slack, in the inbox or with 'gatestay approvals'; until then all else is published with the map in force")
}

// decided judges a decision that was offered for a change; nil where it says
// nothing about it.
func (g *Guard) decided(ctx context.Context, s *step, p *pending, signed *eventv1.Signed) (*Verdict, error) {
	trust, err := g.Approvals()
	if err != nil {
		return nil, fmt.Errorf("guard: trust.approval: %w", err)
	}
	d, err := approval.Verify(trust, signed, people.Expect(p.request, p.Request, s.now, s.from, s.to, s.change, g.Now()))
	switch {
	case d == nil:
		return nil, g.forged(ctx, p, signed, err)
	case err == nil:
		raw, err := proto.Marshal(signed)
		if err != nil {
			return nil, fmt.Errorf("guard: %w", err)
		}
		names, _ := approval.Approving(d)
		return &Verdict{Map: s.to}, g.confirm(ctx, s.to, people.Approved, s.change, func(next *people.State) {
			next.By, next.Approval, next.Request, next.Decision = names, d.ApprovalId, p.Request, raw
		})
	case d.Outcome == approval.Denied:
		var r *refusal.Refusal
		if errors.As(err, &r) {
			p.Denied = r.Detail
		}
		p.Denied = strings.TrimSuffix(p.Denied+" "+p.request.Id, " ")
		if err := g.save(ctx, p); err != nil {
			return nil, err
		}
		return &Verdict{Map: s.from, Finding: waits("was denied ("+p.Denied+")", "put the file back, or change it again: that asks anew")}, nil
	}
	v, err := g.askAnew(ctx, s, p) // expired, cancelled, or approved too long ago
	return &v, err
}

// forged records, once, a decision that does not fit.
func (g *Guard) forged(ctx context.Context, p *pending, signed *eventv1.Signed, why error) error {
	key := p.request.Id + "\x00" + string(signed.Signature)
	if g.refused == nil {
		g.refused = map[string]bool{}
	}
	if g.refused[key] {
		return nil
	}
	g.refused[key] = true
	g.Log.Error().Err(why).Str("approval_id", p.request.Id).Msg("a decision that does not fit the change of the people map was ignored")
	detail := ""
	var r *refusal.Refusal
	if errors.As(why, &r) {
		detail = r.Detail
	}
	return g.Record(ctx, &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "people.decision_refused", Actor: "policy", ApprovalId: p.request.Id,
		Message: "a decision was offered that does not fit the change of the people map", Details: map[string]string{"why": detail},
	})
}

// askAnew raises a request in the place of one that is of no use any more.
func (g *Guard) askAnew(ctx context.Context, s *step, old *pending) (Verdict, error) {
	if old != nil {
		if err := g.cancel(ctx, old); err != nil {
			return Verdict{}, err
		}
	}
	e := people.Electorate(s.now, s.change)
	if a := e.Attainable(); !a.Met() {
		return Verdict{Map: s.from, Finding: waits(fmt.Sprintf("takes %d approvers who gain nothing by it, and the map in force has %d: %s", a.Needed, len(a.Counted), strings.Join(s.change.Lines, "; ")),
			remedyMachine)}, nil
	}
	b, err := g.Current(ctx)
	if err != nil {
		return Verdict{}, err
	}
	p := &pending{request: people.Request(s.now, s.from, s.to, s.change, b.GetVersion(), g.Now())}
	if old != nil {
		p.revision = old.revision
	}
	if p.Request, err = proto.Marshal(p.request); err == nil {
		p.Mark, err = people.Mark(g.Key, p.Request)
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("guard: %w", err)
	}
	if err := g.save(ctx, p); err != nil { // another replica may be asking
		return Verdict{}, err
	}
	err = g.Record(ctx, &eventv1.Record{
		Kind: eventv1.Kind_KIND_ADMIN, Action: "people.change_requested", Actor: "file watch", ApprovalId: p.request.Id,
		Details: map[string]string{"changes": lines(s.change.Lines), "sha256": people.Hash(s.to)},
	})
	if err == nil {
		err = g.send(ctx, p)
	}
	return Verdict{Map: s.from, Finding: g.waiting(s, p)}, err
}

func (g *Guard) send(ctx context.Context, p *pending) error {
	if err := g.Send(ctx, bus.Requested, p.request.Id, p.Request, p.Mark); err != nil {
		return err
	}
	p.Sent = true
	return g.save(ctx, p)
}

// withdraw ends what waits, if anything: the folder has the map in force.
func (g *Guard) withdraw(ctx context.Context) error {
	p, err := g.pending(ctx)
	if p == nil || err != nil {
		return err
	}
	if g.state.Approval != p.request.Id { // else it is done
		if err := g.cancel(ctx, p); err != nil {
			return err
		}
	}
	if err := g.KV.Delete(ctx, pendingKey, jetstream.LastRevision(p.revision)); err != nil {
		return fmt.Errorf("guard: forget the change that waited: %w", err)
	}
	return nil
}

// cancel tells the approval service that nobody waits any more.
func (g *Guard) cancel(ctx context.Context, p *pending) error {
	if !p.Sent || p.Denied != "" {
		return nil
	}
	raw, err := proto.Marshal(&eventv1.ApprovalCancelled{ApprovalId: p.request.Id, Reason: approval.Withdrawn, At: timestamppb.New(g.Now())})
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return g.Send(ctx, bus.Cancelled, p.request.Id, raw, nil)
}

// pending reads what waits; nil where there is nothing of ours.
func (g *Guard) pending(ctx context.Context) (*pending, error) {
	e, err := g.KV.Get(ctx, pendingKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil //nolint:nilnil // nothing waits
	}
	if err != nil {
		return nil, fmt.Errorf("guard: read the bucket: %w", err)
	}
	p := &pending{revision: e.Revision(), request: &eventv1.ApprovalRequest{}}
	if json.Unmarshal(e.Value(), p) != nil || !people.Marked(g.Trust, p.Request, p.Mark) || proto.Unmarshal(p.Request, p.request) != nil {
		p = &pending{revision: e.Revision(), request: &eventv1.ApprovalRequest{}} // matches no change: it is asked anew
	}
	return p, nil
}

func (g *Guard) save(ctx context.Context, p *pending) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	if p.revision == 0 {
		p.revision, err = g.KV.Create(ctx, pendingKey, raw)
	} else {
		p.revision, err = g.KV.Update(ctx, pendingKey, raw, p.revision)
	}
	if err != nil {
		return fmt.Errorf("guard: remember the change that waits: %w", err)
	}
	return nil
}
