// Package radius measures what a held command would touch, over a connection
// beside the session's: the planner's estimate, what the session holds, how
// large the tables are.
//
// Nobody has approved anything yet. So nothing runs here but PostgreSQL's own
// code: the transaction is read only and rolled back, statements and locks have
// limits, and a command is planned only where its facts and the target's catalog
// prove that the planner evaluates no other function (pgfacts.Catalog.Planned,
// and the question that Measure asks beside it). Everything else is unknown, with
// a reason, and never zero.
//
// The proof is of the catalog as it is read some milliseconds before the planner
// reads it. Who may define a function and put it into an index, a rule or a policy
// of that table at that moment has it run, read only, as the target's user: but
// who may do that has it run by the next write of anybody.
package radius

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Question is what is to be measured.
type Question struct {
	Text       string // one statement
	Parameters []command.Parameter
	State      command.State // under which it would run
	Backend    string        // process of the session's, as pg_backend_pid has it
	// Relations are what planning looks at. Unknown, where it is set, is why the
	// command must not be planned.
	Relations []uint32
	Unknown   string
	// Sizes are the relations whose size is of interest.
	Sizes []Relation
}

// Relation is one by its OID, and its name for people.
type Relation struct {
	OID  uint32
	Name string
}

// The limits of what the target is asked, beside the context's.
const (
	statementTimeout = 900 * time.Millisecond
	lockTimeout      = 200 * time.Millisecond
	idleTimeout      = 2 * time.Second
	maxSizes         = 5
)

// Measure answers a question, as far as it can before ctx ends. The connection is
// idle, of no session, and of no use afterwards: the caller closes it.
func Measure(ctx context.Context, conn *pgconn.PgConn, q *Question) *seam.Radius {
	m := &measure{ctx: ctx, conn: conn, q: q, out: &seam.Radius{Unknown: q.Unknown}}
	if err := m.begin(); err != nil {
		m.out.Unseen = reason(err)
		if m.out.Unknown == "" {
			m.out.Unknown = m.out.Unseen
		}
		return m.out
	}
	if err := m.session(); err != nil {
		m.out.Unseen = reason(err)
	}
	if err := m.sizes(); err != nil {
		m.out.Unseen = reason(err)
	}
	if m.out.Unknown == "" {
		if err := m.plan(); err != nil {
			m.out.Planned, m.out.Unknown = nil, reason(err)
		}
	}
	_ = m.exec("ROLLBACK")
	return m.out
}

// reason says in words why something could not be measured. What the target says
// may quote values, so only its code is told.
func reason(err error) string {
	var (
		pe  *pgconn.PgError
		why unproved
	)
	switch {
	case errors.As(err, &why):
		return string(why)
	case errors.As(err, &pe) && pe.Code == "55P03":
		return "somebody holds a lock that it would have to wait for"
	case errors.As(err, &pe) && pe.Code == "57014", errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return "it could not be measured in time"
	case errors.As(err, &pe):
		return "the target refuses to measure it (" + pe.Code + ")"
	default:
		return "it could not be measured"
	}
}

// unproved is why a command is not planned.
type unproved string

// Error implements error.
func (u unproved) Error() string { return string(u) }

type measure struct {
	ctx  context.Context //nolint:containedctx // lives for one Measure
	conn *pgconn.PgConn
	q    *Question
	out  *seam.Radius
}

func (m *measure) exec(sql string) error {
	return m.conn.Exec(m.ctx, sql).Close() //nolint:wrapcheck // reason looks at it
}

// rows runs one statement with text parameters; NULL is nil.
func (m *measure) rows(sql string, params ...string) ([][][]byte, error) {
	values := make([][]byte, len(params))
	for i, p := range params {
		values[i] = []byte(p)
	}
	r := m.conn.ExecParams(m.ctx, sql, values, nil, nil, nil).Read()
	return r.Rows, r.Err
}

// begin opens the transaction in which all is asked. Names are PostgreSQL's own
// until plan gives them the session's meaning.
func (m *measure) begin() error {
	return m.exec(fmt.Sprintf("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; "+
		"SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %d",
		statementTimeout.Milliseconds(), lockTimeout.Milliseconds(), idleTimeout.Milliseconds()))
}

// guarded runs fn so that its failure leaves the transaction usable.
func (m *measure) guarded(fn func() error) error {
	if err := m.exec("SAVEPOINT measured"); err != nil {
		return err
	}
	err := fn()
	if err != nil {
		if e := m.exec("ROLLBACK TO SAVEPOINT measured"); e != nil {
			return e
		}
	}
	return err
}

// strongest orders the modes of pg_locks.
var strongest = []string{
	"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock",
	"ExclusiveLock", "AccessExclusiveLock",
}

// session finds out what the session's open transaction holds.
func (m *measure) session() error {
	if m.q.State.InTransaction == 'I' || m.q.Backend == "" {
		return nil
	}
	var rows [][][]byte
	if err := m.guarded(func() (err error) {
		rows, err = m.rows(`SELECT extract(epoch FROM a.xact_start)::text, n.nspname || '.' || c.relname, l.mode
			FROM (SELECT $1::int4 AS pid) s LEFT JOIN pg_stat_activity a USING (pid)
			LEFT JOIN pg_locks l ON l.pid = s.pid AND l.granted AND l.locktype = 'relation' AND l.relation >= 16384
				AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
			LEFT JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace`, m.q.Backend)
		return err
	}); err != nil {
		return err
	}
	t := &seam.OpenTransaction{}
	best := -1
	for _, r := range rows {
		if s, err := strconv.ParseFloat(string(r[0]), 64); err == nil {
			t.Since = time.UnixMicro(int64(s * 1e6))
		}
		if r[2] == nil {
			continue
		}
		t.Locks++
		if mode := slices.Index(strongest, string(r[2])); mode > best {
			best, t.Strongest, t.On = mode, modeName(string(r[2])), string(r[1])
		}
	}
	m.out.Transaction = t
	return nil
}

// modeName turns a mode of pg_locks into the words of the manual: ROW EXCLUSIVE.
func modeName(mode string) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(mode, "Lock") {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// sizes asks how large relations are, with their partitions. Counting rows takes
// no lock; counting bytes does, for a moment.
func (m *measure) sizes() error {
	const tree = `WITH RECURSIVE t (oid) AS (SELECT $1::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN t ON i.inhparent = t.oid) `
	for _, rel := range m.q.Sizes[:min(len(m.q.Sizes), maxSizes)] {
		oid := strconv.FormatUint(uint64(rel.OID), 10)
		size := seam.Size{Relation: rel.Name, Rows: -1}
		var rows [][][]byte
		if err := m.guarded(func() (err error) {
			rows, err = m.rows(tree+`SELECT sum(greatest(c.reltuples, 0))::int8::text, bool_or(c.reltuples >= 0 AND c.relkind <> 'p')::text
				FROM t JOIN pg_class c USING (oid)`, oid)
			return err
		}); err != nil {
			return err
		}
		if len(rows) == 1 && string(rows[0][1]) == "true" {
			if n, err := strconv.ParseInt(string(rows[0][0]), 10, 64); err == nil {
				size.Rows = n
			}
		}
		if err := m.guarded(func() (err error) {
			rows, err = m.rows(tree+`SELECT sum(pg_total_relation_size(t.oid))::text FROM t`, oid)
			return err
		}); err == nil && len(rows) == 1 {
			size.Bytes, _ = strconv.ParseUint(string(rows[0][0]), 10, 64)
		} else if m.conn.IsClosed() {
			return err
		}
		m.out.Sizes = append(m.out.Sizes, size)
	}
	return nil
}
