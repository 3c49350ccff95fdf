package store

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	schema "github.com/gatestay/gatestay/schemas/clickhouse"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

var began = time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)

// tale makes the records of sessions as a gateway and the approval service do.
type tale struct {
	principal *eventv1.Principal
	session   string
	sequence  uint64
	at        time.Time
	records   []*eventv1.Record
	approvals []*eventv1.Record
}

func newTale(session, repository string) *tale {
	return &tale{
		session: session, at: began,
		principal: &eventv1.Principal{Issuer: "https://ci.example", Subject: "repo:" + repository, Repository: repository, RepositoryId: "id of " + repository, RunId: "77", Actor: "kim", Agent: "fixer"},
	}
}

func (s *tale) add(r *eventv1.Record) *eventv1.Record {
	s.sequence++
	s.at = s.at.Add(time.Second)
	r.Id, r.Time = fmt.Sprintf("%s-%02d", s.session, s.sequence), timestamppb.New(s.at)
	r.SessionId, r.SessionSequence, r.TraceId, r.Principal = s.session, s.sequence, "trace of "+s.session, s.principal
	r.Target, r.Database, r.Protocol, r.Reason = "prod-db", "shop", "postgres", "ticket 12"
	s.records = append(s.records, r)
	return r
}

func (s *tale) event(kind eventv1.Kind, action string) {
	s.add(&eventv1.Record{Kind: kind, Action: action, Details: map[string]string{"remote": "10.0.0.7:5000"}})
}

func (s *tale) intent(id, statement, effect string) *eventv1.Record {
	return s.add(&eventv1.Record{
		Kind: eventv1.Kind_KIND_INTENT, CommandId: s.session + id, Verb: strings.ToLower(strings.Fields(statement)[0]), Class: "write", Statement: statement, Effect: effect, Rule: "a-rule",
		Objects: []*eventv1.Object{{Schema: "public", Name: "customers", Access: "write"}},
	})
}

func (s *tale) outcome(id, status string, rows int64) *eventv1.Record {
	return s.add(&eventv1.Record{Kind: eventv1.Kind_KIND_OUTCOME, CommandId: s.session + id, Status: status, Rows: rows, MaskedCells: rows, DurationNs: 5e6})
}

// ask makes the record of an approval's request.
func (s *tale) ask(id, approval, statement string) {
	s.step(id, approval, "requested", 100*time.Millisecond, &eventv1.Record{
		Actor: "gateway/gw1", Statement: statement, Reason: "ticket 12", Verb: strings.ToLower(strings.Fields(statement)[0]), Class: "write",
		Objects: []*eventv1.Object{{Schema: "public", Name: "customers", Access: "write"}},
	})
}

// approve makes the records of an approval by dana.
func (s *tale) approve(id, approval string) {
	s.step(id, approval, "voted", 2*time.Second, &eventv1.Record{Actor: "dana", Reason: "fine", Details: map[string]string{"vote": "approve", "via": "slack"}})
	s.step(id, approval, "decided", 2100*time.Millisecond, &eventv1.Record{Actor: "approval", Outcome: "approved", Approvers: []string{"dana"}})
}

func (s *tale) step(id, approval, action string, after time.Duration, r *eventv1.Record) {
	r.Id, r.Kind, r.Action, r.ApprovalId, r.SessionId, r.CommandId = approval+action, eventv1.Kind_KIND_APPROVAL, action, approval, s.session, s.session+id
	r.Time, r.Principal, r.Target, r.Rule = timestamppb.New(s.at.Add(after)), s.principal, "prod-db", "a-rule"
	s.approvals = append(s.approvals, r)
}

// told fills a store with four sessions: one whole, one cut off by the end of
// its gateway, one still open, one refused.
func told(t *testing.T) *Store {
	t.Helper()
	s, w := newStore(t), newWorld(t)

	whole := newTale("ses_whole", "acme/shop")
	whole.event(eventv1.Kind_KIND_SESSION_OPENED, "")
	whole.intent("1", "SELECT email FROM customers", "allow")
	whole.outcome("1", "ok", 4)
	whole.ask("2", "apr_1", "UPDATE customers SET vip = true")
	whole.approve("2", "apr_1")
	held := whole.intent("2", "UPDATE customers SET vip = true", "hold")
	held.ApprovalId, held.Approvers, held.WaitNs = "apr_1", []string{"dana"}, 2e9
	whole.outcome("2", "ok", 6)
	whole.intent("3", "DROP TABLE customers", "deny")
	refused := whole.outcome("3", "refused", 0)
	refused.Code, refused.Message = "GS1201", "denied by rule"
	whole.intent("4", "DELETE FROM customers", "allow") // its outcome never came
	whole.event(eventv1.Kind_KIND_SESSION_CLOSED, "client left")

	cut := newTale("ses_cut", "acme/jobs")
	cut.event(eventv1.Kind_KIND_SESSION_OPENED, "")
	cut.intent("1", "UPDATE customers SET cut = true", "allow")

	open := newTale("ses_open", "acme/jobs")
	open.event(eventv1.Kind_KIND_SESSION_OPENED, "")
	open.intent("1", "UPDATE customers SET open = true", "allow")
	open.ask("2", "apr_2", "TRUNCATE customers") // nobody has decided yet

	no := newTale("ses_no", "evil/fork")
	no.event(eventv1.Kind_KIND_SESSION_REFUSED, "")
	no.records[0].Status, no.records[0].Code, no.records[0].Message = "refused", "GS1108", "no rule lets this principal in"

	admin := []*eventv1.Record{
		{Id: "a1", Time: timestamppb.New(began), Kind: eventv1.Kind_KIND_ADMIN, Action: "bundle.published", Actor: "file watch", PolicyVersion: 3},
		{Id: "f1", Time: timestamppb.New(began), Kind: eventv1.Kind_KIND_FINDING, Action: "policy.never", Actor: "policy", Message: "a rule that never applies"},
	}
	g := &Group{Items: []*intake.Item{
		w.item("01A", 1, cut.records...),
		w.item("01B", 1, whole.records[:4]...), w.item("01B", 2, whole.records[4:]...), w.item("01B", 3, open.records...), w.item("01B", 4, no.records...),
		w.itemOf("approval/steps", "audit.admin.approval.steps", "apr_1", 1, whole.approvals...),
		w.itemOf("approval/steps", "audit.admin.approval.steps", "apr_2", 1, open.approvals...),
		w.itemOf("policy/1", "audit.admin.policy.1", "01P", 1, admin...),
	}}
	if err := s.Insert(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSearch(t *testing.T) {
	s := told(t)
	every := []string{"DELETE", "DROP", "UPDATE", "SELECT"} // of the whole session, newest first
	for name, c := range map[string]struct {
		filter Filter
		want   []string // first words of the statements
	}{
		"by principal: repository": {Filter{Principal: "acme/shop"}, every},
		"by principal: actor":      {Filter{Principal: "kim", Text: "vip"}, []string{"UPDATE"}},
		"by principal: agent":      {Filter{Principal: "fixer", Text: "vip"}, []string{"UPDATE"}},
		"by repository's id":       {Filter{Repository: "id of acme/shop"}, every},
		"by an unknown repository": {Filter{Repository: "acme"}, nil},
		"by target":                {Filter{Target: "prod-db", Repository: "acme/shop"}, every},
		"by another target":        {Filter{Target: "other"}, nil},
		"by object":                {Filter{Object: "customers", Repository: "acme/shop"}, every},
		"by qualified object":      {Filter{Object: "public.customers", Repository: "acme/shop"}, every},
		"by another schema":        {Filter{Object: "audit.customers"}, nil},
		"decided to hold":          {Filter{Verdict: "hold"}, []string{"UPDATE", "TRUNCATE"}},
		"held now":                 {Filter{Verdict: "held"}, []string{"TRUNCATE"}},
		"held now, by its text":    {Filter{Text: "truncate", Object: "public.customers", Repository: "acme/jobs"}, []string{"TRUNCATE"}},
		"running":                  {Filter{Verdict: "running", Text: "open = true"}, []string{"UPDATE"}},
		"denied":                   {Filter{Verdict: "deny"}, []string{"DROP"}},
		"refused":                  {Filter{Verdict: "refused"}, []string{"DROP"}},
		"ended well":               {Filter{Verdict: "ok"}, []string{"UPDATE", "SELECT"}},
		"without outcome":          {Filter{Verdict: "unknown", Repository: "acme/shop"}, []string{"DELETE"}},
		"text in any case":         {Filter{Text: "drop TABLE"}, []string{"DROP"}},
		"text inside a word":       {Filter{Text: "ustome", Repository: "acme/shop"}, every},
		"text of the reason":       {Filter{Text: "TICKET 12", Repository: "acme/shop"}, every},
		"since":                    {Filter{Repository: "acme/shop", Since: began.Add(5 * time.Second)}, []string{"DELETE", "DROP"}},
		"until":                    {Filter{Repository: "acme/shop", Until: began.Add(5 * time.Second)}, []string{"UPDATE", "SELECT"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.filter.Limit = 50
			found, more, err := s.Search(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, f := range found {
				words = append(words, strings.Fields(f.Statement)[0])
			}
			if diff := cmp.Diff(c.want, words); diff != "" || more != nil {
				t.Errorf("more %v, diff (-want +got):\n%s", more, diff)
			}
		})
	}
}

func TestSearch_tellsHowCommandsEnded(t *testing.T) {
	s := told(t)
	found, _, err := s.Search(t.Context(), Filter{Object: "customers", Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range found {
		got[c.CommandID] = c.Status
	}
	want := map[string]string{
		"ses_whole1": "ok", "ses_whole2": "ok", "ses_whole3": "refused", "ses_whole4": "unknown", // its session has closed
		"ses_cut1":  "unknown", // its gateway has begun a new life
		"ses_open1": "running",
		"ses_open2": "held",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	viewed := map[string]string{}
	rows, err := s.conn.Query(t.Context(), "SELECT command_id, status FROM commands")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, status string
		if err := rows.Scan(&id, &status); err != nil {
			t.Fatal(err)
		}
		viewed[id] = status
	}
	if diff := cmp.Diff(want, viewed); diff != "" {
		t.Errorf("the view says otherwise (-want +got):\n%s", diff)
	}
}

func TestSearch_page(t *testing.T) {
	s := told(t)
	var all []string
	f := Filter{Object: "customers", Limit: 2}
	for pages := 0; ; pages++ {
		found, more, err := s.Search(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			all = append(all, c.ID)
		}
		if more == nil {
			break
		}
		if f.After = *more; pages > 10 {
			t.Fatal("no end")
		}
	}
	seen := map[string]bool{}
	for _, id := range all {
		if seen[id] {
			t.Errorf("%s twice", id)
		}
		seen[id] = true
	}
	if len(all) != 7 {
		t.Errorf("%d of 7 commands", len(all))
	}
}

func TestSession(t *testing.T) {
	s := told(t)
	story, err := s.Session(t.Context(), "ses_whole")
	if err != nil {
		t.Fatal(err)
	}
	if story.State != "closed" || story.Ended != "client left" || story.Remote != "10.0.0.7:5000" || story.Principal.Repository != "acme/shop" ||
		story.Reason != "ticket 12" || story.Missing != 0 || story.Unverified != 0 || len(story.Commands) != 4 {
		t.Errorf("got %+v", story)
	}
	c := story.Commands[1]
	if c.Effect != "hold" || c.Wait != 2 || c.Rows != 6 || c.MaskedCells != 6 || cmp.Diff([]string{"dana"}, c.Approvers) != "" {
		t.Errorf("the held command: %+v", c)
	}
	if len(story.Approvals) != 1 {
		t.Fatalf("approvals: %+v", story.Approvals)
	}
	a := story.Approvals[0]
	if a.Outcome != "approved" || len(a.Votes) != 1 || a.Votes[0].Person != "dana" || a.Votes[0].Via != "slack" || a.Ended.Sub(a.Requested) != 2*time.Second {
		t.Errorf("the approval: %+v", a)
	}
	if story, err := s.Session(t.Context(), "ses_no"); err != nil || story.State != "refused" || story.Code != "GS1108" {
		t.Errorf("the refused one: %+v, %v", story, err)
	}
	story, err = s.Session(t.Context(), "ses_open")
	if err != nil || len(story.Commands) != 2 || story.Commands[0].Status != "running" || story.Commands[1].Status != StatusHeld || story.Missing != 0 {
		t.Errorf("%v: %+v", err, story)
	}
	if _, err := s.Session(t.Context(), "ses_none"); !errors.Is(err, ErrNoSession) {
		t.Errorf("an unknown one: %v", err)
	}
}

// A record taken out of the store leaves a gap in its session's numbers.
func TestRedteam17_RemovedRowShows(t *testing.T) {
	s := told(t)
	if err := s.conn.Exec(t.Context(), "DELETE FROM records WHERE command_id = 'ses_whole3'"); err != nil {
		t.Fatal(err)
	}
	story, err := s.Session(t.Context(), "ses_whole")
	if err != nil || story.Missing != 2 {
		t.Fatalf("%v: %d missing, want 2", err, story.Missing)
	}
}

var parameter = regexp.MustCompile(`\{(\w+):(\w+)\}`)

// Each named query runs as it is and finds what it promises.
func TestQueries(t *testing.T) {
	s := told(t)
	values := map[string]string{"object": "public.customers", "session": "ses_whole", "repository": "acme/shop", "since": began.Add(-time.Minute).Format("2006-01-02 15:04:05")}
	want := map[string]string{ // something that the answer must hold
		"who_did_what.sql": "UPDATE customers SET vip = true", "session.sql": "dana", "principal.sql": "public.customers", "held.sql": "dana: approve via slack",
		"denials.sql": "GS1108", "without_outcome.sql": "DELETE FROM customers", "lag.sql": "gateway/gw1", "unverified.sql": "", "manipulated.sql": "", "admin.sql": "bundle.published",
	}
	files, err := fs.ReadDir(schema.Queries, "queries")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(want) {
		t.Errorf("%d queries, %d known to this test", len(files), len(want))
	}
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) {
			raw, err := fs.ReadFile(schema.Queries, "queries/"+f.Name())
			if err != nil {
				t.Fatal(err)
			}
			text := string(raw)
			if !strings.HasPrefix(text, "-- ") || !strings.Contains(text, "-- Parameters: ") || !strings.Contains(text, "-- clickhouse client --") {
				t.Error("it does not begin by saying what it answers, its parameters and how to run it")
			}
			var args []any
			given := map[string]bool{}
			for _, m := range parameter.FindAllStringSubmatch(text, -1) {
				if !given[m[1]] {
					args = append(args, clickhouse.Named(m[1], values[m[1]]))
					given[m[1]] = true
				}
				if !strings.Contains(text, "--param_"+m[1]+"=") {
					t.Errorf("how to run it does not give %s", m[1])
				}
			}
			sql := strings.TrimSuffix(strings.TrimSpace(strings.ReplaceAll(text, "gatestay.", s.options.Auth.Database+".")), ";")
			rows, err := s.conn.Query(t.Context(), "SELECT toString(tuple(*)) FROM ("+sql+")", args...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			var all strings.Builder
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				all.WriteString(line + "\n")
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(all.String(), want[f.Name()]) || want[f.Name()] == "" && all.Len() > 0 {
				t.Errorf("want %q in:\n%s", want[f.Name()], all.String())
			}
		})
	}
}
