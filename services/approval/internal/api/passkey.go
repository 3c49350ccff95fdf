package api

import (
	"context"

	"github.com/gatestay/gatestay/services/approval/internal/desk"
)

// Passkey is one of the caller's, as the people map has it.
type Passkey struct {
	Name string `json:"name"`
	// Fingerprint tells it from others, as the words of a change of the map do.
	Fingerprint string `json:"fingerprint"`
}

// Passkeys returns the caller's.
func (c *Caller) Passkeys() []Passkey {
	_, keys := c.People().Passkeys(c.Person)
	out := []Passkey{}
	for _, k := range keys {
		out = append(out, Passkey{k.Name, k.Fingerprint()})
	}
	return out
}

// Challenge returns what the caller's passkey is to sign for a vote to approve.
func (c *Caller) Challenge(ctx context.Context, b desk.Ballot) (*desk.Challenge, error) {
	if _, err := c.Find(ctx, b.Approval); err != nil {
		return nil, err
	}
	st, _, err := c.Store.Get(ctx, b.Approval)
	if err != nil {
		return nil, err
	}
	b.Account = c.Account
	return c.Desk.Challenge(st, c.Person, b)
}
