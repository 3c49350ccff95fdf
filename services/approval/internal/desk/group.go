package desk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/refusal"
)

// Directory knows Slack's user groups (chat.Client).
type Directory interface {
	// InGroup reports whether a user is in a group, by an answer at most ten
	// seconds old; an error where none can be had.
	InGroup(group, user string) (bool, error)
}

// Groups returns those of the electorate's groups that a voter is in now, as a
// ballot carries them: of the sign-in groups, those that their ID token names;
// of Slack's, those with a Slack account of the same person. With an error some
// may be missing.
func (d *Desk) Groups(e *electorate.Electorate, account string, signIn []string) (found []string, err error) {
	slack, oidc := e.Groups()
	for _, name := range oidc {
		if slices.Contains(signIn, name) {
			found = append(found, electorate.SignInGroup(name))
		}
	}
	accounts := []string{account}
	if v := e.Voter(account); v.Mapped && !strings.HasPrefix(account, "slack:") {
		accounts = e.People.Accounts(v.Person)
	}
	for _, id := range slack {
		in, failed := d.inGroup(id, accounts)
		if failed != nil {
			err = errors.Join(err, failed)
		}
		if in {
			found = append(found, electorate.SlackGroup(id))
		}
	}
	return found, err
}

func (d *Desk) inGroup(id string, accounts []string) (bool, error) {
	for _, account := range accounts {
		user, ok := strings.CutPrefix(account, "slack:")
		if !ok {
			continue
		}
		if d.Slack == nil {
			return false, errors.New("desk: Slack is off, and so nobody can be found in a user group")
		}
		if in, err := d.Slack.InGroup(id, user); err != nil || in {
			if err != nil {
				return false, fmt.Errorf("desk: group %s: %w", id, err)
			}
			return true, nil
		}
	}
	return false, nil
}

// admit says who votes, and by which groups. What Slack does not tell counts
// as not so: then a vote that rests on a group, or that may fill a place by it,
// is not taken at all, so that it can be given again.
func (d *Desk) admit(e *electorate.Electorate, b Ballot, now time.Time) (electorate.Voter, []string, *refusal.Refusal) {
	groups, err := d.Groups(e, b.Account, b.Groups)
	voter, refused := e.Admit(electorate.Ballot{Account: b.Account, Groups: groups, At: now, AnyTime: b.Vote != approval.Approve})
	stranger := refused != nil && refused.Code == refusal.VoteForbidden
	if err != nil && (stranger || refused == nil && b.Vote == approval.Approve && len(e.Approvers.GetAllOf()) > 0) {
		d.Log.Warn().Err(err).Str("approval_id", b.Approval).Msg("a vote was refused: it cannot be told who is in a group")
		refused = &refusal.Refusal{
			Code: refusal.VoteForbidden, Message: "Slack does not say just now who is in a group that may approve, so your vote was not taken",
			Hint: "try again in a few seconds",
		}
	}
	return voter, groups, refused
}

// admitted is admit for whoever would revoke a grant.
func (d *Desk) admitted(e *electorate.Electorate, r Revocation) (electorate.Voter, *refusal.Refusal) {
	voter, _, refused := d.admit(e, Ballot{Approval: r.Approval, Account: r.Account, Groups: r.Groups}, d.Now())
	return voter, refused
}
