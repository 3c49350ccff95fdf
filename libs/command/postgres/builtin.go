package postgres

import (
	"slices"

	"github.com/gatestay/gatestay/libs/command"
)

func has(sorted []string, name string) bool {
	_, ok := slices.BinarySearch(sorted, name)
	return ok
}

// sensitive are the system catalogs that hold secrets, samples of user data,
// or what other sessions are doing: reading them is no preamble.
var sensitive = []string{
	"pg_authid", "pg_cursors", "pg_file_settings", "pg_hba_file_rules", "pg_ident_file_mappings",
	"pg_largeobject", "pg_prepared_statements", "pg_prepared_xacts", "pg_shadow", "pg_stat_activity",
	"pg_stat_statements", "pg_stat_wal_receiver", "pg_statistic", "pg_statistic_ext_data", "pg_stats",
	"pg_stats_ext", "pg_stats_ext_exprs", "pg_subscription", "pg_toast", "pg_user_mapping",
	"pg_user_mappings", "user_mapping_options",
}

// systemCatalog reports that reading an object tells the target's schema and
// nothing else. An unqualified name counts where it is one of pg_catalog's,
// which is searched first unless the search_path says otherwise: Resolve looks.
func systemCatalog(o command.Object) bool {
	if o.Kind != "" || has(sensitive, o.Name) {
		return false
	}
	switch o.Schema {
	case "", "pg_catalog":
		return has(catalogRelations, o.Name)
	case "information_schema":
		return has(schemaRelations, o.Name)
	default:
		return false
	}
}

// trust says what a function of a possibly qualified name may do.
type trust int

const (
	foreign  trust = iota // not PostgreSQL's, or not to be trusted
	trusted               // reads at most
	writing               // writes, and does nothing else
	volatile              // PostgreSQL's, and does something
)

func functionTrust(parts []string) trust {
	schema, name := split(parts)
	switch {
	case len(parts) > 2:
		return foreign
	case schema == "" || schema == "pg_catalog":
		switch {
		case has(otherFunctions, name):
			return volatile
		case has(writingFunctions, name):
			return writing
		case has(trustedFunctions, name), has(builtinTypes, name): // text(x) is a cast
			return trusted
		}
	case schema == "information_schema" && has(schemaFunctions, name):
		return trusted
	}
	return foreign
}

// TrustedFunction reports that a function is PostgreSQL's own and at most
// reads, whatever its arguments.
func TrustedFunction(schema, name string) bool {
	return functionTrust([]string{schema, name}) == trusted
}

// KnownFunction reports that pg_catalog of PostgreSQL 18 has functions of this
// name, trusted or not.
func KnownFunction(name string) bool {
	return has(trustedFunctions, name) || has(writingFunctions, name) || has(otherFunctions, name)
}

// builtinOperator reports that an operator of this name is PostgreSQL's.
func builtinOperator(parts []string) bool {
	schema, name := split(parts)
	return len(parts) <= 2 && (schema == "" || schema == "pg_catalog") && has(builtinOperators, name)
}

// builtinType reports that a type of this name is PostgreSQL's.
func builtinType(parts []string) bool {
	schema, name := split(parts)
	if len(parts) > 2 {
		return false
	}
	switch schema {
	case "", "pg_catalog":
		return has(builtinTypes, name)
	case "information_schema": // its domains check nothing but length and form
		return slices.Contains([]string{"cardinal_number", "character_data", "sql_identifier", "time_stamp", "yes_or_no"}, name)
	}
	return false
}
