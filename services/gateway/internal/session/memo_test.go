package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// A text that was allowed once is decided by the rules of the moment each time.
func TestRedteam09_AMemoDoesNotOutliveItsRules(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	c := &seam.Command{
		Text: "SELECT id FROM customers WHERE email = 'blue sky ahead'", Memo: &seam.Memo{},
		Facts: command.Facts{
			Verb: "select", Class: command.Read, Filtered: true, Columns: []command.Column{{Schema: "public", Table: "customers", Name: "email"}},
			Literals: []command.Literal{{Start: 39, End: 55, Column: "email", Text: true}},
		},
	}
	run := func() error {
		p, err := s.Admit(t.Context(), c)
		if err == nil {
			p.Done(seam.Outcome{Status: "ok"})
		}
		return err
	}
	for range 3 {
		must(t, run())
	}
	w.publish("masking", map[string]string{"a.yaml": "masks: []\n"})
	must(t, run())
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, `command.class == "read"`, `command.class == "read" && !command.filtered`, 1)})
	refused(t, run(), refusal.DeniedByDefault)
	w.publish("policy", map[string]string{"a.yaml": rules})
	must(t, run())
	s.Close("over")

	var scrubbed, plain int
	for deadline := time.Now().Add(5 * time.Second); scrubbed+plain < 6 && time.Now().Before(deadline); {
		scrubbed, plain = 0, 0
		for _, r := range w.sink.all() {
			switch {
			case r.CommandId == "" || r.Statement == "":
			case strings.Contains(r.Statement, "blue sky ahead"):
				plain++
			default:
				scrubbed++
			}
		}
	}
	if scrubbed != 3 || plain != 3 {
		t.Errorf("%d statements scrubbed and %d not, want 3 and 3", scrubbed, plain)
	}
}

// A rule that looks at the session's age is asked each time.
func TestAMemoDoesNotStopTheClock(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, `command.class == "read"`, `command.class == "read" && session.age_seconds < 60`, 1)})
	s := w.open()
	c := read()
	c.Memo = &seam.Memo{}
	p, err := s.Admit(t.Context(), c)
	must(t, err)
	p.Done(seam.Outcome{Status: "ok"})
	w.gate.Now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	_, err = s.Admit(t.Context(), c)
	refused(t, err, refusal.DeniedByDefault)
}

// A decision that is kept does not outlive the hours of a rule, whichever way the
// clock goes.
func TestRedteam09_AMemoDoesNotOutliveTheHoursOfARule(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(rules, `when: command.class == "read"`, `hours: {days: [mon], from: "10:00", to: "11:00", zone: UTC}
    when: command.class == "read"`, 1)})
	at := func(clock string) {
		now, err := time.Parse(time.RFC3339, "2026-11-30T"+clock+"Z")
		must(t, err)
		w.gate.Now = func() time.Time { return now }
	}
	at("10:00:00")
	s := w.open()
	c := read()
	c.Memo = &seam.Memo{}
	run := func() error {
		p, err := s.Admit(t.Context(), c)
		if err == nil {
			p.Done(seam.Outcome{Status: "ok"})
		}
		return err
	}
	must(t, run())
	at("10:59:59")
	must(t, run())
	at("11:00:00")
	refused(t, run(), refusal.DeniedByDefault)
	at("10:59:59")
	must(t, run())
	at("09:59:59") // set back
	refused(t, run(), refusal.DeniedByDefault)
}
