package embedded

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// childVariable marks the helper process; its value is the library's path.
const childVariable = "GATESTAY_EMBEDDED_CLICKHOUSE"

// MaybeChild must be called first thing in main or TestMain of a program that
// calls ClickHouse. In the helper process it runs the server and never returns;
// elsewhere it does nothing.
func MaybeChild() {
	library := os.Getenv(childVariable)
	if library == "" {
		return
	}
	if err := runLibrary(library, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runLibrary loads libchdb and calls its command line, which serves until the
// query ends: that is, until the pipe named in the query is closed.
func runLibrary(path string, args []string) error {
	// The library's main thread keeps thread-local state.
	runtime.LockOSThread()
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("embedded: load %s: %w", path, err)
	}
	var setSignalHandlers func(enabled int32)
	purego.RegisterLibFunc(&setSignalHandlers, handle, "chdb_set_signal_handlers_enabled")
	var queryCommandLine func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	purego.RegisterLibFunc(&queryCommandLine, handle, "chdb_query_cmdline")
	var resultError func(result unsafe.Pointer) string
	purego.RegisterLibFunc(&resultError, handle, "chdb_result_error")

	setSignalHandlers(0) // the Go runtime has its own
	argv := make([]*byte, 0, len(args)+1)
	for _, a := range args {
		argv = append(argv, unsafe.SliceData(append([]byte(a), 0))) //nolint:gosec // a C string, kept alive below
	}
	argv = append(argv, nil)
	result := queryCommandLine(int32(len(args)), unsafe.Pointer(&argv[0])) //nolint:gosec // a handful of arguments
	runtime.KeepAlive(argv)
	if result == nil {
		return nil
	}
	if message := resultError(result); message != "" {
		return fmt.Errorf("embedded: clickhouse: %s", message)
	}
	return nil
}
