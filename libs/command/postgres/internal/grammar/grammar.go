// Package grammar calls the parser of PostgreSQL 17 in libpg_query, which is
// linked from github.com/pganalyze/pg_query_go.
//
// It does not use that package's functions. Each of them, while it runs,
// redirects the standard error of the whole process into a pipe of its own:
// what another thread logs meanwhile is lost, and two calls at once can leave
// standard error on a pipe that nobody reads, which ends a Go process at its
// next log line (SIGPIPE). This package calls the same C functions without it;
// the tree is the same, byte for byte.
//
// The C code recurses without a limit: see the caller for what bounds it.
package grammar

/*
#include <stdlib.h>
#include "grammar.h"
*/
import "C"

import (
	"unsafe"

	_ "github.com/pganalyze/pg_query_go/v6/parser" // brings libpg_query
)

// Error is a syntax error.
type Error struct {
	Message string // PostgreSQL's, with a piece of the text
	Cursor  int    // its place, in characters from 1; 0 for none
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Parse returns the tree of a text as a pg_query.ParseResult in protobuf. The
// text must not have a zero byte. The error is an *Error. Safe for concurrent use.
func Parse(sql string) ([]byte, error) {
	text := C.CString(sql)
	defer C.free(unsafe.Pointer(text))
	t := C.gatestay_parse(text)
	if t.message != nil {
		defer C.free(unsafe.Pointer(t.message))
		return nil, &Error{Message: C.GoString(t.message), Cursor: int(t.cursor)}
	}
	defer C.free(unsafe.Pointer(t.data))
	return C.GoBytes(unsafe.Pointer(t.data), C.int(t.len)), nil
}
