package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Severities of a report.
const (
	severityError  = "ERROR"
	severityFatal  = "FATAL"
	severityNotice = "NOTICE"
)

// Conditions of https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	stateFailedTransaction = "25P02"
	stateCancelled         = "57014"
	stateNoStatement       = "26000"
	stateNoPortal          = "34000"
	stateInternal          = "XX000"
	stateSyntax            = "42601"
)

// sqlState returns the condition that a refusal is to PostgreSQL's clients:
// one that they treat rightly, in class at least.
func sqlState(c refusal.Code) string {
	switch c {
	case refusal.TokenInvalid, refusal.TokenUsed, refusal.CredentialInvalid:
		return "28P01"
	case refusal.TargetUnknown:
		return "3D000"
	case refusal.UpstreamLogin:
		return "08001"
	case refusal.UpstreamLost:
		return "08006"
	case refusal.BinaryMasked, refusal.ProtocolUnsupported, refusal.SettingFixed:
		return "0A000"
	case refusal.HoldInTx:
		return "25001"
	case refusal.StateChanged:
		return "55000"
	case refusal.ApprovalCancelled:
		return stateCancelled
	case refusal.ShuttingDown, refusal.SessionEnded:
		return "57P01"
	case refusal.LimitReached:
		return "54000"
	case refusal.JournalUnavailable, refusal.LeaseExpired, refusal.BundleMissing, refusal.BusUnavailable:
		return "58000"
	case refusal.ProtocolViolation:
		return "08P01"
	default:
		if strings.HasPrefix(string(c), "GS11") {
			return "28000"
		}
		return "42501" // insufficient_privilege
	}
}

// answer is an error that goes to the client as a server's own would, word for
// word: it may be one, scrubbed already.
type answer struct{ report wire.Report }

// Error implements error.
func (a *answer) Error() string {
	return fmt.Sprintf("postgres: %s (SQLSTATE %s)", a.report.Get(wire.FieldMessage), a.report.Get(wire.FieldCode))
}

// like returns an error in a server's own words.
func like(state, message, hint string) *answer {
	return &answer{wire.Report{{Code: wire.FieldCode, Value: state}, {Code: wire.FieldMessage, Value: message}, {Code: wire.FieldHint, Value: hint}}}
}

// misspelt is the refusal of a text that does not parse: to a client, a syntax
// error as a server's is.
type misspelt struct{ error }

// Unwrap returns the refusal.
func (m misspelt) Unwrap() error { return m.error }

// spelt marks a refusal of a text for what could not be parsed of it. One that has
// another reason, or of a text that was not looked at, stays what it is.
func (d *decoded) spelt(err error) error {
	var r *refusal.Refusal
	if d.unreadable != nil && !d.unreadable.Unread && errors.As(err, &r) && r.Code == refusal.CommandUnknown {
		return misspelt{err}
	}
	return err
}

// violation is a message that contradicts the protocol.
func violation(err error) *refusal.Refusal {
	return &refusal.Refusal{Code: refusal.ProtocolViolation, Message: "the message contradicts the protocol", Detail: err.Error()}
}

// report turns an error into what the client is told. Only refusals and
// answers speak for themselves: any other may quote what it should not.
func report(err error, severity string) wire.Report {
	var r *refusal.Refusal
	var a *answer
	switch {
	case errors.As(err, &r):
		state := sqlState(r.Code)
		if errors.As(err, new(misspelt)) {
			state = stateSyntax
		}
		return fields(severity, state, string(r.Code)+": "+r.Message, detail(r), r.Hint)
	case errors.As(err, &a):
		out := wire.Report{{Code: wire.FieldSeverity, Value: severity}, {Code: wire.FieldSeverityFixed, Value: severity}}
		for _, f := range a.report {
			if f.Code != wire.FieldSeverity && f.Code != wire.FieldSeverityFixed {
				out = append(out, f)
			}
		}
		return out
	case errors.Is(err, seam.ErrClientCancelled):
		return fields(severity, stateCancelled, "canceling statement due to user request", "", "")
	}
	return fields(severity, stateInternal, "the gateway could not handle this", "", "Operators: its log says why.")
}

// notice turns what a session says into a NoticeResponse.
func notice(n seam.Notice) wire.Report {
	message := n.Message
	if n.Code != "" {
		message = n.Code + ": " + message
	}
	return fields(severityNotice, "00000", message, n.Detail, n.Hint)
}

func fields(severity, state, message, detail, hint string) wire.Report {
	return wire.Report{
		{Code: wire.FieldSeverity, Value: severity},
		{Code: wire.FieldSeverityFixed, Value: severity},
		{Code: wire.FieldCode, Value: state},
		{Code: wire.FieldMessage, Value: clean(message)},
		{Code: wire.FieldDetail, Value: clean(detail)},
		{Code: wire.FieldHint, Value: clean(hint)},
	}
}

// detail ends with a line for machines: whatever the language of the words,
// an agent finds the code, the rule and the id there.
func detail(r *refusal.Refusal) string {
	line, err := json.Marshal(struct {
		Code refusal.Code `json:"code"`
		Rule string       `json:"rule,omitempty"`
		ID   string       `json:"id,omitempty"`
	}{r.Code, r.Rule, r.ID})
	if err != nil {
		return r.Detail
	}
	if r.Detail == "" {
		return "gatestay: " + string(line)
	}
	return r.Detail + "\ngatestay: " + string(line)
}

// clean drops what would end a field early.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// turnAway tells a client that has no session yet why it gets none.
func (s *Server) turnAway(c net.Conn, err error) {
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write(wire.AppendReport(nil, wire.ErrorResponse, report(err, severityFatal))); err == nil {
		hangUp(c)
	}
}

// hangUp closes a connection such that what was written arrives: closing while
// input is unread would reset it.
func hangUp(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		var sink [4096]byte
		for range 256 {
			if _, err := c.Read(sink[:]); err != nil {
				break
			}
		}
	}
	_ = c.Close()
}
