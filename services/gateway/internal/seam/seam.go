// Package seam is the one narrow interface between a protocol and the rest of
// the gateway. A protocol package decodes commands, classifies their facts and
// encodes refusals; it knows nothing of NATS, Slack, policy files or
// ClickHouse. A new protocol must not need a change anywhere else.
//
// How each protocol maps onto it:
//
//	protocol            session                      command                          result                    while held
//	PostgreSQL, MySQL   one connection               statement with parameters        rows, COPY data           NOTICE where there is one, keepalives
//	HTTP, cloud, OCI    bearer token × target        method, path template, body      body by content type      the request waits, or 403 with the approval id
//	Kubernetes          one client                   verb, resource, namespace, name  objects, streams          as HTTP
//	MCP                 one MCP session              tools/call with arguments        content parts             progress notifications
//	SSH                 one connection               exec, subsystem, SFTP operation  terminal stream           a line on stderr
//
// The order of calls: Gate.Authenticate, then for each command Session.Admit,
// Permit.Durable before the first byte of a result is released, Permit.Result
// for each result shape, Permit.Done exactly once; Session.Close at the end.
package seam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatestay/gatestay/libs/command"
)

// Why the context of an Admit was cancelled, as its cause: the client asked to
// cancel the command, or it went away.
var (
	ErrClientCancelled = errors.New("seam: the client cancelled the command")
	ErrClientGone      = errors.New("seam: the client went away")
)

// Gate admits connections.
type Gate interface {
	// Authenticate turns credentials into a session, or a *refusal.Refusal that
	// the protocol turns into its own error. The session is recorded as opened
	// before it returns.
	Authenticate(ctx context.Context, c Credentials) (Session, error)
}

// Credentials is what a client presented.
type Credentials struct {
	Protocol string // "postgres"
	Target   string // name, without the database
	Database string // empty for the target's default
	Secret   string // OIDC token or run-bound credential
	// Asserted is what the client merely said: user name, application name.
	Asserted map[string]string
	Remote   string // host:port of the client
	// Warn tells the client something that is no error (a NOTICE).
	Warn func(Notice)
}

// Session is one authenticated connection of a principal to a target. Its
// methods are safe for concurrent use, but Admit is called for one command at
// a time.
type Session interface {
	ID() string
	// Upstream says where and as whom to log in. The password is resolved at
	// the call; the protocol must not keep it.
	Upstream(ctx context.Context) (Upstream, error)
	// Masks returns the columns that masking rules name for this target, so
	// that a protocol can resolve them against the target's catalog.
	Masks() []MaskedColumn
	// NotFound tells of masked columns that the target does not have, so that
	// nothing is masked by their name.
	NotFound(columns []MaskedColumn)
	// Precheck decides without parameters and without side effects: nil, or
	// the refusal that Admit would give whatever the parameters are.
	Precheck(c *Command) error
	// WouldHold reports whether Admit would raise a hold for the command as it
	// stands: a protocol first settles what is in flight.
	WouldHold(c *Command) bool
	// Admit decides a command. It returns a Permit, or a *refusal.Refusal. It
	// blocks while the command is held. For a write the intent record is
	// durable when it returns; for a read it may still be on its way.
	Admit(ctx context.Context, c *Command) (Permit, error)
	// Refused records an attempt that the protocol itself refuses before any
	// rule is asked, because it could not follow it.
	Refused(c *Command, cause error)
	// Context is cancelled when the session must end (hard limit, run ended, kill,
	// shutdown); its cause then tells why, as a *refusal.Refusal.
	Context() context.Context
	// ScrubError masks an upstream error text before it reaches the client.
	ScrubError(text string) string
	Close(reason string)
}

// Upstream is a target's address and login.
type Upstream struct {
	Address  string // host:port
	Database string
	User     string
	Password string
	TLS      string // disable, require, verify-ca, verify-full
	CA       string // path of a PEM file, or empty for the system's roots
	// Direct starts with TLS instead of asking for it.
	Direct bool
	// Certificate is the path of a PEM file, or empty; Key its private key, PEM,
	// which the protocol must not keep either.
	Certificate, Key string
	// ChannelBinding demands that the proof of the password is tied to the
	// target's certificate.
	ChannelBinding bool
	// RequireAuth are the methods by which the target may ask for a proof; empty
	// leaves them to the protocol.
	RequireAuth []string
}

// MaskedColumn is a column that a masking rule names, or that one was copied to.
type MaskedColumn struct {
	Schema, Table, Column string
	// Copied: it is a copy. A Column of * is all of its relation; where there is no
	// such column, nothing else may be it.
	Copied bool
}

// Command is one operation to be decided.
type Command struct {
	Text       string
	Parameters []command.Parameter
	Facts      command.Facts
	State      command.State
	// Dirty reports that the open transaction has written or locked something:
	// a human-slow hold would block others.
	Dirty bool
	// Refresh reads anew what the command touches, for when it was held: things
	// may have been renamed, or have other code, since Facts were read. It
	// returns a *refusal.Refusal where it finds out on its own that what an
	// approver was shown is not so any more. Nil where facts do not age.
	Refresh func(ctx context.Context) (command.Facts, error)
	// Canonical returns Text without what changes nothing of its meaning (libs/command/postgres.Canonical),
	// and Blanked that without its constants. Nil, as the functions are, where it cannot be read.
	Canonical, Blanked func() []byte
	// Radius measures what the command would touch, for who decides about it. It
	// runs nothing of it, and returns when ctx ends, with what it knows by then. Nil
	// where a protocol cannot tell.
	Radius func(ctx context.Context) *Radius
	// Rehearse runs the command where it leaves nothing behind, and returns what it
	// changed. begin is called right before that, and only once it is proved that
	// the target then runs no code but its own; its error stops it. Nil where a
	// protocol cannot.
	Rehearse func(ctx context.Context, limit time.Duration, begin func() error) *Rehearsal
	// Notify tells the client that it is held, and how the hold goes on.
	Notify func(Notice)
	// Memo belongs to Text with Facts: where a session sends the same text again
	// and its facts are the same ones, it sends the same Memo. Nil keeps nothing.
	Memo *Memo
}

// Memo keeps what the core has worked out of a text and its facts, so that the
// next execution of the same is decided from it. The zero value is empty. It is
// used by one session, for one command at a time.
type Memo struct{ Known any }

// Notice is a message to the client that is no error.
type Notice struct {
	Code    string
	Message string
	Detail  string
	Hint    string
}

// Permit is the leave to forward one command.
type Permit interface {
	// Durable blocks until the intent record is durable. No byte of a result
	// may be released before it returns nil.
	Durable(ctx context.Context) error
	// DurableNow reports, without blocking, that Durable would return nil.
	DurableNow() bool
	// Stands reports, by a *refusal.Refusal, a command that may not run any more
	// although it was admitted: a protocol that runs it later asks at that moment.
	// begun: a part of its result has been sent, and only its masks may have changed.
	Stands(begun bool) error
	// Result returns the masker for a result of this shape, nil where it passes
	// untouched, or a *refusal.Refusal (a mask touches what cannot be masked).
	Result(columns []Column) (Masker, error)
	// Written returns what looks at the data that the client sends for the named
	// columns (nil where they are not known), nil where it passes untouched, or a
	// *refusal.Refusal.
	Written(columns []string) (Inspector, error)
	// Check is nil, or what the command's changes have to pass before they are
	// committed: who runs it measures them as Rehearse does, gives them to it, and
	// rolls back where it returns an error (a *refusal.Refusal). limit is for the run.
	Check() (check func(*Rehearsal) error, limit time.Duration)
	// Done records the outcome; later calls do nothing.
	Done(o Outcome)
	// Translated are the parameters, by their index, that go to the target with
	// another value than the client sent: tokens that stand for what they hide.
	Translated() map[int][]byte
	// MaxRows is a row limit obligation; 0 is none.
	MaxRows() int64
	// MaxBytes is a limit of the result in bytes, as the client gets it; 0 is none.
	MaxBytes() int64
}

// Column is one column of a result.
type Column struct {
	Name string
	// Origin is the catalog column it comes from unchanged; zero where it is
	// computed or the origin cannot be told.
	Origin MaskedColumn
	// Tainted reports that the value may derive from a masked column, though
	// its origin cannot be told: it is masked whole.
	Tainted bool
	Kind    Kind
	// Element is the type of the elements of an array, and Kind then what they
	// are; 0 for what is no array.
	Element uint32
	Binary  bool
}

// Kind is what a value is, as far as masking cares.
type Kind int

// The kinds. Text, varchar, json and their like have the same bytes in both
// formats; jsonb has a version byte in binary; bytea is hex in text format.
// Wordless values (numbers, times, identifiers) hold no text of a user; others
// (records, enums, arrays of these) may, in a form that is not looked into.
const (
	KindOther Kind = iota
	KindText
	KindJSON
	KindJSONB
	KindBytes
	KindWordless
)

// Masker masks the cells of one result. Not safe for concurrent use.
type Masker interface {
	// Untouched reports that column i passes as it is: its cells need not be offered.
	Untouched(i int) bool
	// Mask returns the cell to send in place of value; nil is NULL. value is
	// never nil and is not kept. changed reports that it differs.
	Mask(i int, value []byte) (masked []byte, changed bool)
}

// Inspector looks at values that a client sends as data. Not safe for concurrent
// use.
type Inspector interface {
	// Look takes the next piece of the value for column i of a row, from 0; last is
	// its end. The piece is not kept. The error is a *refusal.Refusal: what came
	// must not be written.
	Look(i int, piece []byte, last bool) error
}

// Outcome is how a forwarded command ended.
type Outcome struct {
	Status   string // ok, error, cancelled, not_executed, unknown
	Code     string // the target's error code
	Message  string // the target's error text, unscrubbed: Done scrubs it
	Rows     int64
	Bytes    int64 // of the result, as sent to the client, or of the data that it sent
	Duration time.Duration
}

// Script is a text whose statements are to be planned, not run.
type Script struct {
	Text string
	// Together reports that its statements will run in one transaction.
	Together bool
}

// Planned is a statement of a script, as it would be decided if it ran now, after
// the settings that the statements before it make.
type Planned struct {
	Command Command
	Script  int // which, from 0
	Line    int // where it begins in its script, from 1
	// Receives reports that the client sends data for it, which its text does not
	// show.
	Receives bool
	// Radius is what could be measured of one that would be held; nil for others.
	Radius *Radius
}

// Unreadable says that a script cannot be planned.
type Unreadable struct {
	Script, Line int // as of Planned
	Why          string
}

// Error says where and why.
func (u *Unreadable) Error() string {
	return fmt.Sprintf("script %d, line %d: %s", u.Script+1, u.Line, u.Why)
}
