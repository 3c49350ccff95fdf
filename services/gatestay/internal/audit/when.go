package audit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// moment is a time that somebody typed. Span is how long it lasts: a day, a
// minute, or no time at all.
type moment struct {
	at   time.Time
	span time.Duration
}

// layouts are the absolute forms, each with what one step of it lasts.
var layouts = []struct {
	layout string
	span   time.Duration
}{
	{time.RFC3339Nano, 0},
	{"2006-01-02T15:04:05", time.Second},
	{"2006-01-02 15:04:05", time.Second},
	{"2006-01-02T15:04", time.Minute},
	{"2006-01-02 15:04", time.Minute},
}

var (
	ago     = regexp.MustCompile(`^(\d+(?:\.\d+)?[smhdw])+$`)
	agoPart = regexp.MustCompile(`(\d+(?:\.\d+)?)([smhdw])`)
	clock   = regexp.MustCompile(`^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$`)
	units   = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
)

// forms says what parseMoment takes, for help and errors.
const forms = "2h, 3d, 1h30m, today, yesterday, monday, 14:30, 'yesterday 14:30', 2026-11-01, '2026-11-01 14:30', or an RFC 3339 time"

// parseMoment reads a time as people type it, in now's location. Durations
// count back from now; a weekday is the last one, today included.
func parseMoment(text string, now time.Time) (moment, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	s = strings.TrimSpace(strings.TrimSuffix(s, " ago"))
	if s == "now" {
		return moment{now, 0}, nil
	}
	if ago.MatchString(s) {
		return moment{now.Add(-back(s)), 0}, nil
	}
	for _, l := range layouts {
		if t, err := time.ParseInLocation(l.layout, strings.TrimSpace(text), now.Location()); err == nil {
			return moment{t, l.span}, nil
		}
	}
	day, rest, _ := strings.Cut(s, " ")
	if clock.MatchString(day) && rest == "" {
		day, rest = "today", day
	}
	start, ok := parseDay(day, now)
	if !ok {
		return moment{}, unreadable(text)
	}
	if rest = strings.TrimSpace(rest); rest == "" {
		return moment{start, start.AddDate(0, 0, 1).Sub(start)}, nil
	}
	m := clock.FindStringSubmatch(rest)
	if m == nil {
		return moment{}, unreadable(text)
	}
	hour, _ := strconv.Atoi(m[1]) // the pattern lets digits through only
	minute, _ := strconv.Atoi(m[2])
	second, span := 0, time.Minute
	if m[3] != "" {
		second, _ = strconv.Atoi(m[3])
		span = time.Second
	}
	return moment{time.Date(start.Year(), start.Month(), start.Day(), hour, minute, second, 0, now.Location()), span}, nil
}

func unreadable(text string) error {
	return fmt.Errorf("%q is no time that can be understood: write %s", text, forms)
}

func back(s string) (total time.Duration) {
	for _, m := range agoPart.FindAllStringSubmatch(s, -1) {
		n, _ := strconv.ParseFloat(m[1], 64) // the pattern lets numbers through only
		total += time.Duration(n * float64(units[m[2]]))
	}
	return total
}

// parseDay returns when a day begins.
func parseDay(s string, now time.Time) (time.Time, bool) {
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch s {
	case "today":
		return today, true
	case "yesterday":
		return today.AddDate(0, 0, -1), true
	}
	if t, err := time.ParseInLocation("2006-01-02", s, now.Location()); err == nil {
		return t, true
	}
	for back := range 7 {
		day := today.AddDate(0, 0, -back)
		if name := strings.ToLower(day.Weekday().String()); s == name || s == name[:3] {
			return day, true
		}
	}
	return time.Time{}, false
}

// since is the beginning of what was typed, until its end: '--until yesterday'
// holds all of yesterday.
func since(text string, now time.Time) (time.Time, error) {
	m, err := parseMoment(text, now)
	return m.at, err
}

func until(text string, now time.Time) (time.Time, error) {
	m, err := parseMoment(text, now)
	return m.at.Add(m.span), err
}
