// Package hours tells whether a moment lies within given hours of given days, as
// the clock on the wall of a time zone shows them. It does no I/O, and knows no
// present: the moment is an argument. The zones' data is part of the program, so
// that a bare image has it.
//
// # When the clocks change
//
// What counts is what the clock shows. An hour that is skipped in spring is in no
// window; one that is repeated in autumn is in a window both times. So a window
// over the change lasts an hour less, or more, and one that lies in the skipped
// hour does not open that day.
package hours

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a scratch image has no zoneinfo

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Week names the days, as a rule writes them, from Monday.
var Week = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const day = 24 * 60 // minutes

// Window is some hours of some days. The zero value is never open.
type Window struct {
	Days []string `json:"days"` // of Week, in its order
	From string   `json:"from"` // 09:00
	To   string   `json:"to"`   // 17:30, exclusive; up to 24:00; before From: of the day after
	Zone string   `json:"zone"` // Europe/Berlin

	days     [7]bool // from Monday
	from, to int     // minutes of the day; to may exceed a day
	location *time.Location
}

// List is several windows; without any it is always open.
type List []Window

// Parse reads a window. Days are names of Week or ranges of them (fri-mon); none
// are all. from and to are HH:MM; both empty are the whole day. The zone is one of
// the IANA database, by name.
func Parse(days []string, from, to, zone string) (Window, error) {
	w := Window{Zone: zone}
	if err := w.setDays(days); err != nil {
		return Window{}, err
	}
	if from == "" && to == "" {
		from, to = "00:00", "24:00"
	}
	var err error
	if w.from, err = minutes(from); err != nil || w.from == day {
		return Window{}, errors.Join(err, fmt.Errorf("from is %q, not a time of the day: write it as \"09:00\"", from))
	}
	if w.to, err = minutes(to); err != nil {
		return Window{}, fmt.Errorf("to is %q, not a time of the day: write it as \"17:30\", or \"24:00\"", to)
	}
	if w.from == w.to {
		return Window{}, fmt.Errorf("from and to are both %s, which may mean all day or never: leave both out for the whole day", from)
	}
	if w.to < w.from {
		w.to += day
	}
	w.From, w.To = from, to
	if w.location, err = location(zone); err != nil {
		return Window{}, err
	}
	return w, nil
}

func location(zone string) (*time.Location, error) {
	if zone == "" || zone == "Local" {
		return nil, errors.New("there is no zone, and each machine has another local time: write zone: Europe/Berlin, or UTC")
	}
	l, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("zone %q is not known: write a name of the IANA time zone database, such as Europe/Berlin", zone)
	}
	return l, nil
}

// Zone returns a time zone by its name in the IANA database.
func Zone(name string) (*time.Location, error) { return location(name) }

func minutes(text string) (int, error) {
	h, m, ok := strings.Cut(text, ":")
	if !ok || len(h) != 2 || len(m) != 2 {
		return 0, fmt.Errorf("%q is not HH:MM", text)
	}
	hour, err := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	at := int(hour)*60 + int(minute)
	if err != nil || err2 != nil || minute > 59 || at > day {
		return 0, fmt.Errorf("%q is not HH:MM", text)
	}
	return at, nil
}

func (w *Window) setDays(names []string) error {
	if len(names) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	for _, name := range names {
		first, last, ranged := strings.Cut(name, "-")
		if !ranged {
			last = first
		}
		a, b := slices.Index(Week, first), slices.Index(Week, last)
		if a < 0 || b < 0 {
			return fmt.Errorf("day %q is not known: write %s, or a range such as mon-fri", name, strings.Join(Week, ", "))
		}
		for i := a; ; i = (i + 1) % 7 {
			w.days[i] = true
			if i == b {
				break
			}
		}
	}
	for i, on := range w.days {
		if on {
			w.Days = append(w.Days, Week[i])
		}
	}
	return nil
}

// Open reports whether the moment lies in the window.
func (w *Window) Open(at time.Time) bool {
	if w.location == nil {
		return false
	}
	local := at.In(w.location)
	minute, today := local.Hour()*60+local.Minute(), (int(local.Weekday())+6)%7
	return w.days[today] && minute >= w.from && minute < w.to ||
		w.days[(today+6)%7] && minute+day < w.to // began yesterday
}

// Open reports whether the moment lies in one of the windows, or there is none.
func (l List) Open(at time.Time) bool {
	return len(l) == 0 || slices.ContainsFunc(l, func(w Window) bool { return w.Open(at) })
}

// horizon is how far Edge looks: every window opens within it, even where the
// change of the clocks skips one day of a weekly window.
const horizon = 15 * 24 * time.Hour

// Edge returns the first moment after at when Open becomes another, at most 15
// days later; that day where it does not.
func (l List) Edge(at time.Time) time.Time {
	end, now := at.Add(horizon), l.Open(at)
	for i := range l {
		for _, t := range l[i].edges(at, end) {
			if t.After(at) && t.Before(end) && l.Open(t) != now {
				end = t
			}
		}
	}
	return end
}

// edges are all moments between two at which the window may open or close.
func (w *Window) edges(from, to time.Time) []time.Time {
	if w.location == nil {
		return nil
	}
	offsets, changes := map[int]bool{}, []time.Time{}
	for t := from.Add(-2 * day * time.Minute); ; {
		_, offset := t.In(w.location).Zone()
		offsets[offset] = true
		_, end := t.In(w.location).ZoneBounds()
		if end.IsZero() || end.After(to.Add(2*day*time.Minute)) {
			break
		}
		changes, t = append(changes, end), end
	}
	local := from.In(w.location)
	for d := -2; d <= int(horizon/(24*time.Hour))+2; d++ {
		for _, m := range []int{w.from, w.to} {
			wall := time.Date(local.Year(), local.Month(), local.Day()+d, 0, m, 0, 0, time.UTC)
			for offset := range offsets {
				changes = append(changes, wall.Add(-time.Duration(offset)*time.Second))
			}
		}
	}
	return changes
}

// String says the window: mon-fri 09:00-17:30 Europe/Berlin.
func (w *Window) String() string {
	s := w.From + "-" + w.To + " " + w.Zone
	if w.From == "00:00" && w.To == "24:00" {
		s = w.Zone
	}
	if names := w.dayNames(); names != "" {
		s = names + " " + s
	}
	return s
}

// dayNames says which days, and nothing for every day.
func (w *Window) dayNames() string {
	if len(w.Days) == 7 || len(w.Days) == 0 {
		return ""
	}
	var parts []string
	for i := 0; i < 7; i++ {
		if !w.days[i] {
			continue
		}
		j := i
		for j < 6 && w.days[j+1] {
			j++
		}
		switch j {
		case i:
			parts = append(parts, Week[i])
		case i + 1:
			parts = append(parts, Week[i], Week[j])
		default:
			parts = append(parts, Week[i]+"-"+Week[j])
		}
		i = j
	}
	return strings.Join(parts, ",")
}

// String says the windows; empty where there is none.
func (l List) String() string {
	out := make([]string, len(l))
	for i := range l {
		out[i] = l[i].String()
	}
	return strings.Join(out, " or ")
}

// Event returns the windows as an event carries them.
func (l List) Event() []*eventv1.Hours {
	var out []*eventv1.Hours
	for i := range l {
		out = append(out, &eventv1.Hours{Days: slices.Clone(l[i].Days), From: l[i].From, To: l[i].To, Zone: l[i].Zone})
	}
	return out
}

// Of reads the windows of an event. One that cannot be read is never open.
func Of(list []*eventv1.Hours) List {
	var out List
	for _, h := range list {
		w, _ := Parse(h.GetDays(), h.GetFrom(), h.GetTo(), h.GetZone()) // else the zero value
		out = append(out, w)
	}
	return out
}
