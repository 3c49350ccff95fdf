package approval_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

func TestRadiusInWords(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	customers := []*eventv1.Size{{Relation: "public.customers", Bytes: 3 << 30, Rows: 1_234_567}}
	for name, tt := range map[string]struct {
		class string
		m     *eventv1.Radius
		want  []string
	}{
		"nothing measured": {"write", nil, nil},
		"an estimate": {
			"write", &eventv1.Radius{
				Planned: []*eventv1.Effect{{Verb: "update", Relation: "public.customers", Rows: 1187}}, Unfiltered: true, Sizes: customers,
				Transaction: &eventv1.OpenTransaction{Since: timestamppb.New(at.Add(-14 * time.Second)), Locks: 3, Strongest: "ROW EXCLUSIVE", On: "public.orders"},
			},
			[]string{
				"Plans to update about 1,200 rows of public.customers (estimate) · no WHERE · public.customers has about 1,200,000 rows in all, 3.0 GiB",
				"Open transaction since 14 s, holding 3 locks, the strongest ROW EXCLUSIVE on public.orders",
			},
		},
		"several": {
			"write", &eventv1.Radius{Planned: []*eventv1.Effect{{Verb: "delete", Relation: "a.b", Rows: 1}, {Verb: "insert", Relation: "a.c", Rows: 99}}},
			[]string{"Plans to insert about 99 rows of a.c, delete about 1 row of a.b (estimate)"},
		},
		"a read": {"read", &eventv1.Radius{Planned: []*eventv1.Effect{{Verb: "select", Rows: 1996}}}, []string{"Plans to return about 2,000 rows (estimate)"}},
		"unknown is no zero": {
			"write", &eventv1.Radius{Unknown: "it calls app.f()", Unseen: "the target takes no second connection"},
			[]string{"How many rows is unknown: it calls app.f()", "What its session holds, and how large its tables are, is not all known: the target takes no second connection"},
		},
		"never counted": {
			"write", &eventv1.Radius{Unknown: "x", Unfiltered: true, Sizes: []*eventv1.Size{{Relation: "a.b", Rows: -1}, {Relation: "a.c", Rows: -1, Bytes: 8192}}},
			[]string{"How many rows is unknown: x · no WHERE · a.c has 8.0 KiB and was never counted"},
		},
		"a definition": {
			"ddl", &eventv1.Radius{Unknown: "it is nothing that the target plans", Lock: "ACCESS EXCLUSIVE", Sizes: customers},
			[]string{"Takes a lock ACCESS EXCLUSIVE: nobody reads or writes until its transaction ends · public.customers has about 1,200,000 rows in all, 3.0 GiB"},
		},
		"a definition of something new": {"ddl", &eventv1.Radius{Unknown: "it is nothing that the target plans"}, nil},
		"a name that hides": {
			"write", &eventv1.Radius{Planned: []*eventv1.Effect{{Verb: "delete", Relation: "a.b\u202e", Rows: 5}}},
			[]string{"Plans to delete about 5 rows of a.b‹U+202E› (estimate)"},
		},
	} {
		r := &eventv1.ApprovalRequest{Class: tt.class, Radius: tt.m, RequestedAt: timestamppb.New(at)}
		if got := approval.Radius(r); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%q\n%q", name, got, tt.want)
		}
	}
}
