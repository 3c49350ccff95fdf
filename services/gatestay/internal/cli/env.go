// Package cli holds what all of gatestay's commands share: streams, output
// format, colour, and how to find and call the services.
package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

// Env is the world a command runs in. Tests replace its fields.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	// Dir is the folder of gatestay dev (--dir, GATESTAY_DIR, .gatestay).
	Dir string
	// Output is text or json (--output).
	Output string
	// Program is how this program can be started again from here; empty: by its
	// name. Typed puts it into what is printed to be pasted.
	Program string
}

// System returns the process's own environment.
func System() *Env {
	return &Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Dir: defaultDir, Output: "text", Program: program(os.Args[0])}
}

// JSON reports whether --output json was asked for.
func (e *Env) JSON() bool { return e.Output == "json" }

// PrintJSON writes v indented.
func (e *Env) PrintJSON(v any) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("cli: write json: %w", err)
	}
	return nil
}

// Color reports whether w is a terminal that wants colour (NO_COLOR and
// TERM=dumb are honoured).
func (e *Env) Color(w io.Writer) bool {
	if e.Getenv("NO_COLOR") != "" || e.Getenv("TERM") == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Interactive reports whether standard input is a terminal.
func (e *Env) Interactive() bool {
	f, ok := e.Stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Dev is DIR/dev.json: where a running gatestay dev listens.
type Dev struct {
	Gateway struct {
		Postgres string `json:"postgres"` // host:port
		API      string `json:"api"`      // https URL
		CA       string `json:"ca"`       // PEM file
	} `json:"gateway"`
	Issuer     string `json:"issuer"`    // URL of the local issuer
	Slack      string `json:"slack"`     // page of the local workspace
	Approvals  string `json:"approvals"` // URL of the approval service
	Console    string `json:"console"`   // URL of the archival service
	NATS       string `json:"nats"`
	ClickHouse struct {
		Native string `json:"native"` // host:port
		HTTP   string `json:"http"`   // host:port
	} `json:"clickhouse"`
	Targets []string `json:"targets"`
}

// ReadDev reads DIR/dev.json.
func (e *Env) ReadDev() (*Dev, error) {
	raw, err := os.ReadFile(filepath.Join(e.Dir, "dev.json"))
	if err != nil {
		return nil, fmt.Errorf("no running gatestay dev found in %s: start one with 'gatestay dev', or name its folder with --dir", e.Dir)
	}
	d := &Dev{}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("cli: %s/dev.json: %w", e.Dir, err)
	}
	return d, nil
}

// Endpoints says where the services are: GATESTAY_GATEWAY (https URL of the
// gateway's API), GATESTAY_POSTGRES (host:port), GATESTAY_CA, GATESTAY_APPROVALS,
// GATESTAY_CONSOLE; what is unset comes from a running gatestay dev.
func (e *Env) Endpoints() (*Dev, error) {
	d, devErr := e.ReadDev()
	if devErr != nil {
		d = &Dev{}
	}
	found := devErr == nil
	for name, field := range map[string]*string{
		"GATESTAY_GATEWAY": &d.Gateway.API, "GATESTAY_POSTGRES": &d.Gateway.Postgres, "GATESTAY_CA": &d.Gateway.CA,
		"GATESTAY_APPROVALS": &d.Approvals, "GATESTAY_CONSOLE": &d.Console, "GATESTAY_ISSUER": &d.Issuer,
	} {
		if v := e.Getenv(name); v != "" {
			*field, found = v, true
		}
	}
	if !found {
		return nil, fmt.Errorf("%w, or set GATESTAY_GATEWAY, GATESTAY_POSTGRES, GATESTAY_APPROVALS and GATESTAY_CONSOLE to a deployment's addresses", devErr)
	}
	return d, nil
}

// ExitError ends the process with this code and prints nothing more.
type ExitError int

// Error names the code.
func (e ExitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
