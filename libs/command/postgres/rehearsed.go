package postgres

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// Rehearsal is what has to be proved of the target itself, in the transaction in
// which a statement is run, before it may be run unapproved.
type Rehearsal struct {
	Looked  []uint32 // relations that planning it looks at
	Written []uint32 // those of them that it names to be written
	// Inserts, Updates and Deletes say what it may do to these.
	Inserts, Updates, Deletes bool
	Functions                 []string // that it calls, without their schema
}

// Rehearsed returns what has to be proved of the target before a resolved
// statement is run unapproved, in a transaction that may be rolled back. why is
// set where it must not be: it would do something that a rollback does not undo,
// run code that is not PostgreSQL's, or do what cannot be foreseen. named are the
// objects as the statement itself names them, without what foreign keys reach.
func (c *Catalog) Rehearsed(f *command.Facts, named []command.Object) (r Rehearsal, why string) {
	if f.Class != command.Write {
		return r, "only a change of rows is rehearsed"
	}
	if r.Looked, why = c.Planned(f); why != "" {
		return r, why
	}
	for _, name := range f.Functions {
		parts := strings.Split(name, ".")
		bare := parts[len(parts)-1]
		if functionTrust(parts) != trusted || len(c.functions[bare]) > 0 {
			return r, "it calls " + name + "(), whose effects a rollback does not undo, or which is not PostgreSQL's own"
		}
		if !slices.Contains(r.Functions, bare) {
			r.Functions = append(r.Functions, bare)
		}
	}
	for _, name := range f.Types {
		bare := name[strings.LastIndexByte(name, '.')+1:]
		for full, t := range c.types {
			if full.Name == strings.TrimPrefix(bare, "_") && len(t.Checks) > 0 {
				return r, "it casts to " + name + ", which has a check"
			}
		}
	}
	if len(f.Triggers) > 0 {
		return r, "it fires triggers, which run " + strings.Join(f.Triggers[:min(len(f.Triggers), 3)], ", ")
	}
	for _, o := range f.Objects {
		if o.Access != command.Write || !writes(named, o) {
			continue
		}
		rel := c.relations[Name{o.Schema, o.Name}]
		if rel.view != nil || rel.Kind != 'r' && rel.Kind != 'p' {
			return r, rel.title() + " is no table: what writing it changes is not proved"
		}
		if !slices.Contains(r.Written, rel.OID) {
			r.Written = append(r.Written, rel.OID)
		}
	}
	switch {
	case len(r.Written) == 0:
		return r, "which table it changes is not known"
	case len(r.Written) == 1 && f.Verb == "insert" && !f.Changes:
		r.Inserts = true
	case len(r.Written) == 1 && f.Verb == "delete":
		r.Deletes = true
	case len(r.Written) == 1 && f.Verb == "update":
		r.Updates = true
	default:
		r.Inserts, r.Updates, r.Deletes = true, true, true
	}
	return r, ""
}

// writes reports that one of the objects may be this one, to be written.
func writes(named []command.Object, o command.Object) bool {
	return slices.ContainsFunc(named, func(n command.Object) bool {
		return n.Access == command.Write && n.Name == o.Name && (n.Schema == "" || n.Schema == o.Schema)
	})
}

// Traceless are PostgreSQL's volatile functions behind which there is nothing but the
// moment, or chance: calling them leaves no trace.
var Traceless = []string{"clock_timestamp", "gen_random_uuid", "random", "random_normal", "timeofday", "uuidv4", "uuidv7"}

// OfSession are functions of PostgreSQL's whose result depends on which session
// calls them: rehearsed beside that session they would show something else.
var OfSession = []string{
	"current_query", "current_setting", "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port", "pg_backend_pid", "pg_conf_load_time",
	"pg_current_snapshot", "pg_current_xact_id", "pg_current_xact_id_if_assigned", "pg_cursor", "pg_is_other_temp_schema", "pg_listening_channels",
	"pg_my_temp_schema", "pg_prepared_statement", "pg_safe_snapshot_blocking_pids", "pg_show_all_settings", "pg_trigger_depth", "set_config",
	"txid_current", "txid_current_if_assigned", "txid_current_snapshot",
}

// Bare reports a column of a table that no mask is on, by itself or by what it is
// computed from, refers to or inherits; also where a mask names its name alone.
func (m *Masks) Bare(oid uint32, num int16) bool {
	if m == nil {
		return false
	}
	if !m.any {
		return true
	}
	_, masked, tainted := m.column(oid, num)
	rel := m.catalog.byOID[oid]
	return !masked && !tainted && rel != nil && !m.names[fold(rel.names[num])]
}
