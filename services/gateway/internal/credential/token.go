package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/refusal"
)

// Use says when and for what a token was used.
type Use struct {
	By      string    `json:"by"` // session or run id
	Gateway string    `json:"gateway"`
	At      time.Time `json:"at"`
}

// UsedTokens admits each single-use token once, over all gateways: the first
// message on the token's subject wins, the stream refuses any other.
type UsedTokens struct {
	bus atomic.Pointer[bus.Bus]
}

// Connect sets the bus; until then no token is admitted.
func (u *UsedTokens) Connect(b *bus.Bus) { u.bus.Store(b) }

// Claim uses a token up for one session or run. It returns *refusal.Refusal
// GS1105 where the token was used before, and GS1407 where that cannot be
// known: then nobody gets in.
func (u *UsedTokens) Claim(ctx context.Context, replayKey string, use Use) error {
	b := u.bus.Load()
	if b == nil {
		return unavailable(errors.New("credential: not connected yet"))
	}
	raw, err := json.Marshal(use)
	if err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	subject := bus.TokenPrefix + replayKey
	m := nats.NewMsg(subject)
	m.Data = raw
	_, err = b.JS.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(0))
	if err == nil {
		return nil
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return unavailable(err)
	}
	before, readErr := first(ctx, b, subject)
	if readErr != nil {
		return unavailable(errors.Join(err, readErr))
	}
	return &refusal.Refusal{
		Code:    refusal.TokenUsed,
		Message: fmt.Sprintf("this token was already used, at %s, by %s", before.At.UTC().Format(time.RFC3339), before.By),
		Detail:  "Tokens of this issuer open one connection, once. A pool, psql's \\c or a parallel tool needs more than one.",
		Hint:    "Wrap the step in 'gatestay run TARGET -- COMMAND', which exchanges one token for all its connections, or ask the CI system for a fresh token.",
		ID:      before.By[strings.LastIndexByte(before.By, ' ')+1:],
	}
}

func first(ctx context.Context, b *bus.Bus, subject string) (*Use, error) {
	s, err := b.JS.Stream(ctx, bus.StreamTokens)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	m, err := s.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	use := &Use{}
	if err := json.Unmarshal(m.Data, use); err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	return use, nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", &refusal.Refusal{
		Code:    refusal.BusUnavailable,
		Message: "it cannot be known whether this token was used before: the bus does not answer",
		Hint:    "Try again in a moment; the gateway refuses sign-ins until it is back.",
	}, err)
}
