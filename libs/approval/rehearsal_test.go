package approval

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestMeasuredSaysWhatARehearsalHasShown(t *testing.T) {
	rows := func(verb, relation string, n uint64) *eventv1.Effect {
		return &eventv1.Effect{Verb: verb, Relation: relation, Rows: n}
	}
	columns := []string{"id", "a", "b", "c", "d", "e", "f", "g"}
	same := []string{"7", "1", "2", "3", "4", "5", "6", "7"}
	for name, c := range map[string]struct {
		r    *eventv1.Rehearsal
		want string
	}{
		"nothing allowed": {nil, ""},
		"several tables": {
			&eventv1.Rehearsal{Changed: []*eventv1.Effect{rows("delete", "public.teams", 1), rows("update", "public.people", 1200)}, Duration: durationpb.New(20 * time.Millisecond)},
			"Rehearsed, and rolled back: update 1,200 rows of public.people, delete 1 row of public.teams: 1,201 rows in all, foreign keys' included (measured, in 20 ms)",
		},
		"nothing":  {&eventv1.Rehearsal{}, "Rehearsed, and rolled back: no row changed (measured, in 0.0 ms)"},
		"unknown":  {&eventv1.Rehearsal{Unknown: "it calls f()", Bound: "rehearsal.rows <= 5"}, "Not rehearsed, so what it changes is not measured: it calls f()|Asks a person, since approve_if could not be told: rehearsal.rows <= 5"},
		"too many": {&eventv1.Rehearsal{Bound: "rehearsal.rows <= 5", Changed: []*eventv1.Effect{rows("delete", "t", 6)}}, "Rehearsed, and rolled back: delete 6 rows of t (measured, in 0.0 ms)|Asks a person, since it is not so that rehearsal.rows <= 5"},
		"a sample": {
			&eventv1.Rehearsal{Sample: &eventv1.RowSample{Relation: "public.people", Columns: []string{"id", "name", "email"}, Rows: []*eventv1.RowPair{
				{Before: []string{`"1"`, `"old"`, "(masked)"}, After: []string{`"1"`, `"new"`, "(masked)"}},
				{Before: []string{`"2"`, "NULL", "(masked)"}},
				{Before: []string{`"3"`}},
			}}},
			`Rehearsed, and rolled back: no row changed (measured, in 0.0 ms)|Changes public.people: id "1", name "old" → "new"|Deletes public.people: id "2", name NULL, email (masked)|A row of the sample is not complete`,
		},
		"wide": {
			&eventv1.Rehearsal{Unsampled: "x\u202e", Sample: &eventv1.RowSample{Relation: "t", Columns: columns, Rows: []*eventv1.RowPair{{Before: same}, {Before: same, After: same}}}},
			"Rehearsed, and rolled back: no row changed (measured, in 0.0 ms)|Deletes t: id 7, a 1, b 2, c 3, d 4, e 5 and 2 more|Changes t: id 7|No rows are shown: x‹U+202E›",
		},
	} {
		if got := strings.Join(Measured(&eventv1.ApprovalRequest{Radius: &eventv1.Radius{Rehearsal: c.r}}), "|"); got != c.want {
			t.Errorf("%s:\n%s\nnot %s", name, got, c.want)
		}
	}
	long := &eventv1.Rehearsal{Sample: &eventv1.RowSample{Relation: "t", Columns: []string{"id"}, Rows: []*eventv1.RowPair{{Before: []string{strings.Repeat("é\u202e", 500)}}}}}
	lines := Measured(&eventv1.ApprovalRequest{Radius: &eventv1.Radius{Rehearsal: long}})
	if last := lines[len(lines)-1]; len([]rune(last)) > maxRowLine+1 || strings.Contains(last, "\u202e") {
		t.Errorf("%q", last)
	}
}

// What is recorded of a request has no values of rows in it.
func TestRedteam15_ARecordHasNoSampledValue(t *testing.T) {
	r := &eventv1.ApprovalRequest{Radius: &eventv1.Radius{Rehearsal: &eventv1.Rehearsal{Sample: &eventv1.RowSample{
		Relation: "t", Columns: []string{"id"}, Rows: []*eventv1.RowPair{{Before: []string{"a-value"}}},
	}}}}
	if got := strings.Join(Radius(r), "|"); strings.Contains(got, "a-value") || !strings.Contains(strings.Join(Measured(r), "|"), "a-value") {
		t.Error(got)
	}
}
