package message

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/slack-go/slack"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/passkey"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

var update = flag.Bool("update", false, "write the golden files")

type nobody struct{}

func (nobody) Person(string) (string, bool) { return "", false }

func (nobody) Accounts(name string) []string { return []string{"oidc:" + name + "@x"} }

func (nobody) Passkeys(string) (passkey.RelyingParty, []passkey.Key) {
	return passkey.RelyingParty{}, nil
}

func (nobody) OnCall(string, time.Time) []string { return nil }

func (nobody) StandsFor(string, time.Time) []string { return nil }

func (nobody) Approvers(*eventv1.Approvers, []string, time.Time) string { return "" }

var began = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func request() *eventv1.ApprovalRequest {
	return &eventv1.ApprovalRequest{
		Id: "apr_01JDEXAMPLE0000000000000000", Gateway: "gw1", SessionId: "s", CommandId: "c", Target: "prod-db", Database: "shop", Environment: "production",
		Principal: &eventv1.Principal{Preset: "github-actions", Repository: "acme/shop", Job: "deploy", RunId: "4711", Ref: "refs/heads/main", Actor: "riley", Url: "https://ci.example/runs/4711"},
		Rule:      "migrations-need-a-click", RuleDescription: "Writes by the deploy job wait for the database owners.", PolicyVersion: 3,
		Approvers: &eventv1.Approvers{SlackUsers: []string{"U0DANA"}, Persons: []string{"kim"}, Count: 1},
		Verb:      "update", Objects: []*eventv1.Object{{Schema: "public", Name: "customers", Access: "write"}},
		Statement: "UPDATE customers\n   SET plan = $1", Parameters: []string{"'pro'"}, Reason: "backfill plans",
		Warnings: []string{"no WHERE clause: every row of the table is affected"}, RequestedAt: timestamppb.New(began), Deadline: timestamppb.New(began.Add(15 * time.Minute)),
	}
}

type helper interface{ Helper() }

func input(t helper, r *eventv1.ApprovalRequest, change func(*machine.State)) Input {
	t.Helper()
	st := machine.New("gw1", nil, r, began)
	if change != nil {
		change(st)
	}
	attainable := electorate.Tally{Counted: []electorate.Voter{{}, {}}, Needed: int(max(r.GetApprovers().GetCount(), 1))}
	tally := electorate.Tally{Needed: int(max(r.GetApprovers().GetCount(), 1))}
	for range st.Approving() {
		tally.Counted = append(tally.Counted, electorate.Voter{})
	}
	return Input{State: st, Request: r, People: nobody{}, Tally: tally, Attainable: attainable}
}

func render(t *testing.T, r *eventv1.ApprovalRequest, change func(*machine.State)) Content {
	t.Helper()
	c, err := Render(input(t, r, change))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestGolden keeps the message of each state, as Slack gets it.
func TestGolden(t *testing.T) {
	ended := func(s machine.Status, why string, votes ...machine.Vote) func(*machine.State) {
		return func(st *machine.State) {
			st.Status, st.Why, st.Votes, st.Ended = s, why, votes, began.Add(3*time.Minute)
		}
	}
	yes := machine.Vote{Person: "dana", Account: "slack:U0DANA", Vote: approval.Approve, Via: "slack", Counted: true}
	offering := request()
	offering.Offer = &eventv1.Offer{Scopes: []string{"run", "job"}, Uses: 20, Life: durationpb.New(time.Hour)}
	returned := request()
	returned.Offer, returned.Returned = &eventv1.Offer{Scopes: []string{"return"}, Uses: 20, Life: durationpb.New(90 * time.Minute)}, true
	granted := func(g machine.Grant) func(*machine.State) {
		return func(st *machine.State) {
			ended(machine.Approved, "", yes)(st)
			st.Grant = &g
		}
	}
	until := began.Add(time.Hour)
	measured := request()
	measured.Radius = &eventv1.Radius{
		Planned: []*eventv1.Effect{{Verb: "update", Relation: "public.customers", Rows: 1187}}, Unfiltered: true,
		Sizes:       []*eventv1.Size{{Relation: "public.customers", Rows: 1187, Bytes: 400 << 10}},
		Transaction: &eventv1.OpenTransaction{Since: timestamppb.New(began.Add(-14 * time.Second)), Locks: 3, Strongest: "ROW EXCLUSIVE", On: "public.orders"},
	}
	rehearsed := request()
	rehearsed.Radius = &eventv1.Radius{Rehearsal: &eventv1.Rehearsal{
		Changed: []*eventv1.Effect{{Verb: "update", Relation: "public.customers", Rows: 64}, {Verb: "delete", Relation: "public.carts", Rows: 3}}, Duration: durationpb.New(12 * time.Millisecond), Bound: "rehearsal.rows <= 50",
		Sample: &eventv1.RowSample{Relation: "public.customers", Columns: []string{"id", "tier", "email"}, Rows: []*eventv1.RowPair{
			{Before: []string{`"7"`, `"*standard*"`, "(masked)"}, After: []string{`"7"`, `"<@U0DANA>"`, "(masked)"}},
		}},
	}}
	two := request()
	two.Approvers.Count = 2
	long := request()
	long.Statement = strings.Repeat("SELECT 'a rather long line of some statement';\n", 400)
	for name, c := range map[string]struct {
		r      *eventv1.ApprovalRequest
		change func(*machine.State)
	}{
		"waiting":    {request(), nil},
		"measured":   {measured, nil},
		"rehearsed":  {rehearsed, nil},
		"one_of_two": {two, func(st *machine.State) { st.Votes = []machine.Vote{yes} }},
		"too_long":   {long, nil},
		"approved":   {request(), ended(machine.Approved, "", yes)},
		"void": {request(), func(st *machine.State) {
			ended(machine.Approved, "", yes)(st)
			st.Void = approval.ClientGone
		}},
		"denied":   {request(), ended(machine.Denied, "", machine.Vote{Person: "kim", Account: "oidc:kim@x", Vote: approval.Deny, Via: "cli", Reason: "wrong *table*"})},
		"offering": {offering, nil},
		"returned": {returned, nil},
		"granted":  {offering, granted(machine.Grant{Scope: "run", Uses: 20, Expires: until})},
		"revoked":  {offering, granted(machine.Grant{Scope: "job", Uses: 20, Expires: until, Revoked: began.Add(9 * time.Minute), By: "kim", Over: true})},
		"over":     {offering, granted(machine.Grant{Scope: "run", Uses: 20, Expires: until, Over: true})},
		"ran": {request(), func(st *machine.State) {
			ended(machine.Approved, "", yes)(st)
			st.Latest = &machine.Run{Command: "c", Status: "ok", Rows: 1200, Duration: 34200 * time.Microsecond}
		}},
		"failed": {offering, func(st *machine.State) {
			granted(machine.Grant{Scope: "run", Uses: 20, Expires: until})(st)
			st.Latest = &machine.Run{Command: "c", Status: "error", Code: "23505", Message: "duplicate *key*", Duration: 2345678, Uses: 3}
		}},
		"expired":   {request(), ended(machine.Expired, "")},
		"cancelled": {request(), ended(machine.Cancelled, approval.RuleChanged)},
	} {
		t.Run(name, func(t *testing.T) {
			got := render(t, c.r, c.change)
			raw, err := json.MarshalIndent(map[string]any{"text": got.Text, "blocks": got.Blocks, "approvable": got.Approvable}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != string(raw)+"\n" {
				t.Errorf("differs from %s (run with -update and read the difference):\n%s", path, raw)
			}
		})
	}
}

func TestEarlierDecisionsAreNamed(t *testing.T) {
	in := input(t, request(), nil)
	in.Earlier = []Earlier{
		{Status: machine.Denied, By: []string{"*kim*"}, At: began.Add(-time.Hour)},
		{Status: machine.Approved, By: []string{"dana", "sam"}, At: began.Add(-24 * time.Hour)},
	}
	c, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(texts(c), "\n")
	for _, want := range []string{":no_entry: denied by `*kim*`", ":white_check_mark: approved by dana and sam", "|2026-11-24 11:00 UTC>"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

// texts returns every text of a message that Slack reads as markup.
func texts(c Content) []string {
	var out []string
	for _, b := range c.Blocks {
		switch b := b.(type) {
		case *slack.SectionBlock:
			if b.Text != nil {
				out = append(out, b.Text.Text)
			}
			for _, f := range b.Fields {
				out = append(out, f.Text)
			}
		case *slack.ContextBlock:
			for _, e := range b.ContextElements.Elements {
				out = append(out, e.(*slack.TextBlockObject).Text)
			}
		}
	}
	return out
}

// codeOf joins what the code blocks show, with Slack's entities undone.
func codeOf(c Content) string {
	var b strings.Builder
	for _, s := range texts(c) {
		_, rest, ok := strings.Cut(s, "```\n")
		if !ok {
			continue
		}
		b.WriteString(strings.TrimSuffix(rest, "\n```") + "\n")
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.String())
}

func TestRedteam21_TricksInTheStatement(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"bidirectional":         {"SELECT 1; --\u202e ;elbat PORD", "SELECT 1; --‹U+202E› ;elbat PORD"},
		"zero width":            {"DR\u200bOP TABLE x", "DR‹U+200B›OP TABLE x"},
		"end of the code block": {"SELECT 1 ``` *approved by dana* ```", "SELECT 1 ``‹U+0060› *approved by dana* ``‹U+0060›"},
		"a backtick at the end": {"SELECT `", "SELECT `\n"},
		"Slack's links":         {"SELECT '<https://evil.example|harmless>'", "SELECT '<https://evil.example|harmless>'"},
		"mentions":              {"SELECT '<!channel> <@U0DANA>'", "SELECT '<!channel> <@U0DANA>'"},
		"blank lines":           {"SELECT 1;" + strings.Repeat("\n", 5000) + "DROP TABLE x", "SELECT 1;\n‹4999 blank lines›\nDROP TABLE x"},
		"blank lines of spaces": {"SELECT 1;" + strings.Repeat("\n \t", 5000) + "\nDROP TABLE x", "blank lines›\nDROP TABLE x"},
		"a wide gap":            {"SELECT 1;" + strings.Repeat(" ", 3000) + "DROP TABLE x", "SELECT 1; ‹3000 spaces› DROP TABLE x"},
		"a wide gap of tabs":    {"SELECT 1;" + strings.Repeat("\t", 90) + "DROP TABLE x", "SELECT 1; ‹90 spaces› DROP TABLE x"},
		"carriage return":       {"DROP TABLE x;\rSELECT 1;    ", "DROP TABLE x;‹U+000D›SELECT 1;"},
		"terminal escapes":      {"SELECT '\x1b[2J'", "SELECT '‹U+001B›[2J'"},
		"invisible letters":     {"SELECT '\u3164\u2800'", "SELECT '‹U+3164›‹U+2800›'"},
		"nothing at all":        {" \n ", "‹empty›"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request()
			r.Statement = c.statement
			got := render(t, r, nil)
			if !strings.Contains(codeOf(got), c.want) {
				t.Errorf("got %q", codeOf(got))
			}
			if !got.Approvable {
				t.Error("not approvable though all of it is shown")
			}
			for _, s := range texts(got) {
				if strings.Count(s, "```")%2 != 0 {
					t.Errorf("a code block is open: %q", s)
				}
			}
		})
	}
}

func TestRedteam21_LookAlikesAreSpeltOut(t *testing.T) {
	r := request()
	r.Statement = "DELETE FROM p\u0430yments"
	r.Objects = []*eventv1.Object{{Schema: "public", Name: "p\u0430yments"}}
	all := strings.Join(texts(render(t, r, nil)), "\n")
	if !strings.Contains(all, "looks like another name: `p‹U+0430›yments`") {
		t.Fatalf("got %s", all)
	}
}

// Foreign text outside the code blocks is no markup.
func TestRedteam21_TricksInTheWords(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*eventv1.ApprovalRequest)
		want   string
	}{
		"bold reason":         {func(r *eventv1.ApprovalRequest) { r.Reason = "*Approved* by security" }, "*Reason*\n`*Approved* by security`"},
		"reason with newline": {func(r *eventv1.ApprovalRequest) { r.Reason = "x\n:white_check_mark: *Approved* by <@U0CEO>" }, "`x⏎:white_check_mark: *Approved* by &lt;@U0CEO&gt;`"},
		"reason with link":    {func(r *eventv1.ApprovalRequest) { r.Reason = "see <https://evil.example|the docs>" }, "`see &lt;https://evil.example|the docs&gt;`"},
		"reason with code":    {func(r *eventv1.ApprovalRequest) { r.Reason = "a` *b* `c" }, "`a‹U+0060› *b* ‹U+0060›c`"},
		"job":                 {func(r *eventv1.ApprovalRequest) { r.Principal.Job = "deploy|*by dana*>" }, "`job deploy|*by dana*&gt; of acme/shop, run 4711, on main, started by riley` (<https://ci.example/runs/4711|open>)"},
		"url of a script":     {func(r *eventv1.ApprovalRequest) { r.Principal.Url = "javascript:alert(1)" }, "job deploy of acme/shop, run 4711, on main, started by riley\nwants"},
		"url with a user":     {func(r *eventv1.ApprovalRequest) { r.Principal.Url = "https://ci.example@evil.example/" }, "job deploy of acme/shop, run 4711, on main, started by riley\nwants"},
		"url that ends early": {func(r *eventv1.ApprovalRequest) { r.Principal.Url = "https://ci.example/a>|<!channel" }, "<https://ci.example/a%3E%7C%3C%21channel|job"},
		"target":              {func(r *eventv1.ApprovalRequest) { r.Target = "prod* and *more" }, "on *`prod* and *more`*"},
		"rule":                {func(r *eventv1.ApprovalRequest) { r.Rule = "a`b" }, "`a‹U+0060›b`"},
		"warning":             {func(r *eventv1.ApprovalRequest) { r.Warnings = []string{"_safe_"} }, ":warning: `_safe_`"},
		"approver's id":       {func(r *eventv1.ApprovalRequest) { r.Approvers.SlackUsers = []string{"U0|x> <!channel"} }, "`U0|x&gt; &lt;!channel`"},
		"agent": {func(r *eventv1.ApprovalRequest) {
			r.Principal.Agent = "coder"
			r.Principal.Asserted = []string{"agent"}
		}, "agent coder (unverified)"},
		"emoji":     {func(r *eventv1.ApprovalRequest) { r.Reason = ":white_check_mark:" }, "`:white_check_mark:`"},
		"no reason": {func(r *eventv1.ApprovalRequest) { r.Reason = " " }, "*Reason*\n_none given_"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request()
			c.change(r)
			all := strings.Join(texts(render(t, r, nil)), "\n")
			if !strings.Contains(all, c.want) {
				t.Errorf("got %s", all)
			}
			if strings.Contains(all, "<!channel") || strings.Contains(all, "<https://evil") || strings.Contains(all, "<@U0CEO>") {
				t.Errorf("markup came through: %s", all)
			}
		})
	}
}

func TestDeniersReasonIsForeignToo(t *testing.T) {
	c := render(t, request(), func(st *machine.State) {
		st.Status, st.Ended = machine.Denied, began
		st.Votes = []machine.Vote{{Person: "kim", Account: "slack:U0KIM", Vote: approval.Deny, Reason: "<!here> *no*", Via: "slack"}}
	})
	if all := strings.Join(texts(c), "\n"); !strings.Contains(all, "*Denied* by <@U0KIM> — `&lt;!here&gt; *no*`") {
		t.Fatalf("got %s", all)
	}
}

// Whatever a request holds: Slack takes the message; nothing in it is hidden;
// and where it offers Approve, all of the statement is there.
func TestAnyRequestFitsSlack(t *testing.T) {
	alphabet := []string{"a", "B", " ", "\n", "\t", "<", ">", "&", "`", "```", "*", "_", "~", ":", "|", "é", "日", "😀", "\u202e", "\u200b", "\x00", "SELECT ", strings.Repeat(" ", 30), strings.Repeat("\n", 5), strings.Repeat("x", 700)}
	text := func(t *rapid.T, name string, n int) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, n).Draw(t, name), "")
	}
	rapid.Check(t, func(t *rapid.T) {
		r := request()
		r.Statement, r.Reason, r.Rule, r.RuleDescription = text(t, "statement", 60), text(t, "reason", 12), text(t, "rule", 2), text(t, "description", 6)
		r.Principal.Job, r.Principal.Url, r.Target, r.Verb = text(t, "job", 4), "https://x/"+text(t, "url", 3), text(t, "target", 2), text(t, "verb", 2)
		for range rapid.IntRange(0, 30).Draw(t, "parameters") {
			r.Parameters = append(r.Parameters, text(t, "parameter", 6))
		}
		for range rapid.IntRange(0, 20).Draw(t, "warnings") {
			r.Warnings = append(r.Warnings, text(t, "warning", 4))
		}
		r.Radius = &eventv1.Radius{Unseen: text(t, "unseen", 4), Transaction: &eventv1.OpenTransaction{Locks: 1, Strongest: "SHARE", On: text(t, "on", 4)}}
		for range rapid.IntRange(0, 5).Draw(t, "planned") {
			r.Radius.Planned = append(r.Radius.Planned, &eventv1.Effect{Verb: "delete", Relation: text(t, "relation", 4), Rows: 7})
		}
		sample := &eventv1.RowSample{Relation: text(t, "sampled", 4), Columns: []string{"id", text(t, "column", 4)}}
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			sample.Rows = append(sample.Rows, &eventv1.RowPair{Before: []string{"1", text(t, "before", 4)}, After: []string{"1", text(t, "after", 4)}})
		}
		r.Radius.Rehearsal = &eventv1.Rehearsal{
			Changed: []*eventv1.Effect{{Verb: "update", Relation: text(t, "changed", 4), Rows: 7}}, Sample: sample, Bound: text(t, "bound", 4), Unsampled: text(t, "unsampled", 4),
		}
		c, err := Render(input(t, r, nil))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Blocks) > 50 {
			t.Fatalf("%d blocks", len(c.Blocks))
		}
		if h := c.Blocks[0].(*slack.HeaderBlock).Text.Text; h == "" || units(h) > 150 {
			t.Fatalf("header of %d", units(h))
		}
		for _, s := range texts(c) {
			if n := units(s); n == 0 || n > 3000 {
				t.Fatalf("a text of %d: %.100q", n, s)
			}
			for _, ch := range s {
				if ch != '\n' && ch != '\t' && (unicode.IsControl(ch) || unicode.Is(unicode.Cf, ch)) {
					t.Fatalf("%U is in %q", ch, s)
				}
			}
			if strings.Count(s, "```")%2 != 0 {
				t.Fatalf("a code block is open: %q", s)
			}
		}
		if !c.Approvable {
			return
		}
		shown := strings.ReplaceAll(codeOf(c), "\n", "")
		want := strings.ReplaceAll(strings.ReplaceAll(Reveal(r.Statement), "```", "``‹U+0060›"), "\n", "")
		if strings.TrimSpace(want) != "" && !strings.HasPrefix(shown, want) {
			t.Fatalf("shown %q of %q", shown, want)
		}
		for i, p := range r.Parameters {
			line := fmt.Sprintf("$%d = %s", i+1, approval.Visible(p))
			if line = strings.ReplaceAll(Reveal(line), "```", "``‹U+0060›"); !strings.Contains(shown, line) {
				t.Fatalf("parameter %d is missing: %q in %q", i+1, line, shown)
			}
		}
	})
}

func TestApprovableIsWhatTheMessageSays(t *testing.T) {
	for _, n := range []int{1, 100, 119, 121, 500} {
		r := request()
		r.Statement = strings.Repeat("SELECT 1;\n", n)
		if Approvable(r) != render(t, r, nil).Approvable {
			t.Errorf("%d lines: the vote and the message disagree", n)
		}
	}
}

func TestContentIDFollowsTheContent(t *testing.T) {
	a, b := render(t, request(), nil), render(t, request(), nil)
	r := request()
	r.Reason = "another"
	if a.ID != b.ID || a.ID == render(t, r, nil).ID {
		t.Fatal("the id does not follow the content")
	}
}

// An approver is told what stands in a value's place.
func TestWithheldValuesAreExplained(t *testing.T) {
	explained := func(change func(*eventv1.ApprovalRequest)) bool {
		r := request()
		change(r)
		c := render(t, r, nil)
		raw, err := json.Marshal(c.Blocks)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(raw), "Equal tags are equal values")
	}
	for name, c := range map[string]struct {
		change func(*eventv1.ApprovalRequest)
		want   bool
	}{
		"nothing is withheld": {func(*eventv1.ApprovalRequest) {}, false},
		"in the statement":    {func(r *eventv1.ApprovalRequest) { r.Statement = "UPDATE t SET email = '‹text 22 #075ec6›'" }, true},
		"in a parameter":      {func(r *eventv1.ApprovalRequest) { r.Parameters = []string{"‹number 4 #0a0a0a›"} }, true},
		"a control character": {func(r *eventv1.ApprovalRequest) { r.Statement = "SELECT '‹U+202E›'" }, false},
	} {
		if got := explained(c.change); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
