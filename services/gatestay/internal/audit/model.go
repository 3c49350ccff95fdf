package audit

import "time"

// command is one command as archival tells it.
type command struct {
	Time       time.Time `json:"time"`
	SessionID  string    `json:"session_id"`
	Sequence   uint64    `json:"session_sequence"`
	CommandID  string    `json:"command_id"`
	TraceID    string    `json:"trace_id"`
	Principal  principal `json:"principal"`
	Target     string    `json:"target"`
	Database   string    `json:"database"`
	Verb       string    `json:"verb"`
	Class      string    `json:"class"`
	Objects    []string  `json:"objects"`
	Statement  string    `json:"statement"`
	Parameters []string  `json:"parameters"`
	Reason     string    `json:"reason"`
	Effect     string    `json:"effect"`
	Rule       string    `json:"rule"`
	ApprovalID string    `json:"approval_id,omitempty"`
	Approvers  []string  `json:"approvers"`
	Wait       float64   `json:"wait_seconds"`
	Redacted   []string  `json:"redacted,omitempty"`

	Status      string  `json:"status"`
	Code        string  `json:"code,omitempty"`
	Message     string  `json:"message,omitempty"`
	Rows        int64   `json:"rows"`
	Bytes       int64   `json:"bytes"`
	MaskedCells int64   `json:"masked_cells"`
	Duration    float64 `json:"duration_seconds"`
}

// principal is who acted.
type principal struct {
	Issuer       string   `json:"issuer"`
	Subject      string   `json:"subject"`
	Repository   string   `json:"repository"`
	RepositoryID string   `json:"repository_id"`
	Workflow     string   `json:"workflow"`
	RunID        string   `json:"run_id"`
	Actor        string   `json:"actor"`
	URL          string   `json:"url"`
	Agent        string   `json:"agent"`
	OnBehalfOf   string   `json:"on_behalf_of"`
	Asserted     []string `json:"asserted,omitempty"`
}

// session is the story of one session.
type session struct {
	SessionID  string     `json:"session_id"`
	TraceID    string     `json:"trace_id"`
	State      string     `json:"state"`
	Opened     time.Time  `json:"opened_at"`
	Closed     *time.Time `json:"closed_at,omitempty"`
	Principal  principal  `json:"principal"`
	Target     string     `json:"target"`
	Database   string     `json:"database"`
	Protocol   string     `json:"protocol"`
	Reason     string     `json:"reason"`
	Ended      string     `json:"ended,omitempty"`
	Code       string     `json:"code,omitempty"`
	Remote     string     `json:"remote,omitempty"`
	Commands   []command  `json:"commands"`
	Approvals  []request  `json:"approvals"`
	Unverified uint64     `json:"unverified_records"`
	Missing    uint64     `json:"missing_records"`
	Truncated  bool       `json:"truncated,omitempty"`
}

// request is one approval of a command of the session.
type request struct {
	ApprovalID string    `json:"approval_id"`
	CommandID  string    `json:"command_id"`
	Requested  time.Time `json:"requested_at"`
	Ended      time.Time `json:"ended_at,omitzero"`
	Outcome    string    `json:"outcome"`
	Votes      []vote    `json:"votes"`
}

// vote is one vote in an approval.
type vote struct {
	Person string    `json:"person"`
	Vote   string    `json:"vote"`
	Via    string    `json:"via"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}
