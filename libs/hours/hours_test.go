package hours

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func window(t *testing.T, days, from, to, zone string) Window {
	t.Helper()
	var names []string
	if days != "" {
		names = strings.Split(days, ",")
	}
	w, err := Parse(names, from, to, zone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOpen(t *testing.T) {
	for name, c := range map[string]struct {
		days, from, to string
		at             string
		want           bool
	}{
		"within":                           {"mon-fri", "09:00", "17:30", "2026-11-30T09:00:00+01:00", true},
		"a second before":                  {"mon-fri", "09:00", "17:30", "2026-11-30T08:59:59+01:00", false},
		"to the last second":               {"mon-fri", "09:00", "17:30", "2026-11-30T17:29:59+01:00", true},
		"the end is outside":               {"mon-fri", "09:00", "17:30", "2026-11-30T17:30:00+01:00", false},
		"by the zone's clock":              {"mon-fri", "09:00", "17:30", "2026-11-30T08:30:00Z", true},
		"another day":                      {"mon-fri", "09:00", "17:30", "2026-11-29T10:00:00+01:00", false},
		"the zone's day":                   {"mon", "00:00", "01:00", "2026-11-29T23:30:00Z", true},
		"a range over the week's end":      {"sat-mon", "09:00", "10:00", "2026-11-30T09:30:00+01:00", true},
		"every day":                        {"", "09:00", "10:00", "2026-11-29T09:30:00+01:00", true},
		"a whole day":                      {"sun", "", "", "2026-11-29T23:59:59+01:00", true},
		"and no more":                      {"sun", "", "", "2026-11-30T00:00:00+01:00", false},
		"across midnight, before":          {"fri", "22:00", "06:00", "2026-11-27T23:00:00+01:00", true},
		"across midnight, after":           {"fri", "22:00", "06:00", "2026-11-28T05:59:59+01:00", true},
		"the day is that of the beginning": {"fri", "22:00", "06:00", "2026-11-27T05:00:00+01:00", false},
		"and not that of the end":          {"fri", "22:00", "06:00", "2026-11-28T22:30:00+01:00", false},
		"a window over the skipped hour":   {"sun", "01:30", "03:30", "2026-03-29T03:15:00+02:00", true},
		"the skipped hour itself":          {"sun", "02:00", "03:00", "2026-03-29T01:30:00Z", false},
		"and not the hour before it":       {"sun", "02:00", "03:00", "2026-03-29T00:30:00Z", false},
		"the repeated hour, first":         {"sun", "02:00", "03:00", "2026-10-25T02:30:00+02:00", true},
		"the repeated hour, second":        {"sun", "02:00", "03:00", "2026-10-25T02:30:00+01:00", true},
		"a window that ends in it, first":  {"sun", "01:00", "02:30", "2026-10-25T02:45:00+02:00", false},
		"a window that ends in it, second": {"sun", "01:00", "02:30", "2026-10-25T02:15:00+01:00", true},
		"across midnight over the change":  {"sat", "22:00", "04:00", "2026-03-29T03:59:00+02:00", true},
		"and its end is by the clock":      {"sat", "22:00", "04:00", "2026-03-29T04:00:00+02:00", false},
	} {
		w := window(t, c.days, c.from, c.to, "Europe/Berlin")
		if got := w.Open(at(t, c.at)); got != c.want {
			t.Errorf("%s: %s at %s: %v", name, w.String(), c.at, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string][4]string{
		"no zone":         {"mon", "09:00", "10:00", ""},
		"the machine's":   {"mon", "09:00", "10:00", "Local"},
		"an unknown zone": {"mon", "09:00", "10:00", "Europe/Berlim"},
		"an unknown day":  {"monday", "09:00", "10:00", "UTC"},
		"a short hour":    {"mon", "9:00", "10:00", "UTC"},
		"a long one":      {"mon", "09:00", "25:00", "UTC"},
		"a minute":        {"mon", "09:60", "10:00", "UTC"},
		"nothing between": {"mon", "09:00", "09:00", "UTC"},
		"from 24:00":      {"mon", "24:00", "09:00", "UTC"},
		"only a start":    {"mon", "09:00", "", "UTC"},
		"a sign":          {"mon", "+9:00", "10:00", "UTC"},
	} {
		if w, err := Parse([]string{c[0]}, c[1], c[2], c[3]); err == nil {
			t.Errorf("%s: %s", name, w.String())
		}
	}
}

// What an event says is read again as it was; what cannot be read is never open.
func TestEventRoundTrip(t *testing.T) {
	l := List{window(t, "fri-mon", "22:00", "06:00", "America/New_York"), window(t, "", "", "", "UTC")}
	if got := Of(l.Event()).String(); got != l.String() || got != "mon,fri-sun 22:00-06:00 America/New_York or UTC" {
		t.Fatalf("%q, want %q", got, l.String())
	}
	broken := l[1:].Event()
	broken[0].Zone = "Nowhere/At_All"
	if Of(broken).Open(time.Now()) {
		t.Fatal("a window of an unknown zone is open")
	}
}

// Edge is where Open changes, and nowhere before: minute by minute, also over the
// changes of the clocks.
func TestEdgeIsTheFirstChange(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		clock := rapid.Custom(func(t *rapid.T) string {
			m := rapid.IntRange(0, day-1).Draw(t, "minute")
			return time.Unix(int64(m)*60, 0).UTC().Format("15:04")
		})
		var l List
		for range rapid.IntRange(1, 2).Draw(t, "windows") {
			days := rapid.SliceOfDistinct(rapid.SampledFrom(Week), rapid.ID[string]).Draw(t, "days")
			from := clock.Draw(t, "from")
			to := clock.Filter(func(to string) bool { return to != from }).Draw(t, "to")
			w, err := Parse(days, from, to, rapid.SampledFrom(zones).Draw(t, "zone"))
			if err != nil {
				t.Fatal(err)
			}
			l = append(l, w)
		}
		around := rapid.SampledFrom([]string{"2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z", "2026-04-04T00:00:00Z", "2026-07-01T00:00:00Z", "2026-11-01T00:00:00Z"}).Draw(t, "around")
		begin, _ := time.Parse(time.RFC3339, around)
		begin = begin.Add(time.Duration(rapid.IntRange(0, 2*day).Draw(t, "later")) * time.Minute)
		edge, now := l.Edge(begin), l.Open(begin)
		for m := begin; m.Before(edge); m = m.Add(time.Minute) {
			if l.Open(m) != now {
				t.Fatalf("%s at %s: changed at %s, before the edge %s", l, begin, m, edge)
			}
		}
		if l.Open(edge) == now && edge.Sub(begin) < horizon {
			t.Fatalf("%s at %s: nothing changes at %s", l, begin, edge)
		}
	})
}
