package localslack

import "slices"

// User is a member of the workspace, or a stranger in a shared channel.
type User struct {
	ID       string // U…
	Name     string // handle
	RealName string // default: the handle
	TeamID   string // default: the workspace's; another for a stranger from a connected one
	Title    string // shown on the page
	Email    string
	Deleted  bool // deactivated
	Bot      bool
	Admin    bool
	// Guest is a multi-channel guest, SingleChannelGuest one of one channel.
	Guest, SingleChannelGuest bool
}

// Group is a user group.
type Group struct {
	ID      string // S…
	Handle  string
	Members []string // user ids
	// Disabled groups answer as if they were not there.
	Disabled bool
}

// Channel is a public channel that the app has been added to.
type Channel struct {
	ID    string // C…
	Name  string // without #
	Topic string
	// Members are user ids; empty means everybody.
	Members []string
	// Archived channels take no posts. NotMember: the app was not invited.
	Archived, NotMember bool
	Private             bool
}

// json is the user as users.info returns it.
func (u *User) json(team string) map[string]any {
	name := u.RealName
	if name == "" {
		name = u.Name
	}
	return map[string]any{
		"id": u.ID, "team_id": u.TeamID, "name": u.Name, "real_name": name, "deleted": u.Deleted,
		"is_bot": u.Bot, "is_admin": u.Admin, "is_owner": false, "is_primary_owner": false, "is_app_user": false,
		"is_restricted": u.Guest || u.SingleChannelGuest, "is_ultra_restricted": u.SingleChannelGuest,
		"is_stranger": u.TeamID != team, "is_email_confirmed": true, "tz": "Europe/Berlin", "tz_offset": 3600, "color": "4bbe2e",
		"profile": map[string]any{
			"real_name": name, "real_name_normalized": name, "display_name": u.Name, "display_name_normalized": u.Name,
			"title": u.Title, "email": u.Email, "team": u.TeamID,
		},
	}
}

func (u *User) shown() string {
	if u.RealName != "" {
		return u.RealName
	}
	return u.Name
}

func (c *channel) has(user string) bool {
	return len(c.Members) == 0 || slices.Contains(c.Members, user)
}

func (c *channel) json() map[string]any {
	return map[string]any{
		"id": c.ID, "name": c.Name, "name_normalized": c.Name, "is_channel": !c.Private, "is_group": false, "is_im": false,
		"is_private": c.Private, "is_archived": c.Archived, "is_member": !c.NotMember, "is_general": false, "is_mpim": false,
		"num_members": len(c.Members), "topic": map[string]any{"value": c.Topic}, "purpose": map[string]any{"value": ""},
	}
}

// SetUser replaces a user's record, as an administrator of the workspace could
// at any time: deactivate, make a guest, move.
func (w *Workspace) SetUser(u User) {
	w.mu.Lock()
	if u.TeamID == "" {
		u.TeamID = w.o.Team.ID
	}
	w.users[u.ID] = &u
	w.mu.Unlock()
	w.hub.changed("")
}

// SetGroup replaces or adds a user group.
func (w *Workspace) SetGroup(g Group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.o.Groups {
		if w.o.Groups[i].ID == g.ID {
			w.o.Groups[i] = g
			return
		}
	}
	w.o.Groups = append(w.o.Groups, g)
}

// Archive archives a channel, or takes it out of the archive.
func (w *Workspace) Archive(channelID string, archived bool) {
	w.mu.Lock()
	if c := w.channels[channelID]; c != nil {
		c.Archived = archived
	}
	w.mu.Unlock()
	w.hub.changed(channelID)
}
