package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var validID = regexp.MustCompile(`^apr_[0-9A-HJKMNP-TV-Z]{26}$`)

// Found is what the stream has of an approval, whichever gateway asked for it.
type Found struct {
	Request *eventv1.ApprovalRequest // not signed: the decision names it by its hash
	Raw     []byte                   // the request's exact bytes
	// Decision is signed by a trusted key; nil while it waits, or where it was
	// cancelled.
	Decision  *eventv1.ApprovalDecision
	Cancelled bool
}

// Find looks an approval up. It returns ErrNone where there is none.
func (b *Book) Find(ctx context.Context, id string) (*Found, error) {
	if !validID.MatchString(id) {
		return nil, ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	raw, err := b.event(ctx, id, bus.Requested)
	if err != nil {
		return nil, err
	}
	f := &Found{Request: &eventv1.ApprovalRequest{}, Raw: raw}
	if proto.Unmarshal(raw, f.Request) != nil || f.Request.Id != id {
		return nil, ErrNone
	}
	switch _, err := b.event(ctx, id, bus.Cancelled); {
	case err == nil:
		f.Cancelled = true
	case !errors.Is(err, ErrNone):
		return nil, err
	}
	raw, err = b.event(ctx, id, bus.Decided)
	if errors.Is(err, ErrNone) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	signed := &eventv1.Signed{}
	if proto.Unmarshal(raw, signed) != nil {
		return f, nil
	}
	d, err := approval.OpenDecision(b.trust, signed)
	if err != nil || d.ApprovalId != id {
		b.log.Error().Err(err).Str("approval_id", id).Msg("a decision that does not fit was ignored")
		return f, nil
	}
	f.Decision = d
	return f, nil
}

// event is the last one of a kind for an approval.
func (b *Book) event(ctx context.Context, id, kind string) ([]byte, error) {
	return b.last(ctx, bus.StreamApprovals, bus.ApprovalSubject("*", id, kind))
}

func (b *Book) last(ctx context.Context, stream, subject string) ([]byte, error) {
	to, err := b.connected()
	if err != nil {
		return nil, err
	}
	s, err := to.JS.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	m, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	return m.Data, nil
}

// Step takes step n of a plan, or use n of a grant, from 1: true for one of all who
// ask, ever.
func (b *Book) Step(ctx context.Context, id string, n uint32, by Use) (bool, error) {
	to, err := b.connected()
	if err != nil {
		return false, err
	}
	raw, err := json.Marshal(by)
	if err != nil {
		return false, fmt.Errorf("grant: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return first(ctx, to, bus.UseSubject(id, n), raw)
}

// Stepped reports that step n was taken, by whomever.
func (b *Book) Stepped(ctx context.Context, id string, n uint32) (bool, error) {
	return b.has(ctx, bus.UseSubject(id, n))
}

// Revoked reports that an approval was revoked.
func (b *Book) Revoked(ctx context.Context, id string) (bool, error) {
	return b.has(ctx, bus.RevokedSubject(id))
}

func (b *Book) has(ctx context.Context, subject string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := b.last(ctx, bus.StreamUses, subject)
	if errors.Is(err, ErrNone) {
		return false, nil
	}
	return err == nil, err
}
