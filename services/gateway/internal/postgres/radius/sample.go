package radius

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const (
	sampleTimeout = "500ms"
	maxSampled    = 5  // rows
	maxColumns    = 30 // of the table, the key's first
	maxValue      = 60 // characters
	maxLong       = 8000
)

// sample is a few rows of the one table that a command changes, on their way: as
// they are behind it, in its transaction, and then as they are without it.
type sample struct {
	table   string
	columns []column
	xid     string
	out     *seam.Sample
	keys    [][]string // of the rows, as text
}

// column is one of the table's; bare ones may be shown.
type column struct {
	name string
	bare bool
	key  bool
}

// quoted is an identifier.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// expressions select what may be shown of a row, and its key whole.
func (s *sample) expressions() string {
	var out []string
	for _, c := range s.columns {
		switch n := quoted(c.name); {
		case !c.bare:
			out = append(out, "'(masked)'")
		default: // a type's own output, and no cast that somebody has made
			out = append(out, fmt.Sprintf("CASE WHEN %[1]s IS NULL THEN NULL WHEN pg_column_size(%[1]s) > %[2]d THEN '('||pg_column_size(%[1]s)||' bytes)' ELSE left(format('%%s', %[1]s), %[3]d) END", n, maxLong, maxValue+1))
		}
	}
	for _, c := range s.columns {
		if c.key {
			out = append(out, fmt.Sprintf("format('%%s', %s)", quoted(c.name)))
		}
	}
	return strings.Join(out, ", ")
}

// behind looks at rows that the command has updated, in its transaction. Why there is
// no sample is returned in words.
func (r *trial) behind() (*sample, string) {
	switch p := &r.q.Proof; {
	case r.q.Shown == nil:
		return nil, ""
	case len(p.Written) != 1 || p.Inserts || p.Updates == p.Deletes:
		return nil, ""
	}
	s := &sample{}
	if why := r.describe(s); why != "" {
		return nil, why
	}
	rows, err := r.rows("SELECT pg_current_xact_id_if_assigned()::xid::text")
	if err != nil || len(rows) != 1 || rows[0][0] == nil {
		return nil, ""
	}
	s.xid = string(rows[0][0])
	if r.q.Proof.Deletes {
		return s, ""
	}
	if rows, err = r.rows("SELECT "+s.expressions()+" FROM "+s.table+" WHERE xmin = $1::text::xid LIMIT "+strconv.Itoa(maxSampled), s.xid); err != nil {
		return nil, reason(err)
	}
	for _, row := range rows {
		values, key := s.split(row)
		s.out.Rows = append(s.out.Rows, seam.SampledRow{After: values})
		s.keys = append(s.keys, key)
	}
	return s, ""
}

// describe finds the table's columns and key.
func (r *trial) describe(s *sample) string {
	if err := r.exec("SET LOCAL statement_timeout = '" + sampleTimeout + "'"); err != nil {
		return reason(err)
	}
	oid := strconv.FormatUint(uint64(r.q.Proof.Written[0]), 10)
	rows, err := r.rows(`SELECT c.oid::regclass::text, n.nspname || '.' || c.relname, a.attname, a.attnum::text, coalesce(a.attnum = ANY (i.indkey), false)::text,
			EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.confrelid = c.oid)::text
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
		WHERE c.oid = $1::oid AND has_table_privilege(c.oid, 'SELECT') ORDER BY 5 DESC, a.attnum LIMIT `+strconv.Itoa(maxColumns), oid)
	switch {
	case err != nil:
		return reason(err)
	case len(rows) == 0:
		return "the session may not read the table"
	case string(rows[0][4]) != "true":
		return "the table has no primary key"
	case string(rows[0][5]) == "true":
		return "the table refers to itself"
	}
	s.table, s.out = string(rows[0][0]), &seam.Sample{Relation: string(rows[0][1])}
	for _, row := range rows {
		num, err := strconv.ParseInt(string(row[3]), 10, 16)
		if err != nil {
			return "the table could not be read"
		}
		c := column{name: string(row[2]), key: string(row[4]) == "true"}
		c.bare = r.q.Shown(r.q.Proof.Written[0], int16(num))
		if c.key && !c.bare {
			return "the table's key is masked"
		}
		s.columns = append(s.columns, c)
		s.out.Columns = append(s.out.Columns, c.name)
	}
	return ""
}

// split takes a row apart into what is shown and the key.
func (s *sample) split(row [][]byte) (values, key []string) {
	for i, v := range row {
		switch {
		case i >= len(s.columns):
			key = append(key, string(v))
		case v == nil:
			values = append(values, "NULL")
		case !s.columns[i].bare:
			values = append(values, string(v))
		default:
			values = append(values, shown(string(v)))
		}
	}
	return values, key
}

// shown is a value as it is shown: in quotes, escaped, and cut.
func shown(v string) string {
	runes := []rune(v)
	if len(runes) > maxValue {
		return strconv.Quote(string(runes[:maxValue])) + "…"
	}
	return strconv.Quote(v)
}

// before looks at the same rows once the command was rolled back, and at those that
// it had deleted.
func (r *trial) before(s *sample) string {
	if s == nil {
		return ""
	}
	if err := r.exec("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = '" + sampleTimeout + "'; SET LOCAL lock_timeout = '" + sampleTimeout + "'"); err != nil {
		return reason(err)
	}
	if q := &r.q.State; q.User != q.LoginUser {
		if _, err := r.rows("SELECT set_config('role', $1, true)", q.User); err != nil {
			return reason(err)
		}
	}
	from := "SELECT " + s.expressions() + " FROM " + s.table + " WHERE "
	if r.q.Proof.Deletes {
		rows, err := r.rows(from+"xmax = $1::text::xid LIMIT "+strconv.Itoa(maxSampled), s.xid)
		if err != nil {
			return reason(err)
		}
		for _, row := range rows {
			values, _ := s.split(row)
			s.out.Rows = append(s.out.Rows, seam.SampledRow{Before: values})
		}
		return ""
	}
	var match []string
	for _, c := range s.columns {
		if c.key {
			match = append(match, fmt.Sprintf("%s = $%d", quoted(c.name), len(match)+1))
		}
	}
	kept := s.out.Rows[:0]
	for i, row := range s.out.Rows {
		rows, err := r.rows(from+strings.Join(match, " AND "), s.keys[i]...)
		if err != nil {
			return reason(err)
		}
		if len(rows) == 1 {
			row.Before, _ = s.split(rows[0])
			kept = append(kept, row)
		}
	}
	s.out.Rows = kept
	return ""
}
