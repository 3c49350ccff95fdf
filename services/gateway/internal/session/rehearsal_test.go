package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// rehearsing are the rules with these keys added to the one that holds.
func rehearsing(keys string) map[string]string {
	return map[string]string{"a.yaml": rules + keys}
}

const within50 = "    rehearsal: {timeout: 7s}\n    approve_if: rehearsal.rows <= 50\n"

func changing(rows uint64) *seam.Rehearsal {
	return &seam.Rehearsal{Sent: true, Duration: time.Millisecond, Changed: []seam.Effect{{Verb: "update", Relation: "public.customers", Rows: rows}}}
}

// rehearsed is a write whose rehearsal shows r.
func rehearsed(r *seam.Rehearsal) *seam.Command {
	c := write()
	c.Rehearse = func(_ context.Context, _ time.Duration, begin func() error) *seam.Rehearsal {
		if err := begin(); err != nil {
			return &seam.Rehearsal{Unknown: err.Error()}
		}
		return r
	}
	return c
}

// recordOf waits for the record of a command, by its verb and kind.
func (w *world) recordOf(kind eventv1.Kind, found func(*eventv1.Record) bool) *eventv1.Record {
	w.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		for _, r := range w.sink.all() {
			if r.Kind == kind && found(r) {
				return r
			}
		}
		select {
		case <-deadline.C:
			w.t.Fatalf("no such record among %v", w.sink.all())
		case <-time.After(time.Millisecond):
		}
	}
}

func TestApproveIfLetsPassWhatIsWithinIt(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", rehearsing(within50))
	s := w.open()
	c := rehearsed(changing(50))
	inner := c.Rehearse
	c.Rehearse = func(ctx context.Context, limit time.Duration, begin func() error) *seam.Rehearsal {
		if limit != 7*time.Second {
			t.Errorf("a limit of %s", limit)
		}
		out := inner(ctx, limit, begin)
		// Its intent is on disk before it is sent.
		if r := w.sink.all(); r[len(r)-1].Kind != eventv1.Kind_KIND_INTENT || r[len(r)-1].Verb != "rehearse" || r[len(r)-1].Statement == "" {
			t.Errorf("%v", r)
		}
		return out
	}
	p, err := s.Admit(t.Context(), c)
	must(t, err)
	check, limit := p.Check()
	if check == nil || limit != 7*time.Second {
		t.Fatal("its run is not measured")
	}
	intent := w.recordOf(eventv1.Kind_KIND_INTENT, func(r *eventv1.Record) bool { return r.Verb == "update" })
	if d := intent.Details; d["approved_by"] != "rule approve_if" || d["approve_if"] != "rehearsal.rows <= 50" || d["rehearsed_rows"] != "50" || intent.ApprovalId != "" || len(intent.Approvers) > 0 || intent.Effect != "hold" {
		t.Errorf("%v", intent)
	}
	must(t, check(changing(50)))
	p.Done(seam.Outcome{Status: "ok", Rows: 50})
	rehearsal := w.recordOf(eventv1.Kind_KIND_OUTCOME, func(r *eventv1.Record) bool { return r.Details["rehearsal_of"] == intent.CommandId })
	if rehearsal.CommandId == intent.CommandId || rehearsal.Rows != 0 || rehearsal.Details["rolled_back_rows"] != "50" || rehearsal.Status != "ok" {
		t.Errorf("%v", rehearsal)
	}
	if o := w.recordOf(eventv1.Kind_KIND_OUTCOME, func(r *eventv1.Record) bool { return r.CommandId == intent.CommandId }); o.Details["measured_rows"] != "50" || o.Rows != 50 {
		t.Errorf("%v", o)
	}
	if len(w.requests) > 0 {
		t.Error("somebody was asked")
	}
}

func TestRedteam21_TheRunIsHeldToTheRehearsalsPromise(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", rehearsing(within50))
	p, err := w.open().Admit(t.Context(), rehearsed(changing(3)))
	must(t, err)
	check, _ := p.Check()
	for name, r := range map[string]*seam.Rehearsal{
		"more": changing(51), "not known": {Unknown: "it could not be counted"}, "with rows for the client": {Alone: "it returns rows"},
		"another table besides": {Changed: append(changing(50).Changed, changing(1).Changed...)},
	} {
		if r := refused(t, check(r), refusal.RunExceeded); r.Rule != "writes" || r.ID == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	p.Done(seam.Outcome{Status: "not_executed"})
	if o := w.recordOf(eventv1.Kind_KIND_OUTCOME, func(r *eventv1.Record) bool { return r.Details["measured_rows"] != "" }); o.Status != "not_executed" {
		t.Errorf("%v", o)
	}
}

// Whatever is not within the condition, or not known to be, asks a person, who is
// shown what the rehearsal has shown.
func TestWhatARehearsalDoesNotDecideAsksAPerson(t *testing.T) {
	alone := changing(3)
	alone.Alone = "it returns rows, which must not be sent before it is committed"
	for name, c := range map[string]struct {
		keys    string
		shown   *seam.Rehearsal
		command func(*seam.Command)
		want    string
	}{
		"too many":       {within50, changing(51), nil, "Rehearsed, and rolled back: update 51 rows of public.customers (measured, in 1.0 ms)|Asks a person, since it is not so that rehearsal.rows <= 50"},
		"unknown":        {within50, &seam.Rehearsal{Unknown: "it fires triggers"}, nil, "Not rehearsed, so what it changes is not measured: it fires triggers|Asks a person, since approve_if could not be told: rehearsal.rows <= 50"},
		"returns rows":   {within50, alone, nil, "Rehearsed, and rolled back: update 3 rows of public.customers (measured, in 1.0 ms)|Asks a person although rehearsal.rows <= 50: it returns rows, which must not be sent before it is committed"},
		"no condition":   {"    rehearsal: allow\n", changing(3), nil, "Rehearsed, and rolled back: update 3 rows of public.customers (measured, in 1.0 ms)"},
		"no rehearsal":   {"", changing(3), nil, ""},
		"cannot":         {within50, nil, func(c *seam.Command) { c.Rehearse = nil }, "Not rehearsed, so what it changes is not measured: this protocol cannot rehearse it|Asks a person, since approve_if could not be told: rehearsal.rows <= 50"},
		"says nothing":   {within50, nil, nil, "Not rehearsed, so what it changes is not measured: it could not be measured|Asks a person, since approve_if could not be told: rehearsal.rows <= 50"},
		"another rule's": {within50 + strings.Replace(rules[strings.Index(rules, "  - name: writes"):], "writes", "writes-too", 1), changing(3), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("policy", rehearsing(c.keys))
			s := w.open()
			command := rehearsed(c.shown)
			command.Radius = func(context.Context) *seam.Radius { return &seam.Radius{} }
			if c.command != nil {
				c.command(command)
			}
			done := make(chan error, 1)
			var p seam.Permit
			go func() {
				var err error
				p, err = s.Admit(t.Context(), command)
				done <- err
			}()
			var r *request
			select {
			case r = <-w.requests:
			case err := <-done:
				t.Fatalf("nobody was asked: %v", err)
			case <-time.After(15 * time.Second):
				t.Fatal("nobody was asked")
			}
			if got := strings.Join(approval.Radius(r.ApprovalRequest), "|"); got != c.want {
				t.Errorf("%q\nnot %q", got, c.want)
			}
			w.decide(w.approvals, w.decision(r))
			select {
			case err := <-done:
				must(t, err)
			case <-time.After(15 * time.Second):
				t.Fatal("the decision did not let it pass")
			}
			if check, _ := p.Check(); check != nil {
				t.Error("what a person has approved is held to a number")
			}
		})
	}
}

func TestRedteam21_NothingIsRehearsedThatCannotBeRecorded(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", rehearsing(within50))
	s := w.open()
	w.sink.setBroken(true)
	defer w.sink.setBroken(false)
	sent := false
	c := rehearsed(nil)
	c.Rehearse = func(_ context.Context, _ time.Duration, begin func() error) *seam.Rehearsal {
		if err := begin(); err != nil {
			return &seam.Rehearsal{Unknown: "stopped"}
		}
		sent = true
		return changing(1)
	}
	_, err := s.Admit(t.Context(), c)
	refused(t, err, refusal.JournalUnavailable)
	if sent {
		t.Error("it was sent")
	}
}

// The rules of the moment after the rehearsal decide, and those of the run.
func TestRedteam21_ARuleChangedDuringTheRehearsalCounts(t *testing.T) {
	another := strings.Replace(rules[strings.Index(rules, "  - name: writes"):], "writes", "writes-too", 1)
	for name, c := range map[string]struct {
		keys string
		code refusal.Code
	}{
		"a smaller bound":     {"    rehearsal: allow\n    approve_if: rehearsal.rows <= 2\n", refusal.RuleChanged},
		"none":                {"", refusal.RuleChanged},
		"another rule":        {within50 + another, refusal.RuleChanged},
		"a denial of writing": {within50 + "  - {name: no, effect: deny, targets: [prod-db], principals: [{any: true}], when: 'command.class == \"write\"'}\n", refusal.DeniedByRule},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("policy", rehearsing(within50))
			c0 := rehearsed(changing(3))
			inner := c0.Rehearse
			c0.Rehearse = func(ctx context.Context, limit time.Duration, begin func() error) *seam.Rehearsal {
				defer w.publish("policy", rehearsing(c.keys))
				return inner(ctx, limit, begin)
			}
			_, err := w.open().Admit(t.Context(), c0)
			refused(t, err, c.code)
		})
	}
	w := newWorld(t)
	w.publish("policy", rehearsing(within50))
	p, err := w.open().Admit(t.Context(), rehearsed(changing(3)))
	must(t, err)
	must(t, p.Stands(false))
	w.publish("policy", rehearsing(within50+another))
	refused(t, p.Stands(false), refusal.StateChanged)
}

// Many small commands are one large one, over all sessions of a run.
func TestRedteam21_ManySmallRunsAreCountedTogether(t *testing.T) {
	w := newWorld(t)
	w.publish("policy", rehearsing("    rehearsal: allow\n    approve_if: rehearsal.rows <= 50 && rehearsal.total <= 120\n"))
	admit := func() (seam.Permit, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			select {
			case <-w.requests:
				cancel()
			case <-ctx.Done():
			}
		}()
		return w.open().Admit(ctx, rehearsed(changing(50)))
	}
	first, err := admit()
	must(t, err)
	second, err := admit()
	must(t, err)
	third, err := admit() // before the others have run
	must(t, err)
	for _, p := range []seam.Permit{first, second} {
		check, _ := p.Check()
		must(t, check(changing(50)))
	}
	check, _ := third.Check()
	refused(t, check(changing(50)), refusal.RunExceeded)
	must(t, check(changing(20)))
	_, err = admit()
	refused(t, err, refusal.ApprovalCancelled) // a person was asked
}
