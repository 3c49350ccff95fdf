package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// TestTriggersAreShown to whoever approves, and recorded.
func TestTriggersAreShown(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	c := write()
	for i := range 25 {
		c.Facts.Triggers = append(c.Facts.Triggers, fmt.Sprintf("audit.note_%d", i))
	}
	done := make(chan error, 1)
	go func() {
		p, err := s.Admit(t.Context(), c)
		if err == nil {
			p.Done(seam.Outcome{Status: "ok"})
		}
		done <- err
	}()
	r := <-w.requests
	if !slices.ContainsFunc(r.Warnings, func(line string) bool {
		return strings.Contains(line, "fires triggers") && strings.Contains(line, "audit.note_0, audit.note_1") && strings.Contains(line, "and 5 more")
	}) {
		t.Errorf("%q", r.Warnings)
	}
	w.decide(w.approvals, w.decision(r))
	must(t, <-done)
}
