package session_test

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// copies is a write that stores a masked column elsewhere.
func copies() *seam.Command {
	c := write()
	c.Text = "INSERT INTO archive SELECT email FROM customers"
	c.Facts.Copies = []command.Copy{{
		From: command.Column{Schema: "public", Table: "customers", Name: "email"},
		To:   command.Column{Schema: "public", Table: "archive", Name: "note"}, Plain: true,
	}}
	return c
}

// TestRedteam13_AMaskedColumnIsNotCopied: nobody is even asked.
func TestRedteam13_AMaskedColumnIsNotCopied(t *testing.T) {
	w := newWorld(t)
	s := w.open()
	_, err := s.Admit(t.Context(), copies())
	r := refused(t, err, refusal.MaskedCopy)
	if !strings.Contains(r.Message, "public.customers.email into public.archive.note") || !strings.Contains(r.Message, "masked_copies") {
		t.Errorf("the refusal teaches nothing: %s", r.Message)
	}
	if len(w.requests) > 0 {
		t.Error("an approver was asked")
	}
}
