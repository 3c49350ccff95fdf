package pgcatalog

import (
	"context"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command/postgres"
)

// Reader reads one database's catalog again and again over one connection, which
// is its own between Reads. Not for concurrent use.
type Reader struct {
	conn *pgx.Conn
	last *reading
}

// reading is what the last Read has seen.
type reading struct {
	out    *postgres.Snapshot
	index  map[uint32]int
	own    []postgres.Function
	unread map[uint32]bool
	marks  marks
}

// NewReader returns a Reader that has read nothing yet.
func NewReader(conn *pgx.Conn) *Reader { return &Reader{conn: conn} }

// Read returns the catalog as one consistent snapshot, and whether it differs
// from the one that was returned before. Snapshots are not changed later, and
// share what is the same.
func (r *Reader) Read(ctx context.Context) (*postgres.Snapshot, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	next, err := r.read(ctx)
	if err != nil {
		if !r.conn.IsClosed() {
			_, _ = r.conn.Exec(ctx, end)
		}
		return nil, false, fmt.Errorf("pgcatalog: load: %w", err)
	}
	changed := r.last == nil || next.out != r.last.out
	r.last = next
	return next.out, changed, nil
}

// begin opens one Read: names outside pg_catalog are printed with their schema,
// and to plan a query takes longer than to run it where little has changed.
var begin = []string{
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL search_path = pg_catalog", "SET LOCAL plan_cache_mode = force_generic_plan",
	fmt.Sprintf("SET LOCAL statement_timeout = %d", timeout.Milliseconds()),
}

// end ends it: it only reads.
const end = "ROLLBACK"

func (r *Reader) read(ctx context.Context) (*reading, error) {
	now, c, err := mark(ctx, r.conn, r.last)
	if err != nil {
		return nil, fmt.Errorf("what has changed: %w", err)
	}
	if r.last != nil && c.none() && len(r.last.unread) == 0 {
		if _, err := r.conn.Exec(ctx, end); err != nil {
			return nil, err //nolint:wrapcheck // by Read
		}
		same := *r.last
		same.marks = now
		return &same, nil
	}
	if r.last != nil && c.follows(r.last) {
		l := r.some(ctx, c)
		if err := l.run(); err != nil {
			return nil, err
		}
		if users(l.out) == now.users {
			return l.reading(now).or(r.last, l.relations.oids), nil
		}
		if now, _, err = mark(ctx, r.conn, r.last); err != nil {
			return nil, fmt.Errorf("what has changed: %w", err)
		}
	}
	l := r.all(ctx)
	if err := l.run(); err != nil {
		return nil, err
	}
	return l.reading(now), nil
}

func (l *loader) reading(now marks) *reading {
	return &reading{out: l.out, index: l.index, own: l.own, unread: l.unread, marks: now}
}

// or returns the catalog as it was seen last where these relations, and all else,
// are as they were: what was seen already comes again while an older transaction
// runs, and TRUNCATE, say, changes nothing that is read here.
func (n *reading) or(last *reading, read []uint32) *reading {
	a, b := n.out, last.out
	same := a.EventTriggers == b.EventTriggers && len(a.Relations) == len(b.Relations) && len(a.Functions) == len(b.Functions) && len(a.Operators) == len(b.Operators) && reflect.DeepEqual(a.Types, b.Types)
	for _, oid := range read {
		if i, ok := n.index[oid]; same && ok {
			same = reflect.DeepEqual(a.Relations[i], b.Relations[i])
		}
	}
	if same {
		n.out = last.out
	}
	return n
}

func newLoader(ctx context.Context, conn *pgx.Conn) *loader {
	return &loader{ctx: ctx, conn: conn, batch: &pgx.Batch{}, out: &postgres.Snapshot{}, index: map[uint32]int{}, unread: map[uint32]bool{}}
}

// all reads everything, but for what came with PostgreSQL, which is read once.
func (r *Reader) all(ctx context.Context) *loader {
	l := newLoader(ctx, r.conn)
	users := scope{after: firstUser}
	l.functions, l.operators, l.types = users, users, users
	if r.last == nil {
		l.functions = scope{}
		return l
	}
	l.relations = users
	for _, rel := range r.last.out.Relations {
		if rel.OID < firstUser {
			l.index[rel.OID] = len(l.out.Relations)
			l.out.Relations = append(l.out.Relations, rel)
		}
	}
	l.own = r.last.own
	l.out.Functions = append(l.out.Functions, l.own...)
	return l
}

// some reads what has changed, and keeps the rest.
func (r *Reader) some(ctx context.Context, c *change) *loader {
	l := newLoader(ctx, r.conn)
	l.out.Relations = append(l.out.Relations, r.last.out.Relations...)
	l.out.Functions = append(l.out.Functions, r.last.out.Functions...)
	l.out.Operators = append(l.out.Operators, r.last.out.Operators...)
	l.out.Types = append(l.out.Types, r.last.out.Types...)
	l.own = r.last.own
	for oid, i := range r.last.index {
		l.index[oid] = i
	}
	l.relations = scope{some: true, oids: c.touched(r.last)}
	l.functions = scope{some: true, oids: c.functions}
	l.operators = scope{some: true, oids: c.operators}
	l.types = scope{some: true, oids: c.types}
	return l
}

// users counts the relations that are not PostgreSQL's own.
func users(s *postgres.Snapshot) int64 {
	n := int64(0)
	for i := range s.Relations {
		if s.Relations[i].OID >= firstUser {
			n++
		}
	}
	return n
}
