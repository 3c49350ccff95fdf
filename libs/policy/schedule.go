package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/hours"
)

// ScheduleFile is the name of the schedule beside the rules: who is on call, and
// who stands in for whom.
const ScheduleFile = "schedule.yaml"

const (
	maxShifts = 2000
	maxWeekly = 50
)

var (
	scheduleKeys   = []string{"rotations", "delegations"}
	rotationKeys   = []string{"name", "zone", "entries", "weekly", "ical"}
	shiftKeys      = []string{"from", "to", "person"}
	weeklyKeys     = []string{"start", "persons"}
	delegationKeys = []string{"from", "to", "start", "end", "zone"}
)

// schedule is who is on call and who stands in for whom. The zero value is nobody.
type schedule struct {
	rotations   map[string]*rotation
	delegations []delegation
}

// rotation says who is on call, by shifts or by the week.
type rotation struct {
	name   string
	node   ast.Node
	zone   *time.Location
	shifts []shift
	weekly *weekly
	feed   *Feed
}

// shift is one person's, from its first moment to before its last.
type shift struct {
	from, to time.Time
	person   string
}

// weekly hands over each week, by the clock on the wall of its zone.
type weekly struct {
	start   time.Time
	persons []string
}

// delegation lets one person vote in another's place.
type delegation struct {
	shift // whose person is who stands in
	of    string
	at    ast.Node
}

func (s *shift) on(at time.Time) bool { return !at.Before(s.from) && at.Before(s.to) }

// OnCall returns the persons who are on call in a rotation at a moment; nobody
// where it is not known.
func (p *People) OnCall(name string, at time.Time) []string {
	persons, _ := p.onCall(name, at)
	return persons
}

// onCall also says until when, at least.
func (p *People) onCall(name string, at time.Time) (persons []string, until time.Time) {
	r := p.schedule.rotations[name]
	if r == nil || at.IsZero() {
		return nil, until
	}
	if w := r.weekly; w != nil {
		return w.onCall(at, r.zone)
	}
	for i := range r.shifts {
		if s := &r.shifts[i]; s.on(at) {
			if !contains(persons, s.person) {
				persons = append(persons, s.person)
			}
			if until.IsZero() || s.to.Before(until) {
				until = s.to
			}
		}
	}
	return persons, until
}

func (w *weekly) onCall(at time.Time, zone *time.Location) (persons []string, until time.Time) {
	if at.Before(w.start) {
		return nil, until
	}
	start := w.start.In(zone)
	handover := func(week int) time.Time {
		return time.Date(start.Year(), start.Month(), start.Day()+7*week, start.Hour(), start.Minute(), 0, 0, zone)
	}
	week := int(at.Sub(start) / (7 * 24 * time.Hour)) // within a week of it: clocks change
	for !at.Before(handover(week + 1)) {
		week++
	}
	for week > 0 && at.Before(handover(week)) {
		week--
	}
	return []string{w.persons[week%len(w.persons)]}, handover(week + 1)
}

// StandsFor returns the persons in whose place somebody may vote at a moment.
func (p *People) StandsFor(person string, at time.Time) []string {
	var out []string
	for i := range p.schedule.delegations {
		if d := &p.schedule.delegations[i]; d.person == person && d.on(at) && !contains(out, d.of) {
			out = append(out, d.of)
		}
	}
	return out
}

// delegates are those who stand in for a person at a moment.
func (p *People) delegates(of string, at time.Time) []string {
	var out []string
	for i := range p.schedule.delegations {
		if d := &p.schedule.delegations[i]; d.of == of && d.on(at) {
			out = append(out, d.person)
		}
	}
	return out
}

func (s *source) schedule(raw []byte) schedule {
	out := schedule{rotations: map[string]*rotation{}}
	root := s.root(raw)
	if root == nil {
		return out
	}
	for _, e := range s.entries(root, "the schedule", scheduleKeys) {
		for _, n := range s.list(e.value, e.key) {
			switch e.key {
			case "rotations":
				r := s.rotation(n)
				if r.name != "" && out.rotations[r.name] != nil {
					s.bad(n, fmt.Sprintf("rotation %q is there twice", r.name), "give each rotation a name of its own")
				}
				out.rotations[r.name] = r
			case "delegations":
				out.delegations = append(out.delegations, s.delegation(n))
			}
		}
	}
	return out
}

func (s *source) rotation(n ast.Node) *rotation {
	r := &rotation{node: n, zone: time.UTC}
	entries := s.entries(n, "a rotation", rotationKeys)
	has := map[string]bool{}
	for _, e := range entries { // the zone is of the others
		has[e.key] = true
		switch e.key {
		case "name":
			r.name = s.text(e.value, "name")
		case "zone":
			r.zone = s.zone(e.value)
		}
	}
	for _, e := range entries {
		switch e.key {
		case "entries":
			nodes := s.list(e.value, "entries")
			for _, n := range nodes {
				r.shifts = append(r.shifts, s.shift(n, r.zone))
			}
			if len(nodes) > maxShifts {
				s.bad(e.value, "a rotation of more than 2000 shifts", "remove those that are over")
			}
		case "weekly":
			r.weekly = s.weekly(e.value, r.zone)
		case "ical":
			r.feed = s.feed(e.value)
		}
	}
	if r.name == "" {
		s.bad(n, "a rotation without a name", "add name: approvers name it under on_call")
	}
	if n := len(slices.DeleteFunc([]bool{has["entries"], has["weekly"], has["ical"]}, func(there bool) bool { return !there })); n != 1 {
		s.bad(r.node, "a rotation says entries, weekly or ical, one of them", `write entries: [{from: 2026-12-01, to: 2026-12-07, person: dana}]`)
	}
	return r
}

func (s *source) zone(n ast.Node) *time.Location {
	zone, err := hours.Zone(s.text(n, "zone"))
	if err != nil {
		s.bad(n, err.Error(), "correct the zone")
		return time.UTC
	}
	return zone
}

func (s *source) shift(n ast.Node, zone *time.Location) shift {
	var x shift
	has := map[string]bool{}
	for _, e := range s.entries(n, "a shift", shiftKeys) {
		has[e.key] = true
		switch e.key {
		case "from", "to":
			at := s.momentIn(e.value, e.key, zone, e.key == "to")
			if e.key == "from" {
				x.from = at
			} else {
				x.to = at
			}
		case "person":
			x.person = s.text(e.value, "person")
		}
	}
	for _, key := range shiftKeys {
		if !has[key] {
			s.bad(n, "a shift without "+key, "write {from: 2026-12-01, to: 2026-12-07, person: dana}")
		}
	}
	s.span(n, "the shift", x.from, x.to)
	return x
}

// span finds a time that ends before it begins.
func (s *source) span(n ast.Node, what string, from, to time.Time) {
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		s.bad(n, what+" ends before it begins", "correct one of them")
	}
}

func (s *source) weekly(n ast.Node, zone *time.Location) *weekly {
	w := &weekly{}
	for _, e := range s.entries(n, "weekly", weeklyKeys) {
		switch e.key {
		case "start":
			w.start = s.momentIn(e.value, "start", zone, false)
		case "persons":
			for _, p := range s.list(e.value, "persons") { // one may come twice
				w.persons = append(w.persons, s.text(p, "a person"))
			}
		}
	}
	if w.start.IsZero() || len(w.persons) == 0 || len(w.persons) > maxWeekly {
		s.bad(n, "weekly without its start and 1 to 50 persons", `write {start: "2026-11-30 09:00", persons: [dana, omar]}: each has a week, from the start on`)
		return nil
	}
	return w
}

func (s *source) delegation(n ast.Node) delegation {
	d := delegation{at: n}
	entries := s.entries(n, "a delegation", delegationKeys)
	var zone *time.Location
	for _, e := range entries {
		if e.key == "zone" {
			zone = s.zone(e.value)
		}
	}
	has := map[string]bool{}
	for _, e := range entries {
		has[e.key] = true
		switch e.key {
		case "from":
			d.of = s.text(e.value, "from")
		case "to":
			d.person = s.text(e.value, "to")
		case "start":
			d.shift.from = s.momentIn(e.value, "start", zone, false)
		case "end":
			d.shift.to = s.momentIn(e.value, "end", zone, true)
		}
	}
	for _, key := range delegationKeys[:4] {
		if !has[key] {
			s.bad(n, "a delegation without "+key, "write {from: dana, to: omar, start: 2026-12-20, end: 2027-01-02, zone: Europe/Berlin}")
		}
	}
	if d.of == d.person && d.of != "" {
		s.bad(n, d.of+" stands in for themselves", "name somebody else")
	}
	s.span(n, "the delegation", d.shift.from, d.shift.to)
	return d
}

// checkSchedule makes sure that the persons are known.
func (e *Engine) checkSchedule() []Problem {
	s := &source{file: ScheduleFile}
	known := func(n ast.Node, name string) {
		if name != "" && e.people.accounts[name] == nil {
			remedy := "add the person to " + PeopleFile
			if near := nearest(name, e.people.names); near != "" {
				remedy = fmt.Sprintf("did you mean %q?", near)
			}
			s.bad(n, fmt.Sprintf("%q is not in %s", name, PeopleFile), remedy)
		}
	}
	for _, r := range e.people.schedule.rotations {
		if r.feed != nil {
			continue // whom it names is looked up as it comes
		}
		for _, x := range r.shifts {
			known(r.node, x.person)
		}
		if r.weekly != nil {
			for _, name := range r.weekly.persons {
				known(r.node, name)
			}
		}
	}
	for _, d := range e.people.schedule.delegations {
		known(d.at, d.of)
		known(d.at, d.person)
	}
	return s.problems
}

// onCallInWords says who is on call: "dba-oncall (omar until 2026-11-30 18:00 CET)".
func (p *People) onCallInWords(name string, asked map[string]bool, at time.Time) string {
	if at.IsZero() {
		return "whoever is on call in " + name
	}
	persons, until := p.onCall(name, at)
	var who []string
	for _, person := range persons {
		if !asked[person] {
			who = append(who, append([]string{person}, p.standIns(person, asked, at)...)...)
		}
	}
	if len(who) == 0 {
		return name + " (nobody now)"
	}
	zone := time.UTC
	if r := p.schedule.rotations[name]; r != nil {
		zone = r.zone
	}
	return name + " (" + either(who) + " until " + until.In(zone).Format("2006-01-02 15:04 MST") + ")"
}

// standIns are the delegates of a person who have not asked: "omar, for dana".
func (p *People) standIns(person string, asked map[string]bool, at time.Time) []string {
	var out []string
	for _, d := range p.delegates(person, at) {
		if !asked[d] && !at.IsZero() {
			out = append(out, d+" for "+person)
		}
	}
	return out
}
