package embedded

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// childVariable marks the helper process; its value is the library's path. Its
// arguments are the data folder, the two addresses to listen on, and the
// descriptor to serve until the end of.
const childVariable = "GATESTAY_EMBEDDED_CLICKHOUSE"

// MaybeChild must be called first thing in main or TestMain of a program that
// calls ClickHouse. In the helper process it runs the server and never returns;
// elsewhere it does nothing.
func MaybeChild() {
	library := os.Getenv(childVariable)
	if library == "" {
		return
	}
	if err := serveLibrary(library, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveLibrary puts relays in front of the library's own listeners.
func serveLibrary(library string, args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("embedded: the helper process wants a folder, two addresses and a descriptor, not %q", args)
	}
	inner, err := freePorts(2)
	if err != nil {
		return err
	}
	for i, outer := range args[2:4] {
		l, err := net.Listen("tcp", outer)
		if err != nil {
			return fmt.Errorf("embedded: clickhouse: %w", err)
		}
		go relay(l, inner[i]) // ends with the process
	}
	return runLibrary(library, commandLine(args[1], inner[0], inner[1], args[4]))
}

// commandLine keeps the last query reading from a descriptor for as long as the
// parent lives; meanwhile the server serves.
func commandLine(dir, native, http, descriptor string) []string {
	_, nativePort, _ := net.SplitHostPort(native)
	_, httpPort, _ := net.SplitHostPort(http)
	return []string{
		"clickhouse", "--path=" + dir, "--listen_host=127.0.0.1", "--tcp_port=" + nativePort, "--http_port=" + httpPort,
		"--poll_interval=1", // seconds until an idle connection notices the end
		"--query",
		"SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT count() FROM file('/dev/fd/" + descriptor + "', LineAsString) FORMAT Null",
	}
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
