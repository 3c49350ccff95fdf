package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

const publishLimit = 5 * time.Second

// StepsSubject is where the records of all approvals go: the subject that
// belongs to machine.Producer.
var StepsSubject = bus.AdminSubject("approval", "steps")

// Publisher is the bus, as far as the desk needs it.
type Publisher interface {
	// PublishOnce publishes where the subject holds no message yet; ErrTaken
	// with the message that is there otherwise.
	PublishOnce(ctx context.Context, subject string, raw []byte) (there []byte, err error)
	Publish(ctx context.Context, subject string, raw []byte) error
	PublishBatch(ctx context.Context, subject string, b *eventv1.Batch, raw []byte) error
}

// ErrTaken is returned by PublishOnce when the subject holds a message.
var ErrTaken = errors.New("desk: the subject holds a message already")

// announce puts the decision on the stream, once.
func (d *Desk) announce(ctx context.Context, st *machine.State) error {
	subject := bus.ApprovalSubject(st.Gateway, st.ID, bus.Decided)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	there, err := d.Bus.PublishOnce(ctx, subject, st.Decision)
	if !errors.Is(err, ErrTaken) {
		return err
	}
	if bytes.Equal(there, st.Decision) {
		return nil
	}
	// Somebody else wrote there. The gateway ignores what does not verify; ours
	// must reach it all the same.
	d.Finding("approval.decision_forged", map[string]string{"gateway": st.Gateway, "approval_id": st.ID})
	return d.Bus.Publish(ctx, subject, st.Decision)
}

// Settle puts on the bus what a step left behind: decision and records. It is
// safe to repeat.
func (d *Desk) Settle(ctx context.Context, id string) error {
	st, _, err := d.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	if len(st.Decision) > 0 && !st.Announced {
		if err := d.announce(ctx, st); err != nil {
			return err
		}
	}
	for _, raw := range st.Chain.Outgoing {
		b := &eventv1.Batch{}
		if err := proto.Unmarshal(raw, b); err != nil {
			return fmt.Errorf("desk: batch of %s: %w", id, err)
		}
		if err := d.Bus.PublishBatch(ctx, StepsSubject, b, raw); err != nil {
			return fmt.Errorf("desk: %w", err)
		}
	}
	if err := errors.Join(d.tellRevoked(ctx, st), d.tellClosed(ctx, st)); err != nil {
		return err
	}
	sent := st.Chain.Outgoing
	_, err = d.change(ctx, id, func(now *machine.State) (bool, error) {
		n := 0
		for n < len(sent) && n < len(now.Chain.Outgoing) && bytes.Equal(sent[n], now.Chain.Outgoing[n]) {
			n++
		}
		now.Chain.Outgoing = now.Chain.Outgoing[n:]
		announced := len(now.Decision) > 0 && !now.Announced && bytes.Equal(now.Decision, st.Decision)
		now.Announced = now.Announced || announced
		return n > 0 || announced, nil
	})
	return err
}

// JetStream is the Publisher on a real bus.
type JetStream struct{ JS jetstream.JetStream }

var _ Publisher = JetStream{}

// PublishOnce publishes with the expectation that the subject is empty.
func (j JetStream) PublishOnce(ctx context.Context, subject string, raw []byte) ([]byte, error) {
	_, err := j.JS.Publish(ctx, subject, raw, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		if err != nil {
			return nil, fmt.Errorf("desk: publish: %w", err)
		}
		return nil, nil
	}
	name := bus.StreamApprovals
	if strings.HasPrefix(subject, bus.UsePrefix) {
		name = bus.StreamUses
	}
	stream, err := j.JS.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("desk: stream: %w", err)
	}
	last, err := stream.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("desk: last of %s: %w", subject, err)
	}
	return last.Data, ErrTaken
}

// Publish publishes without expectation.
func (j JetStream) Publish(ctx context.Context, subject string, raw []byte) error {
	if _, err := j.JS.Publish(ctx, subject, raw); err != nil {
		return fmt.Errorf("desk: publish: %w", err)
	}
	return nil
}

// PublishBatch publishes a batch of records.
func (j JetStream) PublishBatch(ctx context.Context, subject string, b *eventv1.Batch, raw []byte) error {
	return bus.PublishBatch(ctx, j.JS, subject, b, raw)
}
