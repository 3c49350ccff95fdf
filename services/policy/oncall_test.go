package policy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	libpolicy "github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/policy"
)

const feedPeople = `
people:
  - {name: dana, accounts: ["slack:U0DANA", "oidc:dana@x.example"]}
  - {name: omar, accounts: ["slack:U0OMAR", "oidc:omar@x.example"]}
`

func calendarOf(person string) string {
	now := time.Now().UTC()
	return strings.ReplaceAll(fmt.Sprintf("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//EN\nBEGIN:VEVENT\nUID:1\nDTSTAMP:20261101T000000Z\nSUMMARY:%s\nDTSTART:%s\nDTEND:%s\nEND:VEVENT\nEND:VCALENDAR\n",
		person, now.Add(-time.Hour).Format("20060102T150405Z"), now.Add(time.Hour).Format("20060102T150405Z")), "\n", "\r\n")
}

// What the policy service reads of calendars travels in its signed bundle; when an
// address gives nothing, or rubbish, what it gave last stays.
func TestRedteam20_ShiftsTravelInTheBundle(t *testing.T) {
	w := newWorld(t)
	var answer atomic.Value
	answer.Store(calendarOf("dana"))
	calendars := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if text := answer.Load().(string); text != "" {
			_, _ = rw.Write([]byte(text))
			return
		}
		http.Error(rw, "down", http.StatusBadGateway)
	}))
	t.Cleanup(calendars.Close)
	w.write("policies/people.yaml", feedPeople)
	w.write("policies/oncall.ics", calendarOf("omar"))
	w.write("policies/schedule.yaml", fmt.Sprintf("rotations:\n  - {name: fetched, ical: {url: %q}}\n  - {name: file, ical: {file: oncall.ics}}\n", calendars.URL+"/secret/a.ics"))
	with := func(d *policy.Deps) { d.Calendars = calendars.Client() }
	_, stop := w.start("1", with)
	onCall := func(rotation string) string {
		e, err := libpolicy.Compile(w.current().GetFiles())
		if err != nil {
			return err.Error()
		}
		return strings.Join(e.People().OnCall(rotation, time.Now()), " ")
	}
	w.until("both calendars in the bundle", func() bool { return w.current() != nil && onCall("fetched") == "dana" && onCall("file") == "omar" })

	version := w.current().GetVersion()
	for _, bad := range []string{"", "<html>sign in</html>"} {
		answer.Store(bad)
		stop()
		w.write("policies/more.yaml", strings.Replace(rules, "name: reads", fmt.Sprintf("name: more%d", len(bad)), 1))
		_, stop = w.start("1", with)
		w.until("a new version", func() bool { return w.current().GetVersion() > version })
		version = w.current().GetVersion()
		if got := onCall("fetched"); got != "dana" {
			t.Fatalf("after %q on call is %q", bad, got)
		}
	}
	w.write("policies/oncall.ics", calendarOf("dana"))
	w.until("the other calendar", func() bool { return onCall("file") == "dana" })
	w.write("policies/.shifts/fetched.yaml", "shifts: []")
	w.recorded("bundle.rejected", 1)
	stop()
}
