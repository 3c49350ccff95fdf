package approval_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/localslack"
)

// Slack takes about a post a second in a channel: what waits beyond five has one
// message together, gets its own when there is room, and can be decided all the
// while.
func TestABurstHasOneDigest(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	var all []*request
	for range 8 {
		all = append(all, w.hold("one-click"))
	}
	digest := w.digest("3 more approvals needed")
	for _, late := range all[5:] {
		if !strings.Contains(shown(digest), late.Id) {
			t.Errorf("%s is not in the digest", late.Id)
		}
	}
	for _, early := range all[:5] {
		w.message(early, approveButton)
	}
	if n := len(w.slack.Messages(channel)); n != 6 {
		t.Fatalf("%d messages", n)
	}
	if status, c := r.vote(all[7], "oidc:dana@acme.example", "approve"); status != 200 {
		t.Fatalf("one in the digest could not be decided: %d %s", status, c)
	}
	w.digest("2 more approvals needed")
	w.approve(all[0], "U0DANA")
	w.message(all[5], approveButton)
	w.digest("1 more approval needed")
	r.stop() // the next process goes on with it
	w.start()
	w.approve(all[1], "U0DANA")
	w.message(all[6], approveButton)
	w.digest("Nothing more waits")
	for _, rest := range all[2:7] {
		w.approve(rest, "U0DANA")
	}
	again := w.hold("one-click")
	w.message(again, approveButton)
}

// digest waits for the channel's digest to say something.
func (w *world) digest(text string) localslack.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 40*time.Second)
	defer cancel()
	m, err := w.slack.Await(ctx, channel, func(m localslack.Message) bool {
		return !m.IsEphemeral && strings.Contains(shown(m), "gatestay approvals list") && strings.Contains(shown(m), text)
	})
	if err != nil {
		w.t.Fatalf("no digest with %q: %v", text, err)
	}
	return m
}
