// Package oncall reads who is on call from iCal calendars (RFC 5545), and keeps
// what it read last.
package oncall

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	ical "github.com/emersion/go-ical"
	"github.com/teambition/rrule-go"

	"github.com/gatestay/gatestay/libs/policy"
)

// Bounds of a calendar.
const (
	maxBytes  = 1 << 20
	maxShifts = 2000
	behind    = 48 * time.Hour      // how long ago a shift may have ended that is still kept
	ahead     = 60 * 24 * time.Hour // how far off shifts are kept
	maxRepeat = 100 * 366 * 24      // instances of one event that are looked at
)

var errTooMany = errors.New("oncall: the calendar has more than 2000 shifts in two months")

// People finds the person of an account, or knows them by name.
type People interface {
	Person(account string) (name string, ok bool)
	Names() []string
}

// Parse returns the shifts of a calendar that are on around a moment: each event is
// one of the person whom its summary names, or one of its attendees' addresses. An
// event of nobody known, or one that is cancelled, is none. Times without a zone are
// of the zone given.
func Parse(raw []byte, zone *time.Location, people People, now time.Time) ([]policy.Shift, error) {
	from := now.UTC().Truncate(24 * time.Hour).Add(-behind) // the same all day, so that it reads the same
	to := from.Add(behind + ahead)
	var out []policy.Shift
	decoder := ical.NewDecoder(bytes.NewReader(raw))
	for {
		calendar, err := decoder.Decode()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("oncall: the calendar cannot be read: %w", err)
		}
		moved, err := movedOf(calendar, zone)
		if err != nil {
			return nil, err
		}
		for _, e := range calendar.Events() {
			shifts, err := shiftsOf(e, zone, people, from, to, moved)
			if err != nil {
				return nil, err
			}
			if out = append(out, shifts...); len(out) > maxShifts {
				return nil, errTooMany
			}
		}
	}
	slices.SortFunc(out, func(a, b policy.Shift) int {
		return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To), strings.Compare(a.Person, b.Person))
	})
	return out, nil
}

// instance is one of an event that recurs.
type instance struct {
	uid string
	at  int64 // Unix seconds
}

// movedOf are the instances that an event of their own stands for.
func movedOf(calendar *ical.Calendar, zone *time.Location) (map[instance]bool, error) {
	out := map[instance]bool{}
	for _, e := range calendar.Events() {
		if e.Props.Get(ical.PropRecurrenceID) == nil {
			continue
		}
		at, err := e.Props.DateTime(ical.PropRecurrenceID, zone)
		if err != nil {
			return nil, fmt.Errorf("oncall: a recurrence-id: %w", err)
		}
		out[instance{uidOf(e), at.Unix()}] = true
	}
	return out, nil
}

func uidOf(e ical.Event) string {
	uid, _ := e.Props.Text(ical.PropUID) // an event without one recurs by itself
	return uid
}

func shiftsOf(e ical.Event, zone *time.Location, people People, from, to time.Time, moved map[instance]bool) ([]policy.Shift, error) {
	if status, err := e.Status(); err != nil || status == ical.EventCancelled {
		return nil, nil //nolint:nilerr // of what is no known status nobody is on call
	}
	person := personOf(e, people)
	if person == "" {
		return nil, nil
	}
	start, err := e.DateTimeStart(zone)
	if err != nil {
		return nil, fmt.Errorf("oncall: an event's start: %w", err)
	}
	if start.IsZero() {
		return nil, errors.New("oncall: an event without a start")
	}
	end, err := e.DateTimeEnd(zone)
	if err != nil {
		return nil, fmt.Errorf("oncall: an event's end: %w", err)
	}
	starts := []time.Time{start}
	own := e.Props.Get(ical.PropRecurrenceID) != nil
	if !own {
		if starts, err = recurring(e, zone, start, from.Add(-end.Sub(start)), to); err != nil {
			return nil, err
		}
	}
	var out []policy.Shift
	for _, at := range starts {
		x := policy.Shift{From: at.UTC(), To: at.Add(end.Sub(start)).UTC(), Person: person}
		if x.From.Before(x.To) && x.To.After(from) && x.From.Before(to) && (own || !moved[instance{uidOf(e), at.Unix()}]) {
			out = append(out, x)
		}
	}
	return out, nil
}

// recurring returns when an event begins between two moments.
func recurring(e ical.Event, zone *time.Location, start, from, to time.Time) ([]time.Time, error) {
	option, err := e.Props.RecurrenceRule()
	if err != nil {
		return nil, fmt.Errorf("oncall: an event's rule: %w", err)
	}
	var starts []time.Time
	switch {
	case option == nil:
		starts = []time.Time{start}
	case option.Freq > rrule.HOURLY:
		return nil, errors.New("oncall: an event recurs more often than each hour")
	default:
		option.Dtstart = start
		rule, err := rrule.NewRRule(*option)
		if err != nil {
			return nil, fmt.Errorf("oncall: an event's rule: %w", err)
		}
		next := rule.Iterator()
		for range maxRepeat {
			at, ok := next()
			if !ok || !at.Before(to) {
				break
			}
			if at.After(from) {
				starts = append(starts, at)
			}
		}
	}
	more, err := dates(e, ical.PropRecurrenceDates, zone)
	if err != nil {
		return nil, err
	}
	not, err := dates(e, ical.PropExceptionDates, zone)
	if err != nil {
		return nil, err
	}
	for _, at := range more {
		if !slices.ContainsFunc(starts, at.Equal) {
			starts = append(starts, at)
		}
	}
	return slices.DeleteFunc(starts, func(at time.Time) bool { return slices.ContainsFunc(not, at.Equal) }), nil
}

// dates reads a property that lists moments.
func dates(e ical.Event, name string, zone *time.Location) ([]time.Time, error) {
	var out []time.Time
	for _, p := range e.Props.Values(name) {
		for _, text := range strings.Split(p.Value, ",") {
			one := p
			one.Value = text
			at, err := one.DateTime(zone)
			if err != nil {
				return nil, fmt.Errorf("oncall: %s of an event: %w", strings.ToLower(name), err)
			}
			out = append(out, at)
		}
	}
	return out, nil
}

// personOf is whose shift an event is; empty: nobody's who is known.
func personOf(e ical.Event, people People) string {
	summary, _ := e.Props.Text(ical.PropSummary) // what cannot be read names nobody
	if slices.Contains(people.Names(), strings.TrimSpace(summary)) {
		return strings.TrimSpace(summary)
	}
	found := ""
	for _, p := range e.Props.Values(ical.PropAttendee) {
		if len(p.Value) < len("mailto:") || !strings.EqualFold(p.Value[:len("mailto:")], "mailto:") {
			continue
		}
		if name, ok := people.Person("oidc:" + p.Value[len("mailto:"):]); ok {
			if found != "" && found != name {
				return "" // of several nobody can tell who it is
			}
			found = name
		}
	}
	return found
}
