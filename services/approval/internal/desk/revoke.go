package desk

import (
	"context"
	"errors"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/store"
)

// Revocation ends a grant, by an account whose owner has been verified.
type Revocation struct {
	Approval, Account, Reason, Via string
	Groups                         []string // that the ID token names
	// Wide reports somebody who may end any grant: an administrator.
	Wide bool
}

// Revoke ends a grant. Whoever may vote on it may, and so may its requesters:
// ending only restricts. It returns nil once no gateway lets anything pass by it
// any more, or a *refusal.Refusal.
func (d *Desk) Revoke(ctx context.Context, r Revocation) (*machine.State, error) {
	if !validID.MatchString(r.Approval) {
		return nil, unknown(r.Approval)
	}
	st, err := d.change(ctx, r.Approval, func(st *machine.State) (bool, error) { return d.revoke(st, r) })
	if errors.Is(err, store.ErrUnknown) {
		return nil, unknown(r.Approval)
	}
	if err != nil {
		return nil, err
	}
	return st, d.tellRevoked(ctx, st)
}

func (d *Desk) revoke(st *machine.State, r Revocation) (bool, error) {
	req, err := st.Parse()
	if err != nil || req == nil {
		return false, errors.Join(err, unknown(r.Approval))
	}
	person := r.Account
	if book := d.Rules(); book != nil {
		if name, ok := book.People().Person(r.Account); ok {
			person = name
		}
	}
	if e, err := d.Electorate(req); !r.Wide {
		if err != nil { // the rule is another by now: then only administrators
			return false, refuse(st, err)
		}
		if _, refused := d.admitted(e, r); refused != nil && refused.Code != refusal.VoteSelf {
			refused.ID = st.ID
			return false, refused
		}
	}
	if st.Revoke(person, r.Account, r.Via, clean(r.Reason), d.Now()) {
		return true, nil
	}
	if st.Grant != nil && !st.Grant.Revoked.IsZero() {
		return false, nil // once more
	}
	return false, &refusal.Refusal{
		Code: refusal.ApprovalOver, ID: st.ID, Message: "there is no grant in force under this id", Hint: "'gatestay approvals grants' lists those in force",
	}
}

// tellRevoked puts the revocation on the stream of uses, where every gateway
// looks. It is safe to repeat.
func (d *Desk) tellRevoked(ctx context.Context, st *machine.State) error {
	if st.Grant == nil || st.Grant.Revoked.IsZero() || st.Grant.Told {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLimit)
	defer cancel()
	if _, err := d.Bus.PublishOnce(ctx, bus.RevokedSubject(st.ID), []byte(st.Grant.By)); err != nil && !errors.Is(err, ErrTaken) {
		return err
	}
	_, err := d.change(ctx, st.ID, func(st *machine.State) (bool, error) {
		if st.Grant == nil || st.Grant.Told {
			return false, nil
		}
		g := *st.Grant
		g.Told = true
		st.Grant = &g
		return true, nil
	})
	return err
}

// GrantEnded has the message of a grant whose time is over show that.
func (d *Desk) GrantEnded(ctx context.Context, id string) error {
	_, err := d.change(ctx, id, func(st *machine.State) (bool, error) { return st.GrantEnded(d.Now()), nil })
	return err
}
