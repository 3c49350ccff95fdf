package session_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/refusal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/session"
)

const planRules = `
rules:
  - name: reads
    effect: allow
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "read"
  - name: writes
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [U0DANA], count: 1}
    deadline: 30s
  - name: definitions
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/shop, repository_id: "1001", repository_owner_id: "2002"}]
    when: command.class == "ddl" && command.verb != "drop table"
    approvers: {slack_users: [U0KIM], count: 1}
    deadline: 20s
`

// sql is a command as the protocol makes it of a text, in a fresh session.
func sql(t testing.TB, text string) *seam.Command {
	t.Helper()
	list, err := pgfacts.Parse(text)
	if err != nil || len(list) != 1 {
		t.Fatalf("%q: %d statements, %v", text, len(list), err)
	}
	return &seam.Command{
		Text: text, Facts: list[0].Facts, State: command.State{User: "app", SearchPath: []string{"public"}, InTransaction: 'I'},
		Canonical: func() []byte { return pgfacts.Canonical(text) }, Blanked: func() []byte { return pgfacts.Blanked(text) },
	}
}

// plans reads scripts without a target.
type plans struct{ t testing.TB }

func (p plans) Plan(_ context.Context, s seam.Session, _, _ string, _ map[string]string, scripts []seam.Script) ([]seam.Planned, error) {
	defer s.Close("planned")
	var out []seam.Planned
	for i, script := range scripts {
		list, err := pgfacts.Parse(script.Text)
		if err != nil {
			return nil, &seam.Unreadable{Script: i, Line: 1, Why: err.Error()}
		}
		for _, st := range list {
			out = append(out, seam.Planned{Command: *sql(p.t, st.Text), Script: i, Line: 1, Receives: st.Copy != nil && st.Copy.From})
		}
	}
	return out, nil
}

var steps = []string{
	"UPDATE customers SET tier = 'gold' WHERE id = 1",
	"ALTER TABLE customers ADD COLUMN vip boolean",
	"SELECT 1",
	"UPDATE customers SET tier = 'gold' WHERE id = 2",
}

func (w *world) mint(claims map[string]any) string {
	w.t.Helper()
	all := map[string]any{"repository": "acme/shop", "repository_id": "1001", "repository_owner_id": "2002", "run_id": "4711"}
	for k, v := range claims {
		all[k] = v
	}
	raw, err := w.issuer.Mint("github-actions", all)
	must(w.t, err)
	return raw
}

func (w *world) exchange(claims map[string]any, plan string) (string, error) {
	w.t.Helper()
	e, err := w.gate.Exchange(w.t.Context(), session.ExchangeRequest{Token: w.mint(claims), Target: "prod-db", Protocol: "postgres", Plan: plan})
	if err != nil {
		return "", err
	}
	return e.Credential, nil
}

// ask has a plan made.
func (w *world) ask(tool string, texts ...string) (*session.Plan, error) {
	w.t.Helper()
	w.lease()
	cred, err := w.exchange(nil, "")
	must(w.t, err)
	in := session.PlanRequest{Tool: tool}
	for _, text := range texts {
		in.Scripts = append(in.Scripts, session.Script{Source: "m.sql", Text: text})
	}
	return w.gate.Plan(w.t.Context(), cred, in, plans{w.t}, "127.0.0.1:9")
}

// planned is a decision for a plan, as the approval service makes it.
func (w *world) planned(r *request) *eventv1.ApprovalDecision {
	d := w.decision(r)
	d.Votes = append(d.Votes, &eventv1.Vote{Person: "kim", Account: "slack:U0KIM", Vote: approval.Approve, At: timestamppb.Now()})
	d.Grant = &eventv1.Grant{
		Scope: approval.ScopePlan, Digest: r.Digest, Holder: approval.Holder(approval.ScopePlan, r.Principal), Requesters: r.Requesters,
		Database: r.Database, Tag: approval.Tag(fleetKey, d.RequestHash),
	}
	d.Uses, d.ExpiresAt = uint32(len(r.Plan.Steps)), timestamppb.New(time.Now().Add(approval.PlanLife))
	return d
}

// approved has a plan made and approved, and returns its request.
func (w *world) approved(tool string, texts ...string) *request {
	w.t.Helper()
	p, err := w.ask(tool, texts...)
	must(w.t, err)
	r := <-w.requests
	if r.Id != p.ID {
		w.t.Fatalf("asked with %s, told %s", r.Id, p.ID)
	}
	w.decide(w.approvals, w.planned(r))
	return r
}

// run opens connections of one run that has a plan.
func (w *world) run(plan string, n int) []seam.Session {
	w.t.Helper()
	w.lease()
	cred, err := w.exchange(nil, plan)
	must(w.t, err)
	out := make([]seam.Session, n)
	for i := range out {
		out[i], err = w.gate.Authenticate(w.t.Context(), seam.Credentials{Protocol: "postgres", Target: "prod-db", Secret: cred, Remote: "127.0.0.1:9"})
		must(w.t, err)
		w.t.Cleanup(func() { out[i].Close("test over") })
	}
	return out
}

func planWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.publish("policy", map[string]string{"a.yaml": planRules})
	return w
}

// One approval lets the plan's statements pass, in their order and once, on
// whichever connection and however they are laid out; what is not held asks
// nobody. Each rule that holds one of them is named in the request.
func TestRedteam18_APlanPassesOnceAndInItsOrder(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", strings.Join(steps, ";\n"))
	if len(r.Plan.Steps) != 4 || len(r.Plan.Rules) != 2 || r.Verb != "plan of 4 statements, 3 held:" {
		t.Fatalf("%s: %v", r.Verb, r.Plan)
	}
	for _, text := range steps {
		if !strings.Contains(r.Statement, "\n  "+text+";") {
			t.Errorf("%q is not shown in\n%s", text, r.Statement)
		}
	}
	s := w.run(r.Id, 2)
	w.asks(s[0], sql(t, steps[1])) // out of order
	w.asks(s[0], sql(t, steps[3]))
	w.passes(s[0], sql(t, "-- step one\n"+strings.Replace(steps[0], " SET ", "\n\tSET  ", 1)+";"))
	w.asks(s[1], sql(t, steps[0])) // again
	w.passes(s[1], sql(t, steps[1]))
	w.passes(s[0], sql(t, steps[2]))
	w.passes(s[0], sql(t, steps[3]))
	for _, again := range []int{0, 1, 3} {
		w.asks(s[0], sql(t, steps[again]))
	}
	if a := w.asks(s[0], sql(t, steps[0])); !strings.Contains(strings.Join(a.Warnings, " "), "outside of the approved plan") {
		t.Errorf("its approver is not warned: %v", a.Warnings)
	}
}

// A run that failed half-way is gone on with by another of the same job, and two
// runs at once share one plan.
func TestRedteam18_AnotherRunGoesOnWhereAPlanStopped(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", steps...)
	first := w.run(r.Id, 1)[0]
	w.passes(first, sql(t, steps[0]))
	second := w.run(r.Id, 1)[0]
	w.asks(second, sql(t, steps[0]))
	w.passes(second, sql(t, steps[1]))
	w.asks(first, sql(t, steps[1]))
	w.passes(first, sql(t, steps[3]))
	w.asks(second, sql(t, steps[3]))
}

// What was to be held and passes by a rule when it runs, since its objects are
// there then, does not keep what follows it from passing.
func TestAStepThatNeedsNoApprovalAnyMoreIsPassed(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", steps...)
	s := w.run(r.Id, 1)[0]
	now := sql(t, steps[0])
	now.Facts.Class = command.Read
	w.passes(s, now)
	w.passes(s, sql(t, steps[1]))
	w.asks(s, sql(t, steps[0]))
}

func TestRedteam18_ConnectionsThatRaceForAStepShareIt(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", steps...)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var passed atomic.Int32
	const racing = 6
	for _, s := range append(w.run(r.Id, racing/2), w.run(r.Id, racing/2)...) {
		all.Go(func() {
			if _, err := s.Admit(ctx, sql(t, steps[0])); err == nil {
				passed.Add(1)
			}
		})
	}
	for range racing - 1 { // the others ask
		<-w.requests
	}
	cancel()
	all.Wait()
	if passed.Load() != 1 {
		t.Fatalf("one step passed %d times", passed.Load())
	}
}

func TestRedteam18_WhatIsNotTheStepIsHeld(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", steps...)
	s := w.run(r.Id, 1)[0]
	for name, change := range map[string]func(*seam.Command){
		"another value": func(c *seam.Command) { *c = *sql(t, "UPDATE customers SET tier = 'GOLD' WHERE id = 1") },
		"a comment that takes the filter": func(c *seam.Command) {
			*c = *sql(t, "UPDATE customers SET tier = 'gold' -- WHERE id = 1")
		},
		"another search path": func(c *seam.Command) { c.State.SearchPath = []string{"evil", "public"} },
		"another role":        func(c *seam.Command) { c.State.User = "admin" },
		"triggers off": func(c *seam.Command) {
			c.State.Settings = map[string]string{"session_replication_role": "replica"}
		},
		"a parameter":   func(c *seam.Command) { c.Parameters = []command.Parameter{{Value: []byte("1")}} },
		"unread":        func(c *seam.Command) { c.Canonical, c.Blanked = nil, nil },
		"a step within": func(c *seam.Command) { *c = *sql(t, "WITH a AS (SELECT 1) "+steps[0]) },
	} {
		c := sql(t, steps[0])
		change(c)
		if asked := w.asks(s, c); asked.Plan != nil {
			t.Errorf("%s: asked for as a plan", name)
		}
	}
	w.passes(s, sql(t, steps[0]))
}

func TestRedteam18_APlanIsItsJobsAlone(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", steps...)
	for name, claims := range map[string]map[string]any{
		"another commit":     {"sha": "0000000000000000000000000000000000000000"},
		"another repository": {"repository_id": "1009"},
		"another workflow":   {"workflow": "evil"},
		"another person":     {"actor": "mallory", "actor_id": "666"},
	} {
		_, err := w.exchange(claims, r.Id)
		if err == nil {
			t.Errorf("%s may use the plan", name)
		}
	}
	_, err := w.exchange(map[string]any{"run_attempt": "2", "run_id": "4712"}, r.Id) // the same job again
	must(t, err)
	_, err = w.exchange(nil, "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV")
	refused(t, err, refusal.ApprovalUnknown)
	_, err = w.exchange(nil, "*")
	refused(t, err, refusal.ApprovalUnknown)
}

// forged decisions and requests are no plan.
func TestRedteam21_APlanIsWhatItsApproversSaw(t *testing.T) {
	for name, c := range map[string]struct {
		forge func(*request, *eventv1.ApprovalDecision)
		code  refusal.Code
	}{
		"another request": {func(_ *request, d *eventv1.ApprovalDecision) { d.RequestHash = approval.RequestHash([]byte("other")) }, refusal.ApprovalInvalid},
		"no gateway made it": {func(_ *request, d *eventv1.ApprovalDecision) {
			d.Grant.Tag = approval.Tag([]byte("another key"), d.RequestHash)
		}, refusal.ApprovalInvalid},
		"more steps":           {func(_ *request, d *eventv1.ApprovalDecision) { d.Uses++ }, refusal.ApprovalInvalid},
		"a command's approval": {func(_ *request, d *eventv1.ApprovalDecision) { d.Grant = nil }, refusal.ApprovalInvalid},
		"a grant's approval":   {func(_ *request, d *eventv1.ApprovalDecision) { d.Grant.Scope = "job" }, refusal.ApprovalInvalid},
		"another target":       {func(_ *request, d *eventv1.ApprovalDecision) { d.Target = "other-db" }, refusal.ApprovalInvalid},
		"another database":     {func(_ *request, d *eventv1.ApprovalDecision) { d.Grant.Database = "other" }, refusal.ApprovalInvalid},
		"longer than a plan": {func(_ *request, d *eventv1.ApprovalDecision) {
			d.ExpiresAt = timestamppb.New(time.Now().Add(2 * time.Hour))
		}, refusal.ApprovalInvalid},
		"nobody approved":        {func(_ *request, d *eventv1.ApprovalDecision) { d.Votes = nil }, refusal.ApprovalInvalid},
		"its requester approved": {func(r *request, d *eventv1.ApprovalDecision) { d.Votes[0].Account = r.Requesters[0] }, refusal.ApprovalInvalid},
		"expired": {func(_ *request, d *eventv1.ApprovalDecision) {
			d.ExpiresAt = timestamppb.New(time.Now().Add(-time.Second))
		}, refusal.ApprovalExpired},
		"denied":  {func(_ *request, d *eventv1.ApprovalDecision) { d.Outcome = approval.Denied }, refusal.ApprovalDenied},
		"waiting": {nil, refusal.ApprovalPending},
	} {
		t.Run(name, func(t *testing.T) {
			w := planWorld(t)
			_, err := w.ask("sql", steps...)
			must(t, err)
			r := <-w.requests
			if c.forge != nil {
				d := w.planned(r)
				c.forge(r, d)
				w.decide(w.approvals, d)
			}
			_, err = w.exchange(nil, r.Id)
			refused(t, err, c.code)
		})
	}
}

// A request that follows the approved one on its subject is another plan.
func TestRedteam21_AReplacedPlanIsNotTheApprovedOne(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", steps...)
	other := proto.CloneOf(r.ApprovalRequest)
	other.Plan.Steps = other.Plan.Steps[:1]
	raw, err := proto.Marshal(other)
	must(t, err)
	_, err = w.bus.JS.Publish(t.Context(), bus.ApprovalSubject("gw1", r.Id, bus.Requested), raw)
	must(t, err)
	<-w.requests
	_, err = w.exchange(nil, r.Id)
	refused(t, err, refusal.ApprovalInvalid)
}

func TestRedteam18_ARevokedPlanIsWorthNothing(t *testing.T) {
	w := planWorld(t)
	r := w.approved("goose", steps...)
	s := w.run(r.Id, 1)[0]
	w.passes(s, sql(t, steps[0]))
	_, err := w.bus.JS.Publish(t.Context(), bus.RevokedSubject(r.Id), nil)
	must(t, err)
	w.asks(s, sql(t, steps[1]))
	w.asks(s, sql(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)"))
	_, err = w.exchange(nil, r.Id)
	refused(t, err, refusal.ApprovalOver)
}

func TestRedteam18_APlanWhoseRuleChangedIsWorthNothing(t *testing.T) {
	w := planWorld(t)
	r := w.approved("sql", steps...)
	s := w.run(r.Id, 1)[0]
	w.publish("policy", map[string]string{"a.yaml": strings.Replace(planRules, "U0DANA], count: 1", "U0DANA, U0KIM], count: 2", 1)})
	w.asks(s, sql(t, steps[0]))
}

// The tool's own statements pass with its plan, and nothing that looks like them.
func TestRedteam18_BookkeepingIsTheToolsOwn(t *testing.T) {
	const version = "INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)"
	w := planWorld(t)
	r := w.approved("goose", steps...)
	s := w.run(r.Id, 1)[0]
	own := sql(t, version)
	own.Parameters = []command.Parameter{{Value: []byte("7")}, {Value: []byte("t")}}
	w.passes(s, own)
	w.passes(s, own)
	w.asks(w.open(), own) // without the plan
	for _, text := range []string{
		strings.Replace(version, "goose_db_version", "customers", 1),
		strings.Replace(version, "goose_db_version", "evil.goose_db_version", 1),
		strings.Replace(version, "$2", "(SELECT true)", 1),
		strings.Replace(version, ", is_applied", ", tstamp", 1),
		version + " RETURNING id",
		`TRUNCATE "public"."schema_migrations"`, // another tool's
	} {
		w.asks(s, sql(t, text))
	}
	elsewhere := sql(t, version)
	elsewhere.State.SearchPath = []string{"evil", "public"}
	w.asks(s, elsewhere)
	plain := w.approved("sql", steps...)
	w.asks(w.run(plain.Id, 1)[0], own)
}

func TestAPlanIsRefusedWhole(t *testing.T) {
	w := planWorld(t)
	for name, c := range map[string]struct {
		texts []string
		code  refusal.Code
		says  string
	}{
		"not SQL":       {[]string{"\\set a 1\nSELECT 1"}, refusal.CommandUnknown, `psql's commands`},
		"data":          {[]string{"COPY customers FROM STDIN"}, refusal.CommandUnknown, "INSERT"},
		"nothing":       {[]string{"-- nothing"}, refusal.ProtocolViolation, "no statement"},
		"too many":      {slices.Repeat([]string{steps[0]}, approval.MaxSteps+1), refusal.LimitReached, "several parts"},
		"too many in 1": {[]string{strings.Repeat("SELECT 1;", approval.MaxSteps+1)}, refusal.LimitReached, "several parts"},
		"too long":      {slices.Repeat([]string{"UPDATE customers SET tier = '" + strings.Repeat("x", 1000) + "'"}, 300), refusal.LimitReached, "several parts"},
	} {
		_, err := w.ask("sql", c.texts...)
		if r := refused(t, err, c.code); !strings.Contains(r.Error()+r.Hint, c.says) {
			t.Errorf("%s: %s %s", name, r.Error(), r.Hint)
		}
	}
	p, err := w.ask("sql", steps[0], "DROP TABLE customers")
	must(t, err)
	if p.ID != "" || p.Denied != 1 || p.Steps[1].Effect != "deny" || p.Steps[1].Why == "" || len(p.Steps) != 2 {
		t.Errorf("a plan with a denied statement: %+v", p)
	}
	p, err = w.ask("sql", steps[2])
	must(t, err)
	if p.ID != "" || p.Held != 0 {
		t.Errorf("a plan that needs no approval: %+v", p)
	}
	select {
	case r := <-w.requests:
		t.Errorf("asked for %s", r.Statement)
	default:
	}
}

// The settings that a plan begins with are few, and its approvers are told.
func TestRedteam18_APlanSaysWhatItsSessionsBeginWith(t *testing.T) {
	w := planWorld(t)
	ask := func(settings map[string]string) error {
		w.lease()
		cred, err := w.exchange(nil, "")
		must(t, err)
		_, err = w.gate.Plan(t.Context(), cred, session.PlanRequest{
			Tool: "sql", Scripts: []session.Script{{Source: "m.sql", Text: steps[0]}}, Settings: settings,
		}, plans{t}, "127.0.0.1:9")
		return err
	}
	for _, name := range []string{"session_replication_role", "role", "timezone", "options"} {
		refused(t, ask(map[string]string{name: "x"}), refusal.ProtocolViolation)
	}
	must(t, ask(map[string]string{"search_path": "evil\n, public"}))
	r := <-w.requests
	if !strings.Contains(r.Warnings[0], "search_path = evil") || strings.Contains(r.Warnings[0], "\n") {
		t.Errorf("its approvers are told %q", r.Warnings)
	}
}

// As many statements as a plan may have fit one message.
func TestTheLargestPlanFits(t *testing.T) {
	w := planWorld(t)
	texts := make([]string, approval.MaxSteps)
	for i := range texts {
		texts[i] = strings.Replace(steps[0], "id = 1", "id = "+strings.Repeat("1", 1+i%9), 1)
	}
	r := w.approved("sql", texts...)
	if n := proto.Size(r.ApprovalRequest); n > approval.MaxPlan || len(r.Plan.Steps) != approval.MaxSteps {
		t.Errorf("%d bytes, %d steps", n, len(r.Plan.Steps))
	}
	s := w.run(r.Id, 1)[0]
	for _, text := range texts[:30] {
		w.lease()
		w.passes(s, sql(t, text))
	}
}
