package postgres

import (
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// largeObjects are the functions on large objects, by whether they change one.
// What they read and write lies in a catalog, which stands for all of them: a
// descriptor does not say which one it is of. Those that touch files of the
// server, lo_import and lo_export, are not among them.
var largeObjects = map[string]bool{
	"lo_open": false, "lo_close": false, "lo_lseek": false, "lo_lseek64": false, "lo_tell": false, "lo_tell64": false, "loread": false, "lo_get": false,
	"lo_creat": true, "lo_create": true, "lo_from_bytea": true, "lo_put": true, "lowrite": true, "lo_truncate": true, "lo_truncate64": true, "lo_unlink": true,
}

// largeObjectData is where the bytes of all large objects are.
var largeObjectData = command.Column{Schema: "pg_catalog", Table: "pg_largeobject", Name: "data"}

// largeObject reads a call of a function on large objects.
func (w *walker) largeObject(parts []string, e env) bool {
	schema, name := split(parts)
	changes, ok := largeObjects[name]
	if !ok || len(parts) > 2 || schema != "" && schema != "pg_catalog" {
		return false
	}
	if e.stored {
		return true
	}
	o := command.Object{Schema: largeObjectData.Schema, Name: largeObjectData.Table, Access: command.Read}
	if changes {
		o.Access = command.Write
		w.raise(command.Write)
		w.f.Changes = w.f.Changes || name != "lo_creat" && name != "lo_create" && name != "lo_from_bytea"
	}
	w.named(o)
	if readsLargeObject(name) {
		w.column(largeObjectData, e)
	}
	return true
}

// readsLargeObject reports a function that returns what a large object holds.
func readsLargeObject(name string) bool { return name == "loread" || name == "lo_get" }

// touchesLargeObjects reports that a statement calls one of the functions.
func touchesLargeObjects(f *command.Facts) bool {
	return slices.ContainsFunc(f.Functions, func(name string) bool {
		_, ok := largeObjects[strings.TrimPrefix(name, "pg_catalog.")]
		return ok
	})
}
