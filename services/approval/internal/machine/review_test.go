package machine

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// In any order of commands (told twice, and late), verdicts and closings: each
// command is counted once, what passed after a closing is open again with no verdict
// left, and a transition changes its own copy only.
func TestAReviewCountsEachCommandOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
		r := &eventv1.ApprovalRequest{
			Id: "apr_1", SessionId: "ses_1", CommandId: "cmd_1", Reason: "INC-1", RequestedAt: timestamppb.New(now), BreakGlass: &eventv1.BreakGlass{Uses: 200},
		}
		raw, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		st := New("gw1", raw, r, now)
		st.Break(r, now)
		seen := map[uint32]bool{1: true}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			before, err := json.Marshal(st)
			if err != nil {
				t.Fatal(err)
			}
			next := st.Clone()
			now = now.Add(time.Second)
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				n := rapid.Uint32Range(1, 150).Draw(t, "number")
				closed := next.Status == Reviewed
				if next.Used(&eventv1.ApprovalUse{CommandId: fmt.Sprint("cmd_", n), SessionId: "ses_1", Number: n}, now) == seen[n] {
					t.Fatalf("command %d: seen before is %v", n, seen[n])
				}
				if !seen[n] && (next.Status != InReview || closed && len(next.Glass.Verdicts) > 0) {
					t.Fatalf("a command passed, and it is %s with %v", next.Status, next.Glass.Verdicts)
				}
				seen[n] = true
			case 2:
				v := rapid.SampledFrom([]string{Justified, Unjustified}).Draw(t, "verdict")
				if next.Status == InReview {
					next.Review(Verdict{Person: rapid.SampledFrom([]string{"dana", "kim"}).Draw(t, "person"), Verdict: v, Note: "n", At: now})
				}
			case 3:
				if next.Status == InReview && len(next.Glass.Verdicts) > 0 {
					next.Close(now)
				}
			}
			if after, err := json.Marshal(st); err != nil || string(after) != string(before) {
				t.Fatalf("a transition changed the state that it began with:\n%s\n%s", before, after)
			}
			st = next
			if int(st.Glass.Count) != len(seen) || len(st.Glass.Commands) != min(len(seen), MaxTold) || len(st.Glass.Verdicts) > 2 {
				t.Fatalf("%d commands of %d, %d verdicts", st.Glass.Count, len(seen), len(st.Glass.Verdicts))
			}
			unjust := false
			for _, v := range st.Glass.Verdicts {
				unjust = unjust || v.Verdict == Unjustified
			}
			if st.Status == Reviewed && (st.Glass.Verdict == Unjustified) != unjust || st.Status == InReview && st.Glass.Verdict != "" {
				t.Fatalf("%s as %q, of %v", st.Status, st.Glass.Verdict, st.Glass.Verdicts)
			}
			if st.Settled() {
				t.Fatal("it is forgotten before the gateways know")
			}
		}
	})
}
