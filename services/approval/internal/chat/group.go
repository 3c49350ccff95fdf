package chat

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

const (
	maxGroups   = 256
	failureLife = time.Second
)

// groups remembers who is in a user group, for memberLife.
type groups struct {
	mu   sync.Mutex
	seen map[string]*group
}

type group struct {
	mu      sync.Mutex // held while Slack is asked: one question at a time for a group
	members []string
	at      time.Time // when it was asked
	err     error     // of the last question
	failed  time.Time
}

func (g *groups) get(id string) *group {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil || len(g.seen) >= maxGroups && g.seen[id] == nil {
		g.seen = map[string]*group{}
	}
	if g.seen[id] == nil {
		g.seen[id] = &group{}
	}
	return g.seen[id]
}

// InGroup reports whether a user is in a user group, as Slack said at most ten
// seconds ago. A disabled group, and one that is gone, has no members. While
// Slack does not answer, or limits us, nobody can tell: an error, which stands
// for a second.
func (c *Client) InGroup(id, user string) (bool, error) {
	g := c.groups.get(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	now := c.o.Now()
	if g.err != nil && now.Sub(g.failed) < failureLife {
		return false, g.err
	}
	if g.at.IsZero() || now.Sub(g.at) >= memberLife || now.Before(g.at) {
		// Others wait for this answer, too: it must not end with one caller.
		ctx, cancel := context.WithTimeout(context.Background(), memberLimit)
		defer cancel()
		members, err := c.api.GetUserGroupMembersContext(ctx, id, slack.GetUserGroupMembersOptionIncludeDisabled(false))
		c.o.Metrics.call("usergroups.users.list", err)
		if err != nil && Diagnose(err).Code != "no_such_subteam" {
			g.err, g.failed = wrap("group", err), c.o.Now()
			return false, g.err
		}
		g.members, g.at, g.err = members, now, nil
	}
	return slices.Contains(g.members, user), nil
}
