package radius

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// meaning are the settings that change what a text means, which the session may
// have set otherwise than the target's user has them.
var meaning = []string{
	"DateStyle", "IntervalStyle", "TimeZone", "backslash_quote", "bytea_output", "extra_float_digits", "lc_monetary", "lc_numeric", "lc_time",
	"row_security", "transform_null_equals", "xmloption",
}

// Reproduces reports a setting, in lower case, that is given to the connection
// beside a session as the session has it.
func Reproduces(name string) bool {
	return slices.ContainsFunc(meaning, func(m string) bool { return strings.EqualFold(m, name) })
}

// plan asks the planner.
func (m *measure) plan() error {
	s := &m.q.State
	if r := s.Settings["session_replication_role"]; r != "" && r != "origin" {
		return unproved("the session has another session_replication_role")
	}
	if err := m.proved(); err != nil {
		return err
	}
	if err := m.become(s); err != nil {
		return err
	}
	values, types, formats := make([][]byte, len(m.q.Parameters)), make([]uint32, len(m.q.Parameters)), make([]int16, len(m.q.Parameters))
	for i, p := range m.q.Parameters {
		values[i], types[i], formats[i] = p.Value, p.Type, p.Format
	}
	r := m.conn.ExecParams(m.ctx, "EXPLAIN (VERBOSE, FORMAT JSON) "+m.q.Text, values, types, formats, nil).Read()
	if r.Err != nil {
		return r.Err
	}
	if len(r.Rows) != 1 || len(r.Rows[0]) != 1 {
		return unproved("the target's plan could not be read")
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(r.Rows[0][0], &plans); err != nil || len(plans) == 0 {
		return unproved("the target's plan could not be read")
	}
	for i := range plans { // rules could make several; proved finds none
		m.out.Planned = append(m.out.Planned, plans[i].Plan.effects()...)
	}
	if len(m.out.Planned) == 0 {
		m.out.Planned = []seam.Effect{{Verb: "select", Rows: count(plans[0].Plan.Rows)}}
	}
	return nil
}

// codeQuery finds, among relations, what makes the planner run code that facts do
// not tell of: rules other than a view's query, operator classes that are not
// PostgreSQL's own (of indexes and partition keys), and extended statistics about
// expressions. It names the first relation and what it is.
const codeQuery = `
	WITH r (oid) AS (SELECT unnest($1::oid[]))
	SELECT what, (SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = x.oid) FROM (
		SELECT 'has a rule' AS what, w.ev_class AS oid FROM pg_rewrite w JOIN r ON w.ev_class = r.oid WHERE w.ev_type <> '1' AND w.ev_enabled <> 'D'
		UNION ALL SELECT 'has an index with an operator class that is not PostgreSQL''s own', i.indrelid
			FROM pg_index i JOIN r ON i.indrelid = r.oid WHERE EXISTS (SELECT FROM unnest(i.indclass::oid[]) k (o) WHERE k.o >= 16384)
		UNION ALL SELECT 'is partitioned by an operator class that is not PostgreSQL''s own', p.partrelid
			FROM pg_partitioned_table p JOIN r ON p.partrelid = r.oid WHERE EXISTS (SELECT FROM unnest(p.partclass::oid[]) k (o) WHERE k.o >= 16384)
		UNION ALL SELECT 'is a foreign table', c.oid FROM pg_class c JOIN r USING (oid) WHERE c.relkind = 'f'
		UNION ALL SELECT 'has statistics about expressions', s.stxrelid
			FROM pg_statistic_ext s JOIN r ON s.stxrelid = r.oid WHERE to_jsonb(s) ->> 'stxexprs' IS NOT NULL
	) x LIMIT 1`

// proved makes sure of what the catalog does not hold.
func (m *measure) proved() error {
	rows, err := m.rows(codeQuery, oids(m.q.Relations))
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		return unproved(string(rows[0][1]) + " " + string(rows[0][0]))
	}
	return nil
}

// become takes the session's role, search_path and settings, until the rollback.
func (m *measure) become(s *command.State) error {
	path := make([]string, 0, len(s.SearchPath))
	for _, schema := range s.SearchPath {
		if !strings.HasPrefix(schema, "pg_temp_") { // of another session; nothing in it is meant
			path = append(path, `"`+strings.ReplaceAll(schema, `"`, `""`)+`"`)
		}
	}
	if !slices.Contains(path, `"pg_catalog"`) {
		path = append([]string{`"pg_catalog"`}, path...)
	}
	if s.User != s.LoginUser {
		if _, err := m.rows("SELECT set_config('role', $1, true)", s.User); err != nil {
			return err
		}
	}
	for _, name := range meaning {
		if v, ok := s.Settings[name]; ok {
			if _, err := m.rows("SELECT set_config($1, $2, true)", name, v); err != nil {
				return err
			}
		}
	}
	_, err := m.rows("SELECT set_config('search_path', $1, true)", strings.Join(path, ", ")+", pg_temp")
	return err
}

// node is a node of a plan, as EXPLAIN prints it.
type node struct {
	Type      string  `json:"Node Type"`
	Operation string  `json:"Operation"`
	Schema    string  `json:"Schema"`
	Relation  string  `json:"Relation Name"`
	Parent    string  `json:"Parent Relationship"`
	Rows      float64 `json:"Plan Rows"`
	Plans     []node  `json:"Plans"`
}

// effects are those of all nodes that change rows, wherever they are.
func (n *node) effects() []seam.Effect {
	var out []seam.Effect
	if n.Type == "ModifyTable" {
		rows := 0.0
		for i := range n.Plans {
			if p := &n.Plans[i]; p.Parent == "Outer" || p.Parent == "Member" {
				rows += p.Rows
			}
		}
		out = append(out, seam.Effect{Verb: strings.ToLower(n.Operation), Relation: n.Schema + "." + n.Relation, Rows: count(rows)})
	}
	for i := range n.Plans {
		out = append(out, n.Plans[i].effects()...)
	}
	return out
}

// count is never zero: the planner cannot know that.
func count(rows float64) uint64 { return uint64(max(1, min(rows, math.MaxInt64))) }
