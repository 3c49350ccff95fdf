package session_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
)

const freeze = `
freezes:
  - {name: year-end, reason: holidays, targets: [prod-db], from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z"%}
`

// A freeze that began while a command was held is looked at before it goes on,
// whether it denies or asks others.
func TestRedteam18_AFreezeThatBeganMeanwhileHolds(t *testing.T) {
	for name, with := range map[string]string{"one that denies": "", "one that asks others": ", effect: hold, approvers: {slack_users: [U0KIM]}"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			done := admit(t.Context(), w.open(), write())
			r := <-w.requests
			w.publish("policy", map[string]string{"a.yaml": rules, "freezes.yaml": strings.Replace(freeze, "%", with, 1)})
			w.decide(w.approvals, w.decision(r))
			refused(t, (<-done).err, refusal.Frozen)
		})
	}
}

// A write in a freeze is refused with the freeze's name, reason and end, a read
// passes, and the hours of a rule that are over while its command is held let it
// pass no more.
func TestRedteam18_TimeIsLookedAtAtTheDecisionAndAtTheResume(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": rules, "freezes.yaml": strings.Replace(freeze, "%", "", 1)})
	s := w.open()
	a := <-admit(t.Context(), s, write())
	refused(t, a.err, refusal.Frozen)
	for _, want := range []string{"year-end", "holidays", "2100-01-01 00:00 UTC"} {
		if !strings.Contains(a.err.Error(), want) {
			t.Errorf("%q is not in %v", want, a.err)
		}
	}
	c := read()
	c.Facts.Class = command.Read
	must(t, (<-admit(t.Context(), s, c)).err)

	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())).UTC() }
	w.gate.Now = now
	open, shut := now().Format("15:04"), now().Add(5*time.Minute).Format("15:04")
	w.publish("policy", map[string]string{"a.yaml": strings.NewReplacer("- name: writes", `- name: writes
    hours: {from: "`+open+`", to: "`+shut+`", zone: UTC}`, "deadline: 30s", "deadline: 30m").Replace(rules)})
	for _, c := range []struct {
		later time.Duration
		code  refusal.Code
	}{{time.Minute, ""}, {6 * time.Minute, refusal.DeniedByDefault}} {
		ahead.Store(0)
		held := admit(t.Context(), s, write())
		d := w.decision(<-w.requests)
		ahead.Store(int64(c.later))
		d.ExpiresAt = timestamppb.New(now().Add(time.Hour))
		w.decide(w.approvals, d)
		if a := <-held; c.code == "" {
			must(t, a.err)
		} else {
			refused(t, a.err, c.code)
		}
	}
}
