package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// stateSettings are the settings that change how a text is read, what it means
// or what it may do.
var stateSettings = []string{
	"DateStyle", "IntervalStyle", "TimeZone", "backslash_quote", "bytea_output", "check_function_bodies", "client_encoding",
	"default_transaction_isolation", "default_transaction_read_only", "extra_float_digits", "lc_messages", "lc_monetary",
	"lc_numeric", "lc_time", "row_security", "session_replication_role", "standard_conforming_strings",
	"transform_null_equals", "xmloption",
}

// ownName is the statement and portal that the gateway asks through. A client
// cannot take it: names that begin so are refused.
const ownName = "gatestay_inquiry"

// Every name is qualified, and there is no operator that a schema of the
// session could shadow.
var stateQuery = func() string {
	var b strings.Builder
	b.WriteString(`SELECT current_user::pg_catalog.text, session_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text, ` +
		`CASE WHEN ` + temporaryFirst + ` THEN NULL ELSE pg_catalog.array_to_json(pg_catalog.current_schemas(true)) END::pg_catalog.text, ` +
		`CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN '' ELSE pg_catalog.pg_my_temp_schema()::pg_catalog.regnamespace::pg_catalog.text END, pg_catalog.pg_backend_pid()::pg_catalog.text`)
	for _, name := range append(stateSettings, "search_path") {
		fmt.Fprintf(&b, ", pg_catalog.current_setting('%s', true)", name)
	}
	return b.String()
}()

// temporaryFirst reports that the session would create in its temporary schema,
// and has none yet. current_schemas would make one there and then, which takes a
// privilege and keeps a transaction from being prepared.
const temporaryFirst = `pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND ` +
	`pg_catalog.starts_with(pg_catalog.lower(pg_catalog.ltrim(pg_catalog.current_setting('search_path'), E' "\\t\\n\\r\\f\\v')), 'pg_temp')`

// schemasQuery lists, of the names that it is given as a JSON array in hex, those
// that are schemas which the session may look into.
const schemasQuery = `SELECT pg_catalog.array_to_json(ARRAY(SELECT n.nspname FROM pg_catalog.json_array_elements_text(pg_catalog.convert_from(pg_catalog.decode('%x', 'hex'), 'UTF8')::pg_catalog.json) ` +
	`WITH ORDINALITY u (name, place) JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) u.name::pg_catalog.name ` +
	`WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE') ORDER BY u.place))::pg_catalog.text`

// statementsQuery lists what protocol-level prepared statements mean.
const statementsQuery = `, (SELECT pg_catalog.json_object_agg(name, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(statement, 'UTF8')), 'hex'))` +
	`::pg_catalog.text FROM pg_catalog.pg_prepared_statements WHERE NOT from_sql)`

// asked is what the target said of the session's state.
type asked struct {
	state   command.State
	temp    string // the schema of temporary tables, where there is one
	version uint64 // grows when the state is another one
	// backend is the target's process that answered first, elsewhere whether
	// another has since.
	backend   string
	elsewhere bool
}

// ask reads the session's state. All that was forwarded has to be answered.
func (s *session) ask() error {
	s.pipeline.mu.Lock()
	verify := s.track.suspect && s.names.named() > 0
	s.pipeline.mu.Unlock()
	text := stateQuery
	if verify {
		text += statementsQuery
	}
	row, err := s.inquire(text)
	if err != nil {
		return err
	}
	want := 7 + len(stateSettings)
	if verify {
		want++
	}
	if len(row) != want {
		return fmt.Errorf("postgres: session state: %d columns, not %d", len(row), want)
	}
	path, err := s.searchPath(row[3], string(row[6+len(stateSettings)]), string(row[0]))
	if err != nil {
		return err
	}
	state := command.State{User: string(row[0]), LoginUser: string(row[1]), Database: string(row[2]), SearchPath: path, Settings: map[string]string{}}
	for i, name := range stateSettings {
		if v := row[6+i]; v != nil {
			state.Settings[name] = string(v)
		}
	}
	if verify {
		if err := s.verifyNames(row[want-1]); err != nil {
			return err
		}
	}
	s.learn(state, strings.Trim(string(row[4]), `"`))
	if s.asked.backend == "" {
		s.asked.backend = string(row[5])
	}
	s.asked.elsewhere = string(row[5]) != s.asked.backend
	return nil
}

func (s *session) learn(state command.State, temp string) {
	a := &s.asked
	if a.version == 0 || !sameState(a.state, state) || a.temp != temp {
		a.state, a.temp = state, temp
		a.version++
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	s.track.known, s.track.suspect = true, false
}

func sameState(a, b command.State) bool {
	return a.User == b.User && a.LoginUser == b.LoginUser && a.Database == b.Database &&
		slices.Equal(a.SearchPath, b.SearchPath) && maps.Equal(a.Settings, b.Settings)
}

// verifyNames forgets the prepared statements that the target has no more, or
// that mean something else now: SQL can prepare and deallocate by name.
func (s *session) verifyNames(list []byte) error {
	digests := map[string]string{}
	if list != nil {
		if err := json.Unmarshal(list, &digests); err != nil {
			return fmt.Errorf("postgres: prepared statements: %w", err)
		}
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	for name, st := range s.names.statements {
		if name == "" {
			continue
		}
		sum := sha256.Sum256([]byte(st.text.text))
		if digests[name] != hex.EncodeToString(sum[:]) {
			s.names.forget(name)
		}
	}
	return nil
}

// fixed refuses a session in which texts mean something else to the target
// than to the gateway.
func (s *session) fixed() error {
	if s.asked.elsewhere {
		return &refusal.Refusal{
			Code: refusal.StateChanged, Message: "the target has given this session to another of its processes",
			Detail: "What was asked of one says nothing of what a statement means to the next.",
			Hint:   "A pooler between the gateway and its target must pool sessions, not transactions (pgbouncer: pool_mode = session).",
		}
	}
	if !utf8Name(s.asked.state.Settings["client_encoding"]) {
		return encodingFixed()
	}
	if s.asked.state.Settings["standard_conforming_strings"] != "on" {
		return stringsFixed()
	}
	return nil
}

// inquiry is a question of the gateway's own, with one row for an answer.
type inquiry struct {
	row     [][]byte
	columns []wire.Column // where it asked for a description
	err     error
}

// inquire runs a query of the gateway's own on the session, between the
// client's messages. Where the client has executed something in a group of
// messages it must not send Sync, which would commit what is not finished;
// where it has not, it must, since else the target would take what follows for
// the rest of a transaction (in which VACUUM, for one, does not run).
func (s *session) inquire(text string) ([][]byte, error) {
	q := &inquiry{}
	if err := s.converse(q, []kind{ofClose, ofClose, ofParse, ofBind, ofExecute, ofClose, ofClose}, s.syncs(), func(dst []byte) []byte { return appendInquiry(dst, text) }); err != nil {
		return nil, err
	}
	return q.row, nil
}

// syncs reports that an inquiry now ends with a Sync.
func (s *session) syncs() bool {
	p := s.pipeline
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.executed && (s.track.tx != wire.Idle || !s.names.boundIn(p.group+1))
}

// converse sends the messages of an inquiry, whose answers are of these kinds,
// and a Sync where it says so, and waits for them.
func (s *session) converse(q *inquiry, kinds []kind, sync bool, encode func(dst []byte) []byte) error {
	p := s.pipeline
	p.mu.Lock()
	last := byte(wire.Flush)
	if sync {
		last = wire.Sync
		kinds = append(kinds, ofSync)
	}
	for _, k := range kinds {
		if !p.push(&expectation{kind: k, inquiry: q}) {
			p.mu.Unlock()
			return errOver
		}
	}
	p.mu.Unlock()
	if err := s.up.out.Append(func(dst []byte) []byte { return wire.AppendEmpty(encode(dst), last) }); err != nil {
		return fmt.Errorf("postgres: ask the target: %w", err)
	}
	if err := s.up.out.Flush(); err != nil {
		return fmt.Errorf("postgres: ask the target: %w", err)
	}
	if !s.answered() {
		return errOver
	}
	return q.err
}

// appendInquiry appends the messages of an inquiry. It begins with what an
// earlier one may have left when it failed.
func appendInquiry(dst []byte, text string) []byte {
	dst = wire.AppendTarget(dst, wire.Close, wire.Portal, ownName)
	dst = wire.AppendTarget(dst, wire.Close, wire.Statement, ownName)
	dst = wire.AppendParse(dst, ownName, text)
	dst = wire.AppendBind(dst, ownName, ownName)
	dst = wire.AppendExecute(dst, ownName)
	dst = wire.AppendTarget(dst, wire.Close, wire.Portal, ownName)
	return wire.AppendTarget(dst, wire.Close, wire.Statement, ownName)
}
