package postgres

import (
	"fmt"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// reported returns a report of the target as the client, and the record, may have
// it. What a command makes the target say of masked values cannot be told from
// harmless words: it may be spelled backwards, in hex, or one letter at a time.
// So the whole text of a command that might quote them gives way to the name of
// its condition.
func (s *session) reported(r wire.Report, e *expectation) wire.Report {
	switch {
	case e != nil && (readOnlyText(r) || ownWords(e, r)):
		return readable(r) // it speaks of the client's own text and of names
	case e == nil || !s.mayQuote(r, e):
		return s.scrub(r)
	}
	run := e.run()
	// Code of the target's own can put words into any field.
	return withhold(r, r.Get(wire.FieldWhere) != "" || run == nil || run.facts.Class == command.Unknown)
}

// readOnlyText reports an error that was found in reading a text, before a row
// was touched: only the parser says where in the text it is, and what goes
// wrong inside of a function says so in its context.
func readOnlyText(r wire.Report) bool {
	return r.Get(wire.FieldPosition) != "" && r.Get(wire.FieldWhere) == "" && r.Get(wire.FieldInternalQuery) == ""
}

// ownWords reports an error of SET, which quotes nothing but the value that stands
// in the client's own text. Behind other statements of its text an implicit
// transaction may have failed at its end.
func ownWords(e *expectation, r wire.Report) bool {
	run := e.run()
	return run != nil && run.facts.Class == command.Session && run.facts.Verb == "set" && len(run.facts.Objects) == 0 &&
		len(e.runs) <= 1 && r.Get(wire.FieldWhere) == ""
}

// mayQuote reports that what the target says while it answers e may derive from
// masked values.
func (s *session) mayQuote(r wire.Report, e *expectation) bool {
	if len(s.gate.Masks()) == 0 {
		return false
	}
	run := e.run()
	s.pipeline.mu.Lock()
	dirty := s.track.dirty
	s.pipeline.mu.Unlock()
	// At its end a transaction checks what was deferred.
	if dirty && (run == nil && (e.kind == ofSync || e.kind == ofQuery) || run != nil && run.facts.Class == command.Session || e.implicit && len(e.runs) > 1) {
		return true
	}
	if run == nil {
		return false
	}
	snapshot, _ := s.catalog.Current(s.ctx) // without one, everything may be masked
	masks := s.masks(snapshot)
	if masks.Taint(run.facts).Expressions {
		return true
	}
	if reads(run.facts.Class) {
		return false
	}
	if run.copy != nil && run.facts.Class == command.Write && run.facts.Neutral {
		return masks.Touches(run.facts) // the context only says which line of the client's data it is
	}
	// What a write runs besides (a trigger, a default) reads what it likes.
	return r.Get(wire.FieldWhere) != "" || run.facts.Class == command.Write && !run.facts.Neutral || masks.Touches(run.facts)
}

// masked is what masks returned last.
type masked struct {
	columns []seam.MaskedColumn
	in      *catalog.Snapshot
	masks   *pgfacts.Masks
}

// masks are the masked columns in a catalog.
func (s *session) masks(in *catalog.Snapshot) *pgfacts.Masks {
	columns := s.gate.Masks()
	last := s.masked.Load()
	if last != nil && last.in == in && len(last.columns) == len(columns) && (len(columns) == 0 || &last.columns[0] == &columns[0]) {
		return last.masks // a session's masks do not change in place
	}
	now := &masked{columns: columns, in: in}
	defer s.masked.Store(now)
	now.masks = masksIn(in, columns)
	if missing := now.masks.Missing(); len(missing) > 0 {
		s.notFound(missing)
	}
	return now.masks
}

func masksIn(in *catalog.Snapshot, columns []seam.MaskedColumn) *pgfacts.Masks {
	var rules, copies []command.Column
	for _, m := range columns {
		c := command.Column{Schema: m.Schema, Table: m.Table, Name: m.Column}
		if m.Copied {
			copies = append(copies, c)
		} else {
			rules = append(rules, c)
		}
	}
	return in.Masks(rules, copies)
}

// notFound tells of rules' columns that the catalog does not have.
func (s *session) notFound(columns []command.Column) {
	out := make([]seam.MaskedColumn, len(columns))
	for i, c := range columns {
		out[i] = seam.MaskedColumn{Schema: c.Schema, Table: c.Table, Column: c.Name}
	}
	s.gate.NotFound(out)
}

// withhold returns a report without the words of the target. foreign says that
// the other fields may not be PostgreSQL's own either.
func withhold(r wire.Report, foreign bool) wire.Report {
	state := r.Get(wire.FieldCode)
	name, known := conditions[state]
	if !known {
		class := ""
		if len(state) == 5 {
			class = state[:2]
		}
		if name, known = classes[class]; !known {
			name, class = "an error", "XX"
		}
		if foreign {
			state = class + "000"
		}
	}
	message := fmt.Sprintf("%s: %s (the text is withheld: it may quote masked columns or secrets of the catalog; run the command without them to see it)", state, name)
	if m := r.Get(wire.FieldMessage); fixedMessages[m] {
		message = m
	}
	var out wire.Report
	for _, f := range r {
		switch f.Code {
		case wire.FieldSeverity, wire.FieldSeverityFixed, wire.FieldPosition:
			out = append(out, f)
		case wire.FieldCode:
			out = append(out, wire.Field{Code: f.Code, Value: state})
		case wire.FieldMessage:
			out = append(out, wire.Field{Code: f.Code, Value: message})
		case wire.FieldSchema, wire.FieldTable, wire.FieldColumn, wire.FieldConstraint:
			if !foreign {
				out = append(out, f)
			}
		}
	}
	return out
}

// fixedMessages are the same whatever the data is.
var fixedMessages = map[string]bool{
	"canceling statement due to user request":                                         true,
	"canceling statement due to statement timeout":                                    true,
	"canceling statement due to lock timeout":                                         true,
	"current transaction is aborted, commands ignored until end of transaction block": true,
	"deadlock detected": true,
	"division by zero":  true,
	"terminating connection due to administrator command": true,
}

// conditions are the names of common conditions; classes those of the others.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
var (
	conditions = map[string]string{
		"00000": "a notice", "01000": "a warning",
		"0A000": "feature not supported",
		"22001": "value too long", "22003": "numeric value out of range", "22007": "invalid datetime format", "22008": "datetime field overflow",
		"22012": "division by zero", "22021": "character not in repertoire", "22023": "invalid parameter value", "22P02": "invalid text representation",
		"2200N": "invalid XML content", "2200M": "invalid XML document",
		"23502": "not-null violation", "23503": "foreign key violation", "23505": "unique violation", "23514": "check violation", "23P01": "exclusion violation",
		"25P02": "the transaction has failed",
		"40001": "serialization failure", "40P01": "deadlock detected",
		"42501": "insufficient privilege", "42601": "syntax error", "42701": "duplicate column", "42703": "undefined column", "42704": "undefined object",
		"42710": "duplicate object", "42804": "datatype mismatch", "42883": "undefined function", "42P01": "undefined table", "42P07": "duplicate table",
		"53100": "disk full", "53200": "out of memory", "54001": "statement too complex", "55P03": "lock not available",
		"57014": "the statement was cancelled", "57P01": "the server is being shut down",
		"P0001": "raised by the database's own code", "XX000": "internal error",
	}
	classes = map[string]string{
		"00": "a notice", "01": "a warning", "02": "no data", "08": "connection exception", "0A": "feature not supported", "21": "cardinality violation",
		"22": "data exception", "23": "integrity constraint violation", "25": "invalid transaction state", "26": "invalid statement name",
		"2B": "dependent objects still exist", "34": "invalid cursor name", "38": "external routine exception", "3D": "invalid database name",
		"3F": "invalid schema name", "40": "transaction rollback", "42": "syntax error or access rule violation", "44": "WITH CHECK OPTION violation",
		"53": "insufficient resources", "54": "program limit exceeded", "55": "object not in the required state", "57": "operator intervention",
		"58": "system error", "P0": "raised by the database's own code", "XX": "internal error",
	}
)
