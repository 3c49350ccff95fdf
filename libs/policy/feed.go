package policy

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// ShiftsDir is where a bundle keeps the shifts of the schedule's iCal feeds, one
// file a rotation, as the policy service has read them. Nobody else writes there.
const ShiftsDir = ".shifts/"

// Bounds and default of a feed.
const (
	DefaultFeedAge = 24 * time.Hour
	maxFeedAge     = 30 * 24 * time.Hour
)

var feedKeys = []string{"url", "file", "max_age"}

// Feed is an iCal calendar that says who is on call: an https address, or a file
// of the policy folder.
type Feed struct {
	Rotation string
	URL      string
	File     string
	// MaxAge is how old what was last read of the address may be; older, it is
	// nobody.
	MaxAge time.Duration
	Zone   *time.Location // of times that do not say theirs
}

// Shift is one shift of a feed.
type Shift struct {
	From   time.Time `yaml:"from"`
	To     time.Time `yaml:"to"`
	Person string    `yaml:"person"`
}

// Shifts is what was read of a feed: a file of ShiftsDir.
type Shifts struct {
	// Until is when it is too old; zero for a file of the folder.
	Until  time.Time `yaml:"until,omitempty"`
	Shifts []Shift   `yaml:"shifts"`
}

// ShiftsFile is the name of a rotation's file in a bundle.
func ShiftsFile(rotation string) string { return ShiftsDir + url.PathEscape(rotation) + ".yaml" }

// ReadShifts reads such a file; nil where it is none.
func ReadShifts(raw []byte) *Shifts {
	var out Shifts
	if len(raw) == 0 || yaml.UnmarshalWithOptions(raw, &out, yaml.Strict()) != nil {
		return nil
	}
	return &out
}

// Marshal returns the file's content.
func (s *Shifts) Marshal() ([]byte, error) {
	raw, err := yaml.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("policy: shifts: %w", err)
	}
	return raw, nil
}

func (s *source) feed(n ast.Node) *Feed {
	f := &Feed{MaxAge: DefaultFeedAge}
	for _, e := range s.entries(n, "ical", feedKeys) {
		switch e.key {
		case "url":
			f.URL = s.text(e.value, "url")
			if u, err := url.Parse(f.URL); f.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
				s.bad(e.value, "url is no https address", "write https://…: who is on call may approve, so nobody on the way may change it")
			}
		case "file":
			f.File = s.text(e.value, "file")
			if f.File != "" && (path.Ext(f.File) != ".ics" || f.File != path.Clean(f.File) || strings.HasPrefix(f.File, "/") || strings.HasPrefix(f.File, "..")) {
				s.bad(e.value, "file is no .ics file of the policy folder", "write its path within the folder: oncall.ics")
			}
		case "max_age":
			f.MaxAge = s.duration(e.value, "max_age", maxFeedAge)
		}
	}
	if (f.URL == "") == (f.File == "") {
		s.bad(n, "ical says a url or a file", "write ical: {url: https://…} or {file: oncall.ics}")
	}
	return f
}

// Feeds returns the feeds of the schedule, by rotation.
func (e *Engine) Feeds() []Feed {
	var out []Feed
	for name, r := range e.people.schedule.rotations {
		if r.feed != nil {
			f := *r.feed
			f.Rotation, f.Zone = name, r.zone
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b Feed) int { return strings.Compare(a.Rotation, b.Rotation) })
	return out
}

// takeShifts gives rotations with a feed what was read of it. What is too old ends
// when it is: from then on nobody is on call.
func (e *Engine) takeShifts(files map[string][]byte) []Problem {
	s := &source{}
	for name, r := range e.people.schedule.rotations {
		s.file = ShiftsFile(name)
		raw := files[s.file]
		if r.feed == nil || raw == nil {
			continue
		}
		var read Shifts
		if err := yaml.UnmarshalWithOptions(raw, &read, yaml.Strict()); err != nil {
			s.badAt(0, 0, "it cannot be read: "+err.Error(), "the policy service writes it: do not")
			continue
		}
		for _, x := range read.Shifts {
			if !read.Until.IsZero() && x.To.After(read.Until) {
				x.To = read.Until
			}
			if e.people.accounts[x.Person] != nil && x.From.Before(x.To) {
				r.shifts = append(r.shifts, shift{from: x.From, to: x.To, person: x.Person})
			}
		}
	}
	return s.problems
}
