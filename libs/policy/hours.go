package policy

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/hours"
)

const maxHours = 20

var hourKeys = []string{"days", "from", "to", "zone"}

// hours reads one window, or a list of them.
func (s *source) hours(n ast.Node) hours.List {
	nodes := []ast.Node{n}
	if _, ok := n.(*ast.SequenceNode); ok {
		if nodes = s.list(n, "hours"); len(nodes) == 0 || len(nodes) > maxHours {
			s.bad(n, "hours has no window, or more than 20", "write 1 to 20 windows, or leave the key out")
		}
	}
	var out hours.List
	for _, n := range nodes {
		entries := s.entries(n, "hours", hourKeys)
		if entries == nil {
			continue
		}
		before := len(s.problems)
		var days []string
		text := map[string]string{}
		for _, e := range entries {
			if e.key == "days" {
				days = s.texts(e.value, "days")
				continue
			}
			text[e.key] = s.text(e.value, e.key)
		}
		if len(s.problems) > before {
			continue
		}
		w, err := hours.Parse(days, text["from"], text["to"], text["zone"])
		if err != nil {
			s.bad(n, "hours: "+err.Error(), `write hours: {days: [mon-fri], from: "09:00", to: "17:30", zone: Europe/Berlin}`)
			continue
		}
		out = append(out, w)
	}
	return out
}

// timely reports that a rule is there at the moment of the decision. Where that is
// not known, an allow rule with hours is not there, and what restricts is.
func (r *rule) timely(at time.Time) bool {
	switch {
	case len(r.Hours) == 0:
		return true
	case at.IsZero():
		return r.Effect != Allow
	default:
		return r.Hours.Open(at)
	}
}

// Lasting returns until when a decision about the target, made at a moment, holds
// as long as the engine, the principal, the session and the facts are the same:
// until the next edge of the hours of a rule, or of a freeze. It returns false where a rule looks
// at what changes all the time.
func (e *Engine) Lasting(t Target, at time.Time) (until time.Time, ok bool) {
	x := e.index(t)
	until = at.Add(longest)
	for _, f := range x.freezes {
		for _, edge := range []time.Time{f.From, f.To} {
			if edge.After(at) && edge.Before(until) {
				until = edge
			}
		}
	}
	for _, l := range x.hours {
		if edge := l.Edge(at); edge.Before(until) {
			until = edge
		}
	}
	return until, !x.changing && !at.IsZero()
}

// longest is how long a decision is kept at most.
const longest = 24 * time.Hour

// whenOpen says in words when members may approve, seen from a moment; empty
// where that is always.
func whenOpen(l hours.List, at time.Time) string {
	if len(l) == 0 {
		return ""
	}
	s := l.String()
	if !at.IsZero() && !l.Open(at) {
		s += ", not now"
	}
	return s
}

// moment reads a time as RFC 3339 writes it.
func (s *source) moment(n ast.Node, key string) time.Time {
	text := s.text(n, key)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Unix() <= 0 {
		s.bad(n, fmt.Sprintf("%s is not a moment: %q", key, text), `write it with its offset: "2026-12-24T18:00:00+01:00"`)
		return time.Time{}
	}
	return at
}

// momentIn reads a time as RFC 3339 writes it, or a day, or a day and a time, in a
// zone; nil: none is said. A day alone is its beginning, or, of an end, its end.
func (s *source) momentIn(n ast.Node, key string, zone *time.Location, end bool) time.Time {
	text := s.text(n, key)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at
	}
	if zone != nil {
		if at, err := time.ParseInLocation("2006-01-02 15:04", text, zone); err == nil {
			return at
		}
		if at, err := time.ParseInLocation("2006-01-02", text, zone); err == nil {
			if end {
				at = time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, zone)
			}
			return at
		}
	}
	if text != "" {
		s.bad(n, fmt.Sprintf("%s is not a moment: %q", key, text), `write "2026-12-20T18:00:00+01:00", or 2026-12-20 or "2026-12-20 18:00" with zone: Europe/Berlin`)
	}
	return time.Time{}
}
