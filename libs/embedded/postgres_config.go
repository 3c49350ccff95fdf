package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// access is pg_hba.conf: passwords by SCRAM over TCP. There is no Unix socket.
const access = `# type  database  user  address  method
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128      scram-sha-256
`

// configure writes the server's settings anew at each start.
func (s *PostgreSQLServer) configure(o PostgreSQLOptions, a account) error {
	settings := map[string]string{ //nolint:gosec // names of settings, no secrets
		"listen_addresses":        "127.0.0.1",
		"port":                    s.Port(),
		"unix_socket_directories": "",
		"password_encryption":     "scram-sha-256",
		"ssl":                     "on",
		"ssl_cert_file":           filepath.Join(s.dir, "server.pem"),
		"ssl_key_file":            filepath.Join(s.dir, "server.key"),
		"max_connections":         "200",
		"shared_buffers":          "64MB",
		"log_timezone":            "UTC",
		"log_line_prefix":         "%m [%p] %q%u@%d %a ",
		"min_wal_size":            "8MB",
		"max_wal_size":            "256MB",
	}
	if !o.Durable {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	if o.LogStatements {
		settings["log_statement"] = "all"
	}
	for name, value := range o.Settings {
		settings[name] = value
	}
	var b strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	lines := strings.SplitAfter(b.String(), "\n")
	sort.Strings(lines)
	for name, text := range map[string]string{
		"postgresql.conf": strings.Join(lines, ""),
		"pg_hba.conf":     access,
	} {
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("embedded: postgres: %w", err)
		}
		if err := a.own(path); err != nil {
			return err
		}
	}
	return nil
}
