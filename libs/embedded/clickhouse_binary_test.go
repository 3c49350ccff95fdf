package embedded

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

const binaryVariable = "GATESTAY_EMBEDDED_TEST_BINARY"

// binaryRole stands in for `clickhouse server --config-file=…`: it reads the
// configuration as the server would and serves from the library, until SIGTERM.
func binaryRole(path string) {
	var config struct {
		Host   string `xml:"listen_host"`
		Native string `xml:"tcp_port"`
		HTTP   string `xml:"http_port"`
		Path   string `xml:"path"`
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = xml.Unmarshal(raw, &config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = os.Unsetenv(binaryVariable)
	_ = os.Setenv("PATH", "/usr/bin:/bin")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	s := &ClickHouseServer{Native: config.Host + ":" + config.Native, HTTP: config.Host + ":" + config.HTTP, output: &tail{}}
	if err := s.startLibrary(context.Background(), config.Path, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-stop
	if err := s.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// clickHouseBinary puts a `clickhouse` on the PATH that says it is of a version.
func clickHouseBinary(t *testing.T, version string) (started string) {
	t.Helper()
	bin := t.TempDir()
	started = filepath.Join(bin, "started")
	text := fmt.Sprintf("#!/bin/sh\ncase $1 in\n--version) echo 'ClickHouse local version %s (official build).';;\n"+
		"server) touch %s; exec env %s=\"${2#--config-file=}\" %s;;\nesac\n", version, started, binaryVariable, os.Args[0])
	if err := os.WriteFile(filepath.Join(bin, "clickhouse"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return started
}

func TestClickHouse_takesARecentBinaryOnThePath(t *testing.T) {
	started := clickHouseBinary(t, "26.3.1.7")
	s := startClickHouse(t, ClickHouseOptions{Dir: t.TempDir()})
	if _, err := os.Stat(started); err != nil {
		t.Fatal("the binary was not started")
	}
	if n := count(t, s.Native, "SELECT toUInt64(1)"); n != 1 {
		t.Fatal(n)
	}
}

func TestClickHouse_leavesAnOldBinaryAlone(t *testing.T) {
	started := clickHouseBinary(t, "18.16.1")
	startClickHouse(t, ClickHouseOptions{Dir: t.TempDir()})
	if _, err := os.Stat(started); err == nil {
		t.Fatal("a ClickHouse of 2018 was started")
	}
}

func TestClickHouse_takesTheOneThatIsNamed(t *testing.T) {
	ours := startClickHouse(t, ClickHouseOptions{Dir: t.TempDir()})
	t.Setenv("CLICKHOUSE_ADDR", ours.Native)
	named := startClickHouse(t, ClickHouseOptions{Dir: t.TempDir(), Log: zerolog.Nop()})
	if !named.External || named.Native != ours.Native {
		t.Fatalf("got %+v", named)
	}
	if err := named.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ours.Done():
		t.Fatal("stopped a server that is not ours")
	case <-time.After(10 * time.Millisecond):
	}
}

func TestClickHouse_saysWhyItEndedAtStart(t *testing.T) {
	dir := t.TempDir()
	first := startClickHouse(t, ClickHouseOptions{Dir: dir})
	second, err := ClickHouse(t.Context(), ClickHouseOptions{Dir: dir, Log: zerolog.Nop()})
	if err == nil {
		second.Kill()
		t.Fatal("two servers on one folder")
	}
	t.Log(err)
	if n := count(t, first.Native, "SELECT toUInt64(1)"); n != 1 {
		t.Fatal(n)
	}
}
