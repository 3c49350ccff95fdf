package oncall

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/policy"
)

// known are persons by their address.
type known map[string]string

func (k known) Person(account string) (string, bool) { name, ok := k[account]; return name, ok }

func (k known) Names() []string {
	var out []string
	for _, name := range k {
		out = append(out, name)
	}
	return out
}

var staff = known{"oidc:dana@x.example": "dana", "oidc:omar@x.example": "omar"}

func calendar(events ...string) []byte {
	text := "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n"
	for i, e := range events {
		if !strings.Contains(e, "UID:") {
			e = fmt.Sprintf("UID:%d\n", i) + e
		}
		text += "BEGIN:VEVENT\nDTSTAMP:20261101T000000Z\n" + e + "\nEND:VEVENT\n"
	}
	return []byte(strings.ReplaceAll(text+"END:VCALENDAR\n", "\n", "\r\n"))
}

func TestParse(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 12, 3, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		events []string
		want   []string
	}{
		"by name":           {[]string{"SUMMARY: dana \nDTSTART:20261203T080000Z\nDTEND:20261203T180000Z"}, []string{"1203T0800-1203T1800 dana"}},
		"by an address":     {[]string{"SUMMARY:on call\nATTENDEE;CN=Omar:mailto:omar@x.example\nDTSTART:20261203T080000Z\nDURATION:PT2H"}, []string{"1203T0800-1203T1000 omar"}},
		"of nobody":         {[]string{"SUMMARY:eve\nDTSTART:20261203T080000Z\nDTEND:20261203T180000Z"}, nil},
		"of two":            {[]string{"SUMMARY:on call\nATTENDEE:mailto:omar@x.example\nATTENDEE:mailto:dana@x.example\nDTSTART:20261203T080000Z\nDURATION:PT2H"}, nil},
		"cancelled":         {[]string{"SUMMARY:dana\nSTATUS:CANCELLED\nDTSTART:20261203T080000Z\nDTEND:20261203T180000Z"}, nil},
		"in the past":       {[]string{"SUMMARY:dana\nDTSTART:20261103T080000Z\nDTEND:20261103T180000Z"}, nil},
		"a whole day":       {[]string{"SUMMARY:dana\nDTSTART;VALUE=DATE:20261204"}, []string{"1203T2300-1204T2300 dana"}},
		"in a zone":         {[]string{"SUMMARY:dana\nDTSTART;TZID=America/New_York:20261204T090000\nDTEND;TZID=America/New_York:20261204T100000"}, []string{"1204T1400-1204T1500 dana"}},
		"in no zone":        {[]string{"SUMMARY:dana\nDTSTART:20261204T090000\nDTEND:20261204T100000"}, []string{"1204T0800-1204T0900 dana"}},
		"ends before":       {[]string{"SUMMARY:dana\nDTSTART:20261204T090000Z\nDTEND:20261204T080000Z"}, nil},
		"began long ago":    {[]string{"SUMMARY:dana\nDTSTART:20260101T000000Z\nDTEND:20261204T000000Z"}, []string{"0101T0000-1204T0000 dana"}},
		"each other week":   {[]string{"SUMMARY:dana\nDTSTART;TZID=Europe/Berlin:20260907T090000\nDTEND;TZID=Europe/Berlin:20260914T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20261215T000000Z"}, []string{"1130T0800-1207T0800 dana", "1214T0800-1221T0800 dana"}},
		"but not these":     {[]string{"SUMMARY:dana\nDTSTART:20261203T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE:20261204T080000Z,20261205T080000Z"}, []string{"1203T0800-1203T0900 dana", "1206T0800-1206T0900 dana"}},
		"and this one":      {[]string{"SUMMARY:dana\nDTSTART:20261203T080000Z\nDURATION:PT1H\nRDATE:20261207T080000Z"}, []string{"1203T0800-1203T0900 dana", "1207T0800-1207T0900 dana"}},
		"swapped":           {[]string{"UID:a\nSUMMARY:dana\nDTSTART:20261203T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2", "UID:a\nRECURRENCE-ID:20261204T080000Z\nSUMMARY:omar\nDTSTART:20261204T080000Z\nDURATION:PT1H"}, []string{"1203T0800-1203T0900 dana", "1204T0800-1204T0900 omar"}},
		"swapped to nobody": {[]string{"UID:a\nSUMMARY:dana\nDTSTART:20261203T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2", "UID:a\nRECURRENCE-ID:20261204T080000Z\nSUMMARY:eve\nDTSTART:20261204T080000Z\nDURATION:PT1H"}, []string{"1203T0800-1203T0900 dana"}},
	} {
		t.Run(name, func(t *testing.T) {
			shifts, err := Parse(calendar(c.events...), berlin, staff, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range shifts {
				got = append(got, s.From.Format("0102T1504")+"-"+s.To.Format("0102T1504")+" "+s.Person)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A hostile calendar costs little, and what cannot be read is an error, not nobody.
func TestParseRefuses(t *testing.T) {
	now := time.Date(2026, 12, 3, 12, 0, 0, 0, time.UTC)
	for name, raw := range map[string][]byte{
		"each second":      calendar("SUMMARY:dana\nDTSTART:19700101T000000Z\nDURATION:PT1S\nRRULE:FREQ=SECONDLY"),
		"each minute":      calendar("SUMMARY:dana\nDTSTART:19700101T000000Z\nDURATION:PT1S\nRRULE:FREQ=MINUTELY"),
		"an unknown zone":  calendar("SUMMARY:dana\nDTSTART;TZID=Mars:20261204T090000\nDURATION:PT1H"),
		"no calendar":      []byte("<html>sign in</html>"),
		"cut":              calendar("SUMMARY:dana\nDTSTART:20261204T090000Z\nDURATION:PT1H")[:100],
		"no start":         calendar("SUMMARY:dana\nDURATION:PT1H"),
		"an unknown rule":  calendar("SUMMARY:dana\nDTSTART:20261203T080000Z\nDURATION:PT1H\nRRULE:FREQ=OFTEN"),
		"too many of them": calendar(slices.Repeat([]string{"SUMMARY:dana\nDTSTART:20261203T080000Z\nDURATION:PT1H\nRRULE:FREQ=HOURLY"}, 3)...),
	} {
		if shifts, err := Parse(raw, time.UTC, staff, now); err == nil {
			t.Errorf("%s: %d shifts", name, len(shifts))
		}
	}
	start := time.Now()
	_, _ = Parse(calendar("SUMMARY:dana\nDTSTART:00010101T000000Z\nDURATION:PT1H\nRRULE:FREQ=HOURLY"), time.UTC, staff, now)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("a calendar of ages takes %s", took)
	}
}

func TestNewer(t *testing.T) {
	now := time.Date(2026, 12, 3, 12, 0, 0, 0, time.UTC)
	of := func(until time.Duration, person string) *policy.Shifts {
		return &policy.Shifts{Until: now.Add(until), Shifts: []policy.Shift{{From: now, To: now.Add(time.Hour), Person: person}}}
	}
	for name, c := range map[string]struct {
		inForce, read *policy.Shifts
		takes         bool
	}{
		"nothing in force":         {nil, of(24*time.Hour, "dana"), true},
		"nothing read":             {of(time.Hour, "dana"), nil, false},
		"the same, still young":    {of(20*time.Hour, "dana"), of(24*time.Hour, "dana"), false},
		"the same, a quarter over": {of(18*time.Hour, "dana"), of(24*time.Hour, "dana"), true},
		"another":                  {of(23*time.Hour, "dana"), of(24*time.Hour, "omar"), true},
		"another replica's newer":  {of(24*time.Hour, "dana"), of(23*time.Hour, "omar"), false},
	} {
		want := c.inForce
		if c.takes {
			want = c.read
		}
		if got := Newer(c.inForce, c.read, 24*time.Hour, now); got != want {
			t.Errorf("%s: the other", name)
		}
	}
}
