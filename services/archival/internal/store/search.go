package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Filter says which commands to look for. Empty fields do not restrict.
type Filter struct {
	Principal  string // subject, repository (or its id), CI actor, agent or on-behalf-of, exactly
	Repository string // name or id
	Target     string
	Object     string // name or schema.name
	Verdict    string // a decision (allow, hold, deny), held, or an outcome (ok, error, refused, cancelled, unknown, …)
	Text       string // any part of the statement or the reason, in any case
	Since      time.Time
	Until      time.Time // exclusive
	After      Cursor    // older than this one
	Limit      int
}

// Cursor is the place of a command in the list, newest first.
type Cursor struct {
	Time time.Time
	ID   string
}

// Command is one command with its decision and outcome.
type Command struct {
	ID         string    `json:"-"`    // of the record that tells of it
	Time       time.Time `json:"time"` // when it was asked
	SessionID  string    `json:"session_id"`
	Sequence   uint64    `json:"session_sequence"`
	CommandID  string    `json:"command_id"`
	TraceID    string    `json:"trace_id"`
	Principal  Principal `json:"principal"`
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
	Outcome

	at                    time.Time // of the record: of a held command, when it went on
	producer, incarnation string
}

// Outcome is how a command ended.
type Outcome struct {
	// Status is ok, error, refused, cancelled, …; unknown when the outcome never
	// came and will not; running when it may still come; held while it waits for
	// its approval.
	Status      string  `json:"status"`
	Code        string  `json:"code,omitempty"`
	Message     string  `json:"message,omitempty"`
	Rows        int64   `json:"rows"`
	Bytes       int64   `json:"bytes"`
	MaskedCells int64   `json:"masked_cells"`
	Duration    float64 `json:"duration_seconds"`
}

// Principal is who acted, as far as people ask.
type Principal struct {
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

// conditions collects a WHERE clause. Values travel as parameters, beside the
// text, never in it.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(term, name string, value any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, clickhouse.Named(name, value))
}

func (c *conditions) where() string { return strings.Join(c.terms, " AND ") }

func (f *Filter) conditions() *conditions {
	c := &conditions{terms: []string{asked, "integrity = 'verified'"}}
	if f.Principal != "" {
		c.add("(repository = {principal:String} OR subject = {principal:String} OR repository_id = {principal:String} OR run_actor = {principal:String} OR "+
			"triggering_actor = {principal:String} OR agent = {principal:String} OR on_behalf_of = {principal:String})", "principal", f.Principal)
	}
	if f.Repository != "" {
		c.add("(repository = {repository:String} OR repository_id = {repository:String})", "repository", f.Repository)
	}
	if f.Target != "" {
		c.add("target = {target:String}", "target", f.Target)
	}
	if f.Object != "" {
		c.add("(has(object_names, {object:String}) OR has(`objects.name`, {object:String}))", "object", f.Object)
	}
	if f.Text != "" {
		c.add(`lower(concat(statement, '\n', reason)) LIKE {text:String}`, "text", "%"+likeLiteral(strings.ToLower(f.Text))+"%")
	}
	if !f.Since.IsZero() {
		// A batch is sealed after its records: whole months are left out.
		c.add("time >= fromUnixTimestamp64Nano({since:Int64}) AND sealed_at >= fromUnixTimestamp64Nano({since:Int64})", "since", f.Since.UnixNano())
	}
	if !f.Until.IsZero() {
		c.add("time < fromUnixTimestamp64Nano({until:Int64})", "until", f.Until.UnixNano())
	}
	if f.After.ID != "" {
		c.add("(time, id) < (fromUnixTimestamp64Nano({after:Int64}), {after_id:String})", "after", f.After.Time.UnixNano())
		c.args = append(c.args, clickhouse.Named("after_id", f.After.ID))
	}
	f.verdict(c)
	return c
}

// asked are the records that tell of a command: its intent, or, while it waits
// for its approval and is not forwarded, the approval's request.
const asked = `(kind = 'intent' OR kind = 'approval' AND action = 'requested' AND approval_id IN (
	SELECT approval_id FROM records WHERE kind = 'approval' AND integrity = 'verified' GROUP BY approval_id HAVING max(outcome) = ''))`

// verdict restricts to a decision, which is in the intent itself, or to an
// outcome, which is in another record.
func (f *Filter) verdict(c *conditions) {
	switch f.Verdict {
	case "":
	case "hold":
		c.terms = append(c.terms, "(effect = 'hold' OR kind = 'approval')")
	case "allow", "deny":
		c.add("effect = {verdict:String}", "verdict", f.Verdict)
	case StatusHeld:
		c.terms = append(c.terms, "kind = 'approval'")
	case "unknown", "running":
		c.terms = append(c.terms, "kind = 'intent' AND command_id NOT IN (SELECT command_id FROM records WHERE kind = 'outcome')")
	default:
		c.add("command_id IN (SELECT command_id FROM records WHERE kind = 'outcome' AND status = {verdict:String})", "verdict", f.Verdict)
	}
}

// likeLiteral escapes what LIKE would take for a pattern.
func likeLiteral(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// StatusHeld is the status of a command that waits for its approval.
const StatusHeld = "held"

const commandColumns = `kind, id, time, session_id, session_sequence, command_id, trace_id,
	issuer, subject, repository, repository_id, workflow, run_id, run_actor, run_url, agent, on_behalf_of, asserted,
	target, database, verb, class, object_names, statement, parameters, reason,
	effect, rule, approval_id, approvers, wait_ns, redacted, producer, incarnation`

// maxRead bounds what one question may read; somebody waits for the answer.
var reading = clickhouse.Settings{"max_execution_time": 20, "readonly": 2, "max_result_rows": 20_000}

// Search returns the commands that match, newest first, and the place after the
// last one where there are more.
func (s *Store) Search(ctx context.Context, f Filter) (commands []Command, more *Cursor, err error) {
	c := f.conditions()
	c.args = append(c.args, clickhouse.Named("limit", f.Limit+1))
	// What does not depend on the wide columns is found first.
	commands, err = s.commands(ctx, "id IN (SELECT id FROM records WHERE "+c.where()+" ORDER BY time DESC, id DESC LIMIT {limit:UInt32}) AND "+c.where()+
		" ORDER BY time DESC, id DESC LIMIT {limit:UInt32}", c.args)
	if err != nil {
		return nil, nil, err
	}
	if len(commands) > f.Limit {
		commands = commands[:f.Limit]
		last := commands[f.Limit-1]
		more = &Cursor{Time: last.at, ID: last.ID}
	}
	return commands, more, s.outcomes(ctx, commands)
}

func (s *Store) commands(ctx context.Context, where string, args []any) (commands []Command, err error) {
	err = s.each(ctx, "SELECT "+commandColumns+" FROM records WHERE "+where, args, func(rows driver.Rows) error {
		var c Command
		var kind string
		var wait int64
		p := &c.Principal
		if err := rows.Scan(&kind, &c.ID, &c.at, &c.SessionID, &c.Sequence, &c.CommandID, &c.TraceID,
			&p.Issuer, &p.Subject, &p.Repository, &p.RepositoryID, &p.Workflow, &p.RunID, &p.Actor, &p.URL, &p.Agent, &p.OnBehalfOf, &p.Asserted,
			&c.Target, &c.Database, &c.Verb, &c.Class, &c.Objects, &c.Statement, &c.Parameters, &c.Reason,
			&c.Effect, &c.Rule, &c.ApprovalID, &c.Approvers, &wait, &c.Redacted, &c.producer, &c.incarnation); err != nil {
			return err
		}
		c.Wait, c.Time = seconds(wait), c.at.Add(-time.Duration(wait))
		if kind == "approval" {
			c.Effect, c.Status = "hold", StatusHeld
		}
		commands = append(commands, c)
		return nil
	})
	return commands, err
}

// each runs a question and calls f for each row of its answer.
func (s *Store) each(ctx context.Context, sql string, args []any, f func(driver.Rows) error) error {
	rows, err := s.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(reading)), sql, args...)
	if err != nil {
		return s.asked(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return fmt.Errorf("store: query: %w", err)
		}
	}
	return s.asked(rows.Err())
}

// ErrUnavailable is returned when the server cannot be asked.
var ErrUnavailable = errors.New("store: ClickHouse does not answer")

// asked tells a server that refuses from one that is not there.
func (s *Store) asked(err error) error {
	if err == nil {
		return nil
	}
	var refused *clickhouse.Exception
	if errors.As(err, &refused) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("store: query: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
