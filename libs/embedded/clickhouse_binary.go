package embedded

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"text/template"
	"time"
)

// oldestClickHouse is the oldest major version whose SQL our migrations use.
const oldestClickHouse = 25

//go:embed clickhouse.xml.tmpl
var serverConfig string

var versionNumber = regexp.MustCompile(`version (\d+)\.`)

// clickHouseOnPath returns the path of a `clickhouse` that is recent enough,
// else "". Distributions ship some of 2018.
func clickHouseOnPath(ctx context.Context) string {
	path, err := exec.LookPath("clickhouse")
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output() //nolint:gosec // found on the PATH
	if err != nil {
		return ""
	}
	m := versionNumber.FindSubmatch(out)
	if m == nil {
		return ""
	}
	if major, err := strconv.Atoi(string(m[1])); err != nil || major < oldestClickHouse {
		return ""
	}
	return path
}

// startBinary runs a server of its own with its data in dir.
func (s *ClickHouseServer) startBinary(binary, dir string) error {
	_, native, _ := net.SplitHostPort(s.Native)
	_, http, _ := net.SplitHostPort(s.HTTP)
	var config bytes.Buffer
	err := template.Must(template.New("config").Parse(serverConfig)).
		Execute(&config, map[string]string{"Dir": dir, "Native": native, "HTTP": http})
	if err != nil {
		return fmt.Errorf("embedded: clickhouse: %w", err)
	}
	path := filepath.Join(dir, "gatestay-server.xml")
	if err := os.WriteFile(path, config.Bytes(), 0o600); err != nil {
		return fmt.Errorf("embedded: clickhouse: %w", err)
	}
	cmd := exec.Command(binary, "server", "--config-file="+path) //nolint:gosec // found on the PATH
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = s.output, s.output
	detach(cmd, syscall.SIGTERM)
	if s.process, err = start(cmd); err != nil {
		return fmt.Errorf("embedded: clickhouse: start: %w", err)
	}
	return nil
}
