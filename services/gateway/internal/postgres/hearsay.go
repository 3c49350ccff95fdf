package postgres

import (
	"regexp"

	"github.com/gatestay/gatestay/libs/command"
)

// narrowSettings are the reported settings that take one of a few values, or none
// that a session gives them. The others may carry any text.
var narrowSettings = map[string]bool{
	"client_encoding": true, "DateStyle": true, "default_transaction_read_only": true, "in_hot_standby": true, "integer_datetimes": true,
	"IntervalStyle": true, "is_superuser": true, "server_encoding": true, "server_version": true, "session_authorization": true,
	"standard_conforming_strings": true,
}

// maxHeard bounds the values that are remembered, in number.
const maxHeard = 256

// hearsay tells whether a reported setting may hold what a command has read: the
// target reports application_name, search_path and others whoever sets them, so
// set_config in a query would carry masked values past the mask. Guarded by
// pipeline.mu.
type hearsay struct {
	// ran: a command ran that may have set anything to anything.
	ran bool
	// heard are the values that came before, or that the client has written itself.
	heard map[string]bool
}

// forwarded notes a command that will run.
func (h *hearsay) forwarded(f *command.Facts, text string) {
	switch {
	case f.Class != command.Session:
		h.ran = h.ran || !f.Neutral
	case h.ran && len(f.Settings) > 0:
		h.hear(setValue(text))
	}
}

// reported returns whether a report is the target's or the client's own words.
func (h *hearsay) reported(name, value string) bool {
	if narrowSettings[name] || value == "" || h.heard[value] {
		return true
	}
	if h.ran {
		return false
	}
	h.hear(value)
	return true
}

func (h *hearsay) hear(value string) {
	if h.heard == nil {
		h.heard = map[string]bool{}
	}
	if len(h.heard) < maxHeard {
		h.heard[value] = true
	}
}

// Plain forms of a setting with one value, and nothing behind it: a value that
// is not the one which is set must not count as the client's own.
var ownValue = regexp.MustCompile(`(?is)^\s*(?:set\s+(?:session\s+|local\s+)?(?:[\w.]+\s*(?:=|\sto\s)|time\s+zone\s)\s*(.*?)|select\s+(?:pg_catalog\.)?set_config\s*\(\s*'[^']*'\s*,\s*('[^']*')\s*,\s*\w+\s*\))[\s;]*$`)

// setValue returns the value that a text sets, without its quotes, or nothing.
func setValue(text string) string {
	m := ownValue.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	value := m[1] + m[2]
	if n := len(value); n >= 2 && value[0] == '\'' && value[n-1] == '\'' {
		value = value[1 : n-1]
	}
	return value
}
