package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/radius"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// A rehearsal runs a command over a connection of its own, as the session would
// run it, and rolls it back (package radius). Where its rule lets the measured
// effects decide, the run itself is done in the same way, over such a connection,
// and committed there: rehearsal and run are one piece of code under one proof,
// the client's session never has a transaction that it did not begin, and until
// the commit there is nothing that a lost client or gateway could leave undone.

// rehearse runs command i of a text without leaving anything behind. Called as
// radius is.
func (s *session) rehearse(ctx context.Context, d *decoded, c *seam.Command, before *catalog.Snapshot, i int, limit time.Duration, begin func() error) *seam.Rehearsal {
	trial, why := s.trial(ctx, d, c, before, i, limit)
	if why != "" {
		return &seam.Rehearsal{Unknown: why}
	}
	conn, leave, why := s.beside(ctx, "gatestay rehearsal", c.State.LoginUser)
	if why != "" {
		return &seam.Rehearsal{Unknown: why}
	}
	defer leave()
	out := radius.Rehearse(ctx, conn, trial, begin)
	switch {
	case out.Unknown != "":
	case len(d.statements) > 1:
		out.Alone = "it is one of several commands of a text"
	default:
		s.trials[c] = &rehearsed{trial: trial, again: func(ctx context.Context) string { return s.moved(ctx, d, c, before, i) }}
	}
	return out
}

// rehearsed is a command that may be run as it was rehearsed.
type rehearsed struct {
	trial *radius.Trial
	again func(ctx context.Context) string
}

// moved says why a command is not the one any more that was rehearsed: a name in it
// has come to mean something else. Asked before its run is committed, it sees what
// came while that ran, too.
func (s *session) moved(ctx context.Context, d *decoded, c *seam.Command, before *catalog.Snapshot, i int) string {
	now, facts, why := s.again(ctx, d, c, before, i)
	if why == "" {
		_, why = now.Catalog.Rehearsed(&facts, d.statements[i].Facts.Objects)
	}
	return why
}

// trial returns how a command would be run beside its session, or why it must not.
func (s *session) trial(ctx context.Context, d *decoded, c *seam.Command, before *catalog.Snapshot, i int, limit time.Duration) (*radius.Trial, string) {
	s.pipeline.mu.Lock()
	executed := s.pipeline.executed
	s.pipeline.mu.Unlock()
	if c.State.InTransaction != wire.Idle || executed {
		return nil, "its session has an open transaction, whose changes no other connection sees"
	}
	now, facts, why := s.again(ctx, d, c, before, i)
	if why != "" {
		return nil, why
	}
	proof, why := now.Catalog.Rehearsed(&facts, d.statements[i].Facts.Objects)
	if why != "" {
		return nil, why
	}
	if why := s.reproducible(c); why != "" {
		return nil, why
	}
	trial := &radius.Trial{Text: d.statement(i), Parameters: c.Parameters, State: c.State, Proof: proof, Timeout: limit}
	if masks := s.masks(now); len(c.Facts.Copies) == 0 { // else a column without a mask may show what has one
		trial.Shown = masks.Bare
	}
	return trial, ""
}

// ownSettings lists the settings that a session has, and others have not.
const ownSettings = `SELECT pg_catalog.string_agg(pg_catalog.lower(s.name), ',') FROM pg_catalog.pg_settings s ` +
	`WHERE s.source OPERATOR(pg_catalog.=) ANY (ARRAY['session', 'client', 'interactive']::pg_catalog.text[])`

// indifferent are the settings that change nothing of what a change of rows does,
// or which a rehearsal has its own of.
var indifferent = []string{
	"application_name", "check_function_bodies", "client_connection_check_interval", "client_encoding", "client_min_messages", "commit_delay",
	"cursor_tuple_fraction", "default_tablespace", "default_table_access_method", "default_toast_compression", "deadlock_timeout", "effective_cache_size",
	"extra_float_digits", "idle_in_transaction_session_timeout", "idle_session_timeout", "jit", "lc_messages", "lock_timeout",
	"maintenance_work_mem", "max_parallel_workers_per_gather", "plan_cache_mode", "search_path", "session_authorization", "role", "standard_conforming_strings",
	"statement_timeout", "synchronous_commit", "tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout", "temp_buffers",
	"temp_tablespaces", "transaction_timeout", "work_mem",
}

// reproducible says why another connection would run a command otherwise than its
// session does; empty where it would not.
func (s *session) reproducible(c *seam.Command) string {
	for name, usual := range map[string]string{"session_replication_role": "origin", "default_transaction_isolation": "read committed", "default_transaction_read_only": "off"} {
		if v := c.State.Settings[name]; v != "" && v != usual {
			return fmt.Sprintf("the session has %s set to %s", name, v)
		}
	}
	if s.asked.elsewhere {
		return "the target is behind a pooler that spreads a session over several connections"
	}
	row, err := s.inquire(ownSettings)
	if err != nil || len(row) != 1 {
		return "the session's settings could not be read"
	}
	for name := range strings.SplitSeq(string(row[0]), ",") {
		if name == "" || slices.Contains(indifferent, name) || radius.Reproduces(name) || strings.HasPrefix(name, "enable_") ||
			strings.HasPrefix(name, "default_transaction_") || strings.HasPrefix(name, "log_") || name == "session_replication_role" {
			continue
		}
		return "the session has set " + name + ", which may change what it does"
	}
	return ""
}

// beside opens a connection that is not the session's, as the same user; leave
// closes it. Where there is none, why says so in words.
func (s *session) beside(ctx context.Context, name, user string) (conn *pgconn.PgConn, leave func(), why string) {
	const none = "the target takes no second connection"
	done, ok := s.server.aside.enter(ctx, s.open.target)
	if !ok {
		return nil, nil, "too much else is being measured on the target"
	}
	defer func() {
		if why != "" {
			done()
		}
	}()
	up, err := s.gate.Upstream(ctx)
	if err != nil {
		return nil, nil, none
	}
	config, err := s.server.authorities.connectConfig(up)
	if err != nil {
		return nil, nil, none
	}
	config.RuntimeParams = map[string]string{"application_name": name, "client_encoding": "UTF8"}
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: closeLimit} // what is given up stops there, too
	}
	if conn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return nil, nil, none
	}
	leave = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		_ = conn.Close(ctx)
		<-conn.CleanupDone()
		done()
	}
	if is := conn.ParameterStatus("session_authorization"); is != "" && is != user {
		leave()
		done = func() {}
		return nil, nil, "the session has another session_authorization"
	}
	return conn, leave, ""
}

// measured is a command that is run beside its session.
type measured struct {
	*rehearsed // nil where it was not
	check      func(*seam.Rehearsal) error
	limit      time.Duration
}

// measuredBy returns how an admitted command is to be run, nil for in its session.
func (s *session) measuredBy(permit seam.Permit, c *seam.Command) *measured {
	check, limit := permit.Check()
	if check == nil {
		return nil
	}
	return &measured{rehearsed: s.trials[c], check: check, limit: limit}
}

// unmeasured refuses a command that passes only measured, where it could not be.
func unmeasured(why string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.RunExceeded, Message: "this command passes without a person only where its changes are measured before they are committed: " + why,
		Detail: "Nothing was changed.", Hint: "Send it again, by itself and outside of a transaction or pipeline; where it cannot be measured, a person is asked.",
	}
}
