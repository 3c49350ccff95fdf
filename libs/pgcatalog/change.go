package pgcatalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// What has changed since the last Read is told by the rows' xmin, the
// transaction that wrote them. Let the horizon be the oldest transaction that
// was running at the last Read. A row that was written since has an xmin from
// the horizon on; so have some that were seen already, which are read again.
// What was deleted or replaced shows in the number of rows from before the
// horizon, which only ever falls. (Updates in place leave xmin as it is; they
// change statistics and flags that are not read here. A row's xmin stays when it
// is frozen, and one that wraps around counts as new, or as old all the time.)
//
// Where rows have only come, and where relations were only altered, what is new
// is read, with the relations that it belongs to and the views above these, whose
// text may be printed in another way now. Anything else is read as a whole.

// marks are what the next Read is compared with.
type marks struct {
	horizon string // a transaction's number, 32 bits, in decimal
	old     map[string]int64
	users   int64
}

// change is what has changed since the last Read.
type change struct {
	relations, functions, operators, types []uint32
	any, whole                             bool
}

// watched are the tables that a catalog is read from. rel are the columns that
// say to which relation a row belongs; oid is a row's own. lasting: its rows go
// only with their relation, whose going shows, or are replaced by another that
// belongs to the same relation.
var watched = []struct {
	table   string
	rel     string
	oid     string
	lasting bool
	// only some of its rows matter.
	only string
}{
	{"pg_class", "ARRAY[oid]", "oid", true, "oid >= 16384"},
	{"pg_attribute", "ARRAY[attrelid]", "0::oid", true, "attrelid >= 16384"},
	{"pg_attrdef", "ARRAY[adrelid]", "oid", true, "adrelid >= 16384"}, // pg_attribute.atthasdef changes with it
	{"pg_partitioned_table", "ARRAY[partrelid]", "0::oid", true, ""},
	{"pg_constraint", "ARRAY[conrelid, confrelid]", "contypid", false, "oid >= 16384"},
	{"pg_index", "ARRAY[indrelid]", "0::oid", false, "indexrelid >= 16384"},
	{"pg_trigger", "ARRAY[tgrelid]", "0::oid", false, "oid >= 16384"},
	{"pg_rewrite", "ARRAY[ev_class]", "0::oid", false, "oid >= 16384"},
	{"pg_policy", "ARRAY[polrelid]", "0::oid", false, ""},
	{"pg_inherits", "ARRAY[inhrelid]", "0::oid", false, ""},
	{"pg_proc", "ARRAY[0::oid]", "oid", false, "oid >= 16384"},
	{"pg_operator", "ARRAY[0::oid]", "oid", false, "oid >= 16384"},
	{"pg_type", "ARRAY[0::oid]", "oid", false, "oid >= 16384"},
	{"pg_cast", "ARRAY[0::oid]", "oid", false, "oid >= 16384"},
	{"pg_namespace", "ARRAY[0::oid]", "oid", false, ""},
	{"pg_language", "ARRAY[0::oid]", "oid", false, ""},
	{"pg_event_trigger", "ARRAY[0::oid]", "oid", false, ""},
}

// marksQuery has a row for each table: how many rows were there before the last
// horizon and before the present one, where that matters, and what the rows since
// the last one are.
var marksQuery = func() string {
	var b strings.Builder
	b.WriteString(`WITH at AS MATERIALIZED (SELECT age($1::text::xid) AS last, horizon::text, age(horizon) AS now
		FROM (SELECT (txid_snapshot_xmin(txid_current_snapshot()) % 4294967296)::text::xid AS horizon) s) `)
	for i, w := range watched {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		rows := fmt.Sprintf("(SELECT age(xmin) AS age, %s AS rel, %s AS oid FROM %s WHERE %s OFFSET 0) r", w.rel, w.oid, w.table, cmp.Or(w.only, "true"))
		if w.lasting {
			fmt.Fprintf(&b, `SELECT '%s', at.horizon, 0, 0, o.* FROM at CROSS JOIN LATERAL (SELECT array_agg(rel)::oid[], array_agg(oid) FROM %s WHERE age <= at.last) o`, w.table, rows)
			continue
		}
		fmt.Fprintf(&b, `SELECT '%s', at.horizon, o.* FROM at CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE age > at.last), count(*) FILTER (WHERE age > at.now),
			       array_agg(rel) FILTER (WHERE age <= at.last)::oid[], array_agg(oid) FILTER (WHERE age <= at.last) FROM %s) o`,
			w.table, rows)
	}
	fmt.Fprintf(&b, ` UNION ALL SELECT 'relations', '', 0, count(*), NULL, NULL FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= %d AND %s`, firstUser, kept)
	return b.String()
}()

// mark begins a transaction, and says where the catalog stands in it, and what has
// changed since last.
func mark(ctx context.Context, conn *pgx.Conn, last *reading) (marks, *change, error) {
	now, c := marks{old: map[string]int64{}}, &change{}
	var before *string
	if last != nil {
		before = &last.marks.horizon
	}
	var (
		table, horizon string
		stayed, old    int64
		rels, oids     pgtype.FlatArray[uint32]
		typed          []uint32 // what constraints of types are of
	)
	batch := &pgx.Batch{}
	for _, sql := range begin {
		batch.Queue(sql)
	}
	batch.Queue(marksQuery, before).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&table, &horizon, &stayed, &old, &rels, &oids}, func() error {
			if table == "relations" {
				now.users = old
				c.any = c.any || last != nil && now.users != last.marks.users
				return nil
			}
			now.horizon, now.old[table] = horizon, old
			if last == nil {
				return nil
			}
			gone := stayed != last.marks.old[table]
			c.any = c.any || gone || len(oids) > 0
			c.whole = c.whole || gone
			c.relations = append(c.relations, rels...)
			switch table {
			case "pg_proc":
				c.functions = slices.Clone(oids)
			case "pg_operator":
				c.operators = slices.Clone(oids)
			case "pg_type":
				c.types = slices.Clone(oids)
			case "pg_constraint":
				typed = slices.Clone(oids)
			case "pg_cast", "pg_language", "pg_event_trigger":
				c.whole = c.whole || len(oids) > 0
			}
			return nil
		})
		return err //nolint:wrapcheck // below
	})
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return now, nil, fmt.Errorf("read: %w", err)
	}
	for _, t := range typed { // of a domain that was there before
		c.whole = c.whole || t != 0 && !slices.Contains(c.types, t)
	}
	return now, c, nil
}

func (c *change) none() bool { return !c.any }

// follows reports that reading what has changed is enough.
func (c *change) follows(last *reading) bool {
	return !c.whole && len(c.relations) <= 1000+len(last.out.Relations)/4
}

// touched are the relations to be read again: those that changed, those of which
// something could not be read, and the views that read them.
func (c *change) touched(last *reading) []uint32 {
	set := map[uint32]bool{}
	for oid := range last.unread {
		set[oid] = true
	}
	for _, oid := range c.relations {
		if oid >= firstUser {
			set[oid] = true
		}
	}
	for i := range last.out.Relations { // a function's name may be another
		if r := &last.out.Relations[i]; len(c.functions) > 0 && len(r.Triggers) > 0 {
			set[r.OID] = true
		}
	}
	for more := true; more; {
		more = false
		for i := range last.out.Relations {
			r := &last.out.Relations[i]
			for _, ref := range r.Reads {
				if set[ref.OID] && !set[r.OID] {
					set[r.OID], more = true, true
				}
			}
		}
	}
	out := make([]uint32, 0, len(set))
	for oid := range set {
		out = append(out, oid)
	}
	slices.Sort(out)
	return out
}
