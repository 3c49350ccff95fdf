package dev

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// screen shows what of the log concerns the person at the terminal: what is
// wrong with a file just saved, where, and what to do; and that all is well
// again. The rest of what is at or above level comes as a line of the log.
type screen struct {
	dir   string
	level zerolog.Level
	p     *ui.Printer
	rest  io.Writer

	mu       sync.Mutex
	seen     map[string]bool // by folder: something was published or rejected
	bad      map[string]bool // by folder: what it holds now is rejected
	rejected string          // the last rejection of gatestay.yaml
}

func newScreen(env *cli.Env, level zerolog.Level) *screen {
	return &screen{
		dir: env.Dir, level: level, p: ui.New(env, env.Stderr), seen: map[string]bool{}, bad: map[string]bool{},
		rest: zerolog.ConsoleWriter{Out: env.Stderr, TimeFormat: time.TimeOnly, NoColor: !env.Color(env.Stderr)},
	}
}

// said is what the services log about their files.
type said struct {
	Message                           string
	File, Rule, Problem, Remedy, Kind string
	Finding, Target, Error, Detail    string
	Line, Rules, Tests                int
	Version                           uint64
}

// folderOf maps a message to its folder below DIR.
var folderOf = map[string]string{
	"policy rejected": "policies", "policy published": "policies", "policy good again": "policies", "policy finding": "policies",
	"masking rules rejected": "masking", "masking rules published": "masking", "masking rules good again": "masking", "a mask never applies": "masking",
}

// Write is not used by a logger with levels.
func (s *screen) Write(line []byte) (int, error) { return s.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel shows one event.
func (s *screen) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	var e said
	if json.Unmarshal(line, &e) != nil {
		e = said{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tell(&e) && level >= s.level {
		if _, err := s.rest.Write(line); err != nil {
			return 0, fmt.Errorf("dev: %w", err)
		}
	}
	return len(line), nil
}

// tell says it in words; false: it knows none for this event.
func (s *screen) tell(e *said) bool {
	folder := filepath.Join(s.dir, folderOf[e.Message])
	switch e.Message {
	case "policy rejected", "masking rules rejected":
		place := filepath.Join(folder, filepath.FromSlash(e.File))
		if e.Line > 0 {
			place += fmt.Sprintf(":%d", e.Line)
		}
		if e.Rule != "" {
			place += "  rule " + e.Rule
		}
		if !s.bad[folder] {
			s.p.Line(s.p.Bad("✕ ") + s.p.Strong(folder) + "  not published; what was published before stays")
		}
		s.bad[folder] = true
		s.p.Line("  " + s.p.Strong(place) + "\n    " + e.Problem + "\n    " + s.p.Accent("→ "+e.Remedy))
	case "policy finding", "a mask never applies":
		if e.Finding == "" {
			e.Finding = e.Message
		}
		switch {
		case e.Rule != "":
			folder += "  rule " + e.Rule
		case e.Target != "":
			folder += "  target " + e.Target
		}
		s.p.Line(s.p.Warn("! ") + s.p.Strong(folder) + "\n  " + e.Finding + "\n  " + s.p.Accent("→ "+e.Remedy))
	case "policy published", "masking rules published":
		s.bad[folder] = false
		if s.seen[folder] { // the first is part of the start
			s.p.Line(s.p.Good("✓ ") + s.p.Strong(folder) + fmt.Sprintf("  published version %d, %s", e.Version, rules(e.Rules)))
		}
	case "policy good again", "masking rules good again":
		s.bad[folder] = false
		s.p.Line(s.p.Good("✓ ") + s.p.Strong(folder) + fmt.Sprintf("  good again; version %d stays, %s", e.Version, rules(e.Rules)))
	case "configuration rejected; the last good one stays", "changed configuration refused; the last good one stays":
		if e.Error != s.rejected { // two services read it
			s.p.Line(s.p.Bad("✕ ") + s.p.Strong(filepath.Join(s.dir, "gatestay.yaml")) + "\n  " + e.Error + "\n  " + s.p.Dim("what was read before stays"))
		}
		s.rejected = e.Error
		return true
	default:
		// On loopback, in files that only this user reads.
		return strings.HasPrefix(e.Detail, "Plaintext passwords detected")
	}
	s.seen[folder] = true
	return true
}

func rules(n int) string {
	if n == 1 {
		return "1 rule"
	}
	return fmt.Sprintf("%d rules", n)
}
