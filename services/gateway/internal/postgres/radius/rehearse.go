package radius

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Trial is a command that is run here, beside its session, to be measured.
type Trial struct {
	Text       string // one statement
	Parameters []command.Parameter
	State      command.State // under which it runs
	Proof      pgfacts.Rehearsal
	Timeout    time.Duration // of the statement
	// Shown reports a column whose values a sample may show; nil for no sample.
	Shown func(oid uint32, num int16) bool
}

const (
	trialLockTimeout = time.Second
	// trialIdleTimeout ends the transaction of a gateway that went away.
	trialIdleTimeout = 10 * time.Second
	maxChanged       = 50
)

// Rehearse runs a command in a transaction that is rolled back, and returns what
// it changed; begin is called once it is proved harmless, before it is sent. The
// connection is idle, of no session, and of no use afterwards.
func Rehearse(ctx context.Context, conn *pgconn.PgConn, q *Trial, begin func() error) *seam.Rehearsal {
	r := &trial{measure: measure{ctx: ctx, conn: conn}, q: q}
	_, err := r.run(begin)
	var (
		rows *sample
		why  string
	)
	if err == nil && len(r.out.Changed) > 0 {
		rows, why = r.behind()
	}
	_ = r.exec("ROLLBACK")
	if err != nil {
		return &seam.Rehearsal{Unknown: r.reason(err), Sent: r.sent}
	}
	if rows != nil {
		if why = r.before(rows); why == "" && len(rows.out.Rows) > 0 {
			r.out.Sample = rows.out
		}
		_ = r.exec("ROLLBACK")
	}
	r.out.Unsampled = why
	return r.out
}

// Outcome is how a measured run ended.
type Outcome struct {
	Tag      string // of the command
	Rows     int64  // as the tag counts
	Measured *seam.Rehearsal
	// Unsettled reports that the target was asked to commit and did not answer.
	Unsettled bool
}

// Run runs a command for good: it is committed only where it is proved harmless,
// before and after, and check lets pass what it has changed. The error is check's,
// *Unproved, or the target's.
func Run(ctx context.Context, conn *pgconn.PgConn, q *Trial, check func(*seam.Rehearsal) error) (*Outcome, error) {
	r := &trial{measure: measure{ctx: ctx, conn: conn}, q: q}
	tag, err := r.run(func() error { return nil })
	if err == nil {
		err = check(r.out)
	}
	if err != nil {
		_ = r.exec("ROLLBACK")
		var why unproved
		if errors.As(err, &why) {
			return nil, &Unproved{Why: string(why)}
		}
		return nil, err
	}
	done, err := conn.Exec(ctx, "COMMIT").ReadAll()
	out := &Outcome{Tag: tag.String(), Rows: tag.RowsAffected(), Measured: r.out}
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Severity != "FATAL" && refused.Severity != "PANIC":
		return nil, err //nolint:wrapcheck // the target's, for the client
	case err != nil:
		out.Unsettled = true
		return out, err //nolint:wrapcheck // looked at by its kind
	case len(done) != 1 || done[0].CommandTag.String() != "COMMIT":
		return nil, &Unproved{Why: "the target did not commit it"}
	}
	return out, nil
}

// Unproved is why a command could not be measured.
type Unproved struct{ Why string }

// Error implements error.
func (u *Unproved) Error() string { return "radius: " + u.Why }

// trial is one transaction.
type trial struct {
	measure
	q    *Trial
	out  *seam.Rehearsal
	sent bool
	text bool // the target has the command's text: its errors are about it
}

func (r *trial) reason(err error) string {
	var pe *pgconn.PgError
	if r.text && errors.As(err, &pe) && pe.Code != "55P03" && pe.Code != "57014" {
		return "it failed with " + pe.Code
	}
	return reason(err)
}

// run leaves the transaction open.
func (r *trial) run(begin func() error) (pgconn.CommandTag, error) {
	var tag pgconn.CommandTag
	if err := r.open(); err != nil {
		return tag, err
	}
	may, err := r.writable()
	if err != nil {
		return tag, err
	}
	before, err := r.counts()
	if err != nil {
		return tag, err
	}
	if err := r.become(&r.q.State); err != nil {
		return tag, err
	}
	if err := begin(); err != nil {
		return tag, err
	}
	r.sent, r.text = true, true
	started := time.Now()
	tag, returns, err := r.command()
	if err != nil {
		return tag, err
	}
	took := time.Since(started)
	if err := r.exec("SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return tag, err
	}
	r.text = false
	if err := r.exec("SET LOCAL search_path = pg_catalog, pg_temp"); err != nil {
		return tag, err
	}
	after, err := r.counts()
	if err != nil {
		return tag, err
	}
	// What it took locks on cannot have changed since: a trigger that came
	// between proof and run is seen now.
	if err := r.harmless(); err != nil {
		return tag, err
	}
	r.out = &seam.Rehearsal{Duration: took, Sent: true}
	if returns {
		r.out.Alone = "it returns rows, which must not be sent before it is committed"
	}
	return tag, r.compare(before, after, may, tag)
}

// open begins the transaction, takes the locks that the command will take on what
// it names, and proves that it is harmless: under these locks that stays so.
func (r *trial) open() error {
	if err := r.exec(fmt.Sprintf("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL search_path = pg_catalog, pg_temp; "+
		"SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %d",
		r.q.Timeout.Milliseconds(), trialLockTimeout.Milliseconds(), trialIdleTimeout.Milliseconds())); err != nil {
		return err
	}
	if s := &r.q.State; s.User != s.LoginUser {
		if _, err := r.rows("SELECT set_config('role', $1, true)", s.User); err != nil {
			return err
		}
	}
	rows, err := r.rows("SELECT o.oid::regclass::text FROM unnest($1::oid[]) WITH ORDINALITY o (oid, place) JOIN pg_class USING (oid) ORDER BY o.oid", oids(r.q.Proof.Written))
	if err != nil {
		return err
	}
	if len(rows) != len(r.q.Proof.Written) {
		return unproved("what it touches has changed just now")
	}
	for _, row := range rows {
		if err := r.exec("LOCK TABLE " + string(row[0]) + " IN ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	return r.harmless()
}

// command runs the statement; its rows are left out.
func (r *trial) command() (tag pgconn.CommandTag, returns bool, err error) {
	values, types, formats := make([][]byte, len(r.q.Parameters)), make([]uint32, len(r.q.Parameters)), make([]int16, len(r.q.Parameters))
	for i, p := range r.q.Parameters {
		values[i], types[i], formats[i] = p.Value, p.Type, p.Format
	}
	result := r.conn.ExecParams(r.ctx, r.q.Text, values, types, formats, nil)
	for result.NextRow() {
	}
	returns = len(result.FieldDescriptions()) > 0
	tag, err = result.Close()
	return tag, returns, err //nolint:wrapcheck // reason looks at it
}

// count is what the target counts of one relation in a transaction.
type counted struct {
	name    string
	changed [3]uint64 // inserted, updated, deleted
}

// counts reads what the target has counted so far, by OID. Earlier transactions may
// still be in it.
func (r *trial) counts() (map[string]counted, error) {
	rows, err := r.rows(`SELECT relid::text, schemaname || '.' || relname, n_tup_ins::text, n_tup_upd::text, n_tup_del::text FROM pg_stat_xact_all_tables
		WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname <> 'pg_toast'`)
	if err != nil {
		return nil, err
	}
	out := make(map[string]counted, len(rows))
	for _, row := range rows {
		c := counted{name: string(row[1])}
		for i := range c.changed {
			if c.changed[i], err = strconv.ParseUint(string(row[2+i]), 10, 64); err != nil {
				return nil, unproved("the target's counts could not be read")
			}
		}
		out[string(row[0])] = c
	}
	return out, nil
}

// compare fills in what has changed between two counts.
func (r *trial) compare(before, after map[string]counted, may map[string]bool, tag pgconn.CommandTag) error {
	total := uint64(0)
	for oid, now := range after {
		then := before[oid]
		for i, verb := range []string{"insert", "update", "delete"} {
			if now.changed[i] < then.changed[i] {
				return unproved("the target's counts went back")
			}
			n := now.changed[i] - then.changed[i]
			if n == 0 {
				continue
			}
			if !may[oid] {
				return unproved("it changes " + now.name + ", which was not foreseen")
			}
			total += n
			r.out.Changed = append(r.out.Changed, seam.Effect{Verb: verb, Relation: now.name, Rows: n})
		}
	}
	if len(r.out.Changed) > maxChanged {
		return unproved(fmt.Sprintf("it changes more than %d tables", maxChanged))
	}
	if rows := tag.RowsAffected(); !strings.HasPrefix(tag.String(), "SELECT") && rows > 0 && uint64(rows) > total {
		return unproved("the target counts fewer rows than it says that the command changed")
	}
	return nil
}
