package session_test

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
)

// TestRedteam18_WhatNobodyMayDoIsNotDoneAfterAnApproval: a mask that came to deny
// something while a command was held denies it at resume, whoever approved.
func TestRedteam18_WhatNobodyMayDoIsNotDoneAfterAnApproval(t *testing.T) {
	w := newWorld(t)
	c := write()
	c.Facts.Compared = comparing(command.Order).Facts.Compared
	done := admit(t.Context(), w.open(), c)
	r := <-w.requests
	w.publish("masking", map[string]string{"a.yaml": strings.Replace(masks, "strategy: redact", "strategy: redact, compare: {otherwise: deny}", 1)})
	w.decide(w.approvals, w.decision(r))
	refused(t, (<-done).err, refusal.ComparisonMasked)
}

// TestRedteam18_ALimitThatCameMeanwhileHolds: what other rules ask of a command is
// asked by those of the moment in which it passes.
func TestRedteam18_ALimitThatCameMeanwhileHolds(t *testing.T) {
	w := newWorld(t)
	done := admit(t.Context(), w.open(), write())
	r := <-w.requests
	limit := strings.Replace(standingRules, "name: all", "name: limit", 1) + "    row_limit: 5\n    byte_limit: 1000\n"
	w.publish("policy", map[string]string{"a.yaml": rules, "b.yaml": limit})
	w.decide(w.approvals, w.decision(r))
	a := <-done
	must(t, a.err)
	if rows, size := a.permit.MaxRows(), a.permit.MaxBytes(); rows != 5 || size != 1000 {
		t.Errorf("limits of %d rows and %d bytes, want 5 and 1000", rows, size)
	}
	must(t, a.permit.Stands(false))
}

// TestRedteam18_AReasonThatIsAskedForMeanwhileIsGiven: or it does not pass.
func TestRedteam18_AReasonThatIsAskedForMeanwhileIsGiven(t *testing.T) {
	w := newWorld(t)
	done := admit(t.Context(), w.open(), write())
	r := <-w.requests
	w.publish("policy", map[string]string{"a.yaml": rules, "b.yaml": strings.Replace(standingRules, "name: all", "name: reason", 1) + "    reason: required\n"})
	w.decide(w.approvals, w.decision(r))
	refused(t, (<-done).err, refusal.ReasonRequired)
}
