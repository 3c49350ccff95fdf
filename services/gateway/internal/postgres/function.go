package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// callee is what the target's catalog says of a function.
type callee struct {
	schema, name string
	arguments    []uint32 // types
	result       uint32   // type
}

// pinned is the first OID that is not assigned by hand in PostgreSQL's source:
// below, an OID means the same function for ever.
const pinned = 10000

// maxCallees bounds the functions that a session remembers.
const maxCallees = 256

// calleeQuery finds a function by its OID.
const calleeQuery = `SELECT n.nspname::pg_catalog.text, p.proname::pg_catalog.text, pg_catalog.array_to_json(p.proargtypes::pg_catalog.oid[])::pg_catalog.text, p.prorettype::pg_catalog.text ` +
	`FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace WHERE p.oid OPERATOR(pg_catalog.=) %d::pg_catalog.oid`

// function handles a FunctionCall: it is the command SELECT schema.name($1, …),
// and decided as that. Like a Query it is answered on its own, and ends the
// transaction of messages before it that have no Sync yet; unlike one it leaves
// the unnamed statement alone.
func (s *session) function(body []byte) error {
	if err := s.settle(); err != nil {
		return err
	}
	var m wire.FunctionCallMessage
	if err := m.Decode(body); err != nil {
		return s.refuseCall(violation(err))
	}
	s.pipeline.mu.Lock()
	failed := s.track.tx == wire.Failed
	if s.track.tx == wire.Idle && !s.pipeline.executed {
		s.names.endTransaction(s.pipeline.group + 1)
	}
	s.pipeline.mu.Unlock()
	if failed {
		return s.refuseCall(like(stateFailedTransaction, "current transaction is aborted, commands ignored until end of transaction block", ""))
	}
	e, err := s.decideCall(&m)
	if err != nil {
		if !isAnswer(err) {
			return err
		}
		return s.refuseCall(err)
	}
	r := e.runs[0]
	for i, v := range r.permit.Translated() {
		m.Arguments[i] = v
	}
	err = s.forward(e, m.Append(nil), func() {
		s.track.forwarded(r.facts, "")
		s.handles.forwarded(r)
		if touchesNames(r.facts) {
			s.names.forgetPortals()
		}
	})
	if err != nil {
		r.finish(statusNotExecuted, "", "")
	}
	return err
}

// refuseCall answers a FunctionCall with an error. The marker is a call of no
// function, which has no other effect than its error.
func (s *session) refuseCall(cause error) error {
	return s.forward(&expectation{kind: ofQuery, refused: cause}, (&wire.FunctionCallMessage{}).Append(nil), nil)
}

// decideCall admits a FunctionCall, if its result may pass.
func (s *session) decideCall(m *wire.FunctionCallMessage) (*expectation, error) {
	f, err := s.calleeOf(m)
	if err != nil {
		return nil, err
	}
	parameters := make([]command.Parameter, len(m.Arguments))
	for i, v := range m.Arguments {
		parameters[i] = command.Parameter{Type: f.arguments[i], Format: wire.Format(m.Formats, i), Value: bytes.Clone(v)}
	}
	runs, err := s.decide(s.decode([]byte(f.call())), parameters)
	if err != nil {
		return nil, err
	}
	r := runs[0]
	e := &expectation{kind: ofQuery, runs: runs, whole: true, call: true}
	// Another session may have renamed it meanwhile.
	again, err := s.calleeOf(m)
	switch {
	case err != nil:
	case again.schema != f.schema || again.name != f.name:
		err = changedMeanwhile()
	default:
		e.shape = s.shape(r, []wire.Column{{Name: f.name, Type: f.result, Format: m.Result}}, nil)
		if err = e.shape.err; err == nil && len(e.shape.whole) > 0 {
			err = resultMasked(f.name)
		}
	}
	if err != nil {
		r.finish(statusNotExecuted, "", "")
		return nil, err
	}
	return e, nil
}

// calleeOf finds the function of a call, or the target's own error.
func (s *session) calleeOf(m *wire.FunctionCallMessage) (*callee, error) {
	f := s.callees[m.Function]
	if f == nil {
		row, err := s.inquire(fmt.Sprintf(calleeQuery, m.Function))
		if err != nil {
			return nil, err
		}
		if row == nil {
			return nil, like("42883", fmt.Sprintf("function with OID %d does not exist", m.Function), "")
		}
		if len(row) != 4 {
			return nil, fmt.Errorf("postgres: function %d: %d columns, not 4", m.Function, len(row))
		}
		f = &callee{schema: string(row[0]), name: string(row[1])}
		result, err := strconv.ParseUint(string(row[3]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("postgres: function %d: %w", m.Function, err)
		}
		f.result = uint32(result)
		var types []json.Number
		if err := json.Unmarshal(row[2], &types); err != nil {
			return nil, fmt.Errorf("postgres: function %d: %w", m.Function, err)
		}
		for _, n := range types {
			oid, err := strconv.ParseUint(n.String(), 10, 32)
			if err != nil {
				return nil, fmt.Errorf("postgres: function %d: %w", m.Function, err)
			}
			f.arguments = append(f.arguments, uint32(oid))
		}
		if m.Function < pinned && f.schema == "pg_catalog" && len(s.callees) < maxCallees {
			s.callees[m.Function] = f
		}
	}
	if len(m.Arguments) != len(f.arguments) {
		return nil, like("08P01", fmt.Sprintf("function call message contains %d arguments but function requires %d", len(m.Arguments), len(f.arguments)), "")
	}
	return f, nil
}

var plainIdentifier = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// call is a call in SQL. Behind the dot every word is a name.
func (f *callee) call() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	if f.schema == "pg_catalog" {
		b.WriteString(f.schema)
	} else {
		b.WriteString(quoted(f.schema))
	}
	b.WriteByte('.')
	if plainIdentifier.MatchString(f.name) {
		b.WriteString(f.name)
	} else {
		b.WriteString(quoted(f.name))
	}
	b.WriteByte('(')
	for i := range f.arguments {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	b.WriteByte(')')
	return b.String()
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// resultMasked: libpq has room for what the function returns, and would take
// what stands in its place for that.
func resultMasked(name string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.BinaryMasked, Message: fmt.Sprintf("what %s returns is masked, and the result of a function call cannot be", clean(name)),
		Hint: "Call the function in a SELECT.",
	}
}

// returned handles a FunctionCallResponse.
func (s *session) returned(h wire.Header, e *expectation) error {
	r := e.run()
	if !e.call || e.told || e.returned || r == nil {
		return unexpected(h)
	}
	message, err := s.up.in.Message(h, s.server.limits.Row)
	if err != nil {
		return tooLongRow(err)
	}
	value, err := wire.DecodeFunctionCallResponse(message[len(message)-h.Length:])
	if err != nil {
		return unexpected(h)
	}
	if err := s.release(r); err != nil {
		return err
	}
	e.returned = true
	r.rows++
	if value != nil && e.shape.masker != nil && e.shape.touched[0] {
		if _, changed := e.shape.masker.Mask(0, value); changed {
			e.failure = resultMasked("the function")
		}
	}
	if e.failure == nil && !r.room(len(message)) {
		e.failure = &refusal.Refusal{
			Code: refusal.LimitReached, Message: fmt.Sprintf("the result has more than the %d bytes that the rule allows", r.maxBytes),
			Hint: "Ask for less at a time.",
		}
	}
	if e.failure != nil {
		return s.tooLate(e, r)
	}
	r.sent++
	r.bytes += int64(len(message))
	s.send(message)
	return nil
}
