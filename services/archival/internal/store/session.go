package store

import (
	"context"
	"errors"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ErrNoSession is returned for a session that the store does not know.
var ErrNoSession = errors.New("store: no such session")

// Session is the story of one session.
type Session struct {
	SessionID string     `json:"session_id"`
	TraceID   string     `json:"trace_id"`
	State     string     `json:"state"` // open, closed, refused
	Opened    time.Time  `json:"opened_at"`
	Closed    *time.Time `json:"closed_at,omitempty"`
	Principal Principal  `json:"principal"`
	Target    string     `json:"target"`
	Database  string     `json:"database"`
	Protocol  string     `json:"protocol"`
	Reason    string     `json:"reason"`
	// Ended says why the session ended, or why it was refused.
	Ended     string     `json:"ended,omitempty"`
	Code      string     `json:"code,omitempty"`
	Remote    string     `json:"remote,omitempty"`
	Commands  []Command  `json:"commands"`
	Approvals []Approval `json:"approvals"`
	// Unverified are records that claim to be of this session and that no
	// trusted producer signed. They are no part of the story.
	Unverified uint64 `json:"unverified_records"`
	// Missing is how many numbers of the session's records are not there.
	Missing uint64 `json:"missing_records"`
	// Truncated reports that the session has more commands than are shown.
	Truncated bool `json:"truncated,omitempty"`
}

// Approval is one approval of a command of the session.
type Approval struct {
	ApprovalID string    `json:"approval_id"`
	CommandID  string    `json:"command_id"`
	Requested  time.Time `json:"requested_at"`
	Ended      time.Time `json:"ended_at,omitzero"`
	Outcome    string    `json:"outcome"` // approved, denied, expired, cancelled; open
	Votes      []Vote    `json:"votes"`
}

// Vote is one vote in an approval.
type Vote struct {
	Person string    `json:"person"`
	Vote   string    `json:"vote"`
	Via    string    `json:"via"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// maxCommands bounds the story of one session.
const maxCommands = 5000

// Session returns the story of a session, or ErrNoSession.
func (s *Store) Session(ctx context.Context, id string) (*Session, error) {
	story := &Session{SessionID: id, State: "open"}
	args := []any{clickhouse.Named("session", id)}
	if err := s.frame(ctx, story, args); err != nil {
		return nil, err
	}
	var err error
	if story.Commands, err = s.commands(ctx, "session_id = {session:String} AND "+asked+" AND integrity = 'verified' ORDER BY kind = 'approval', session_sequence LIMIT "+
		"{limit:UInt32}", append(args, clickhouse.Named("limit", maxCommands+1))); err != nil {
		return nil, err
	}
	if len(story.Commands) > maxCommands {
		story.Commands, story.Truncated = story.Commands[:maxCommands], true
	}
	if err := s.outcomes(ctx, story.Commands); err != nil {
		return nil, err
	}
	story.Approvals, err = s.approvals(ctx, args)
	return story, err
}

// frame reads how the session began and ended, and what is wrong with its records.
func (s *Store) frame(ctx context.Context, story *Session, args []any) error {
	var found uint64
	err := s.each(ctx, `
		SELECT count(), countIf(integrity != 'verified'),
			maxIf(session_sequence, integrity = 'verified' AND kind != 'approval'),
			uniqExactIf(session_sequence, integrity = 'verified' AND kind != 'approval')
		FROM records WHERE session_id = {session:String}`, args,
		func(rows driver.Rows) error {
			var last, there uint64
			err := rows.Scan(&found, &story.Unverified, &last, &there)
			story.Missing = last - min(last, there)
			return err
		})
	if err != nil {
		return err
	}
	if found == 0 {
		return ErrNoSession
	}
	return s.each(ctx, `
		SELECT kind, time, trace_id, issuer, subject, repository, repository_id, workflow, run_id, run_actor, run_url, agent, on_behalf_of, asserted,
			target, database, protocol, reason, action, code, message, details['remote']
		FROM records WHERE session_id = {session:String} AND kind != 'approval' AND integrity = 'verified' AND (kind LIKE 'session_%' OR session_sequence = 1)
		ORDER BY session_sequence`, args, story.event)
}

// event takes one record of the session's own into the story.
func (story *Session) event(rows driver.Rows) error {
	var kind, action, message, code, remote string
	var at time.Time
	p := &story.Principal
	if err := rows.Scan(&kind, &at, &story.TraceID, &p.Issuer, &p.Subject, &p.Repository, &p.RepositoryID, &p.Workflow, &p.RunID, &p.Actor, &p.URL,
		&p.Agent, &p.OnBehalfOf, &p.Asserted, &story.Target, &story.Database, &story.Protocol, &story.Reason, &action, &code, &message, &remote); err != nil {
		return err
	}
	if story.Opened.IsZero() {
		story.Opened = at
	}
	if remote != "" {
		story.Remote = remote
	}
	switch kind {
	case "session_closed":
		story.State, story.Closed, story.Ended = "closed", &at, action
	case "session_refused":
		story.State, story.Closed, story.Ended, story.Code = "refused", &at, message, code
	}
	return nil
}

func (s *Store) approvals(ctx context.Context, args []any) (approvals []Approval, err error) {
	place := map[string]int{}
	err = s.each(ctx, `
		SELECT approval_id, command_id, time, action, actor, outcome, details['vote'], details['via'], reason
		FROM records WHERE session_id = {session:String} AND kind = 'approval' AND integrity = 'verified' ORDER BY time, batch_number, position`, args,
		func(rows driver.Rows) error {
			var id, command, action, actor, outcome, vote, via, reason string
			var at time.Time
			if err := rows.Scan(&id, &command, &at, &action, &actor, &outcome, &vote, &via, &reason); err != nil {
				return err
			}
			n, known := place[id]
			if !known {
				n = len(approvals)
				place[id] = n
				approvals = append(approvals, Approval{ApprovalID: id, CommandID: command, Requested: at, Outcome: "open"})
			}
			a := &approvals[n]
			if action == "voted" {
				a.Votes = append(a.Votes, Vote{Person: actor, Vote: vote, Via: via, Reason: reason, At: at})
			}
			if outcome != "" {
				a.Outcome, a.Ended = outcome, at
			}
			return nil
		})
	return approvals, err
}
