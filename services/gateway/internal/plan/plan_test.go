package plan

import (
	"context"
	"errors"
	"testing"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/grant"
)

// stream is the stream of uses, in memory.
type stream struct {
	taken   map[uint32]bool
	revoked bool
	down    error
}

func (s *stream) Step(_ context.Context, _ string, n uint32, _ grant.Use) (bool, error) {
	if s.down != nil {
		return false, s.down
	}
	first := !s.taken[n]
	s.taken[n] = true
	return first, nil
}

func (s *stream) Stepped(_ context.Context, _ string, n uint32) (bool, error) {
	return s.taken[n], s.down
}

func (s *stream) Revoked(context.Context, string) (bool, error) { return s.revoked, s.down }

// of makes a plan: h and a letter for a held statement, a and one for an allowed.
func of(steps ...string) *Plan {
	p := &eventv1.Plan{}
	for _, s := range steps {
		effect := map[byte]string{'h': "hold", 'a': "allow"}[s[0]]
		p.Steps = append(p.Steps, &eventv1.PlanStep{Digest: []byte(s[1:]), State: []byte("state"), Effect: effect})
	}
	return &Plan{request: &eventv1.ApprovalRequest{Plan: p}}
}

// What passes, in which order, by how many runs of a plan.
func TestRedteam18_StepsPassInTheirOrder(t *testing.T) {
	for name, c := range map[string]struct {
		steps []string
		asks  string // a run from 0 and a statement, each
		want  []uint32
	}{
		"in order":                          {[]string{"hx", "hy", "hz"}, "0x 0y 0z", []uint32{1, 2, 3}},
		"not before another":                {[]string{"hx", "hy"}, "0y 0x 0y", []uint32{0, 1, 2}},
		"once":                              {[]string{"hx", "hy"}, "0x 0x 0y 0y", []uint32{1, 0, 2, 0}},
		"the same one twice":                {[]string{"hx", "hx", "hy"}, "0x 0x 0x 0y", []uint32{1, 2, 0, 3}},
		"the same one again behind":         {[]string{"hx", "hy", "hx"}, "0x 0x 0y 0x 0x", []uint32{1, 0, 2, 3, 0}},
		"what asks nobody is passed over":   {[]string{"hx", "ay", "hz"}, "0x 0z", []uint32{1, 3}},
		"and may pass where it is held":     {[]string{"hx", "ay", "hz"}, "0x 0y 0z 0y", []uint32{1, 2, 3, 0}},
		"but not behind what follows it":    {[]string{"ax", "hy"}, "0y 0x", []uint32{2, 0}},
		"two runs share it":                 {[]string{"hx", "hy", "hz"}, "0x 1x 1y 0y 0z 1z", []uint32{1, 0, 2, 0, 3, 0}},
		"a run goes on where one stopped":   {[]string{"hx", "hy", "hz"}, "0x 0y 1z", []uint32{1, 2, 3}},
		"a run does not begin in the midst": {[]string{"hx", "hy", "hz"}, "1z 0x 1z", []uint32{0, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			uses := &stream{taken: map[uint32]bool{}}
			runs := []*Plan{of(c.steps...), of(c.steps...)}
			for i, n := 0, 0; n < len(c.want); i, n = i+3, n+1 {
				got, err := runs[c.asks[i]-'0'].Take(t.Context(), uses, []byte(c.asks[i+1:i+2]), []byte("state"), grant.Use{})
				if got != c.want[n] || (err == nil) != (got > 0) || err != nil && !errors.Is(err, ErrOrder) {
					t.Fatalf("ask %d: step %d, %v, want %d", n+1, got, err, c.want[n])
				}
			}
		})
	}
}

// One statement may be there for several states of the session: another run goes on
// behind the first of them.
func TestAStepIsFoundByItsState(t *testing.T) {
	uses := &stream{taken: map[uint32]bool{}}
	twice := func() *Plan {
		p := of("hx", "hx")
		p.request.Plan.Steps[1].State = []byte("later")
		return p
	}
	first := twice()
	for _, ask := range []struct {
		run   *Plan
		state string
		want  uint32
		why   error
	}{
		{first, "later", 0, ErrOrder},
		{first, "another", 0, ErrState},
		{first, "state", 1, nil},
		{twice(), "later", 2, nil},
		{first, "state", 0, ErrState},
		{first, "later", 0, ErrOrder},
		{first, "state", 0, ErrOrder},
	} {
		got, err := ask.run.Take(t.Context(), uses, []byte("x"), []byte(ask.state), grant.Use{})
		if got != ask.want || !errors.Is(err, ask.why) {
			t.Errorf("under %s: step %d, %v; want %d, %v", ask.state, got, err, ask.want, ask.why)
		}
	}
}

func TestRedteam18_WhatCannotBeCountedDoesNotPass(t *testing.T) {
	lost := errors.New("no bus")
	uses := &stream{taken: map[uint32]bool{}, down: lost}
	if _, err := of("hx").Take(t.Context(), uses, []byte("x"), []byte("state"), grant.Use{}); !errors.Is(err, lost) || Outside(err) {
		t.Errorf("without a bus: %v", err)
	}
	uses = &stream{taken: map[uint32]bool{}, revoked: true}
	if _, err := of("hx").Take(t.Context(), uses, []byte("x"), []byte("state"), grant.Use{}); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	uses = &stream{taken: map[uint32]bool{}}
	if _, err := of("hx").Take(t.Context(), uses, []byte("x"), []byte("another"), grant.Use{}); !errors.Is(err, ErrState) {
		t.Errorf("another state: %v", err)
	}
	if _, err := of("hx").Take(t.Context(), uses, []byte("z"), []byte("state"), grant.Use{}); !errors.Is(err, ErrOutside) {
		t.Errorf("another statement: %v", err)
	}
	if len(uses.taken) > 0 {
		t.Errorf("used up: %v", uses.taken)
	}
}
