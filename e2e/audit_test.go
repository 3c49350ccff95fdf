package e2e

import (
	"strings"
	"testing"

	"github.com/gatestay/gatestay/e2e/kit"
)

func TestOneTraceJoinsJobCommandApprovalAndOutcome(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	marker := kit.Marker("trace")
	held := c.Go(t, "UPDATE notes SET body = 'x' WHERE author = '"+marker+"'")
	m := g.AwaitMessage(t, marker)
	m.Approve(t, kit.Dana)
	if _, err := held.Wait(t); err != nil {
		t.Fatal(err)
	}
	intent := g.AwaitRecord(t, "kind = 'intent' AND statement LIKE '%"+marker+"%'", 1)[0]
	trace := intent.String("trace_id")
	if len(trace) != 32 {
		t.Fatalf("trace id %q", trace)
	}
	for what, where := range map[string]string{
		"the outcome":            "kind = 'outcome' AND status = 'ok'",
		"the session's opening":  "kind = 'session_opened'",
		"the request":            "kind = 'approval' AND action = 'requested'",
		"the decision":           "kind = 'approval' AND action = 'decided' AND outcome = 'approved'",
		"the approver by name":   "kind = 'intent' AND has(approvers, 'dana')",
		"the repository by id":   "kind = 'intent' AND repository_id = '1001'",
		"the rule and its place": "kind = 'intent' AND rule = 'writes-need-a-click' AND policy_version > 0",
	} {
		t.Run(what, func(t *testing.T) {
			g.AwaitRecord(t, "trace_id = '"+trace+"' AND "+where, 1)
		})
	}
}

func TestRefusedStatementIsRecorded(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, nil)
	marker := kit.Marker("dropped")
	_, err := c.Exec(t.Context(), "DROP TABLE "+marker)
	kit.Refused(t, err, "GS1201")
	r := g.AwaitRecord(t, "kind = 'intent' AND statement LIKE '%"+marker+"%'", 1)[0]
	if r.String("effect") != "deny" || r.String("rule") != "no-schema-changes" {
		t.Errorf("recorded as %v by %v", r["effect"], r["rule"])
	}
	g.AwaitRecord(t, "kind = 'outcome' AND status = 'refused' AND command_id = '"+r.String("command_id")+"'", 1)
	if g.TargetSaw(t, marker) {
		t.Error("the target has seen a refused statement")
	}
}

func TestMaskedColumnsComeBackMasked(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			c := g.Connect(t, nil)
			var email, phone, note string
			err := c.QueryRow(t.Context(), "SELECT email, phone, note FROM customers WHERE id = 1", mode).Scan(&email, &phone, &note)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"ada@example.com", "7946", "4111 1111"} {
				if strings.Contains(email+phone+note, secret) {
					t.Errorf("%q came through: %q, %q, %q", secret, email, phone, note)
				}
			}
		})
	}
}

// The first line looks for what the rules name; the second knows more, and what
// it takes out is a record of its own.
func TestSecondLineRedactsWhatTheFirstDidNotLookFor(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, kit.Importer)
	marker := kit.Marker("second")
	secret := "glpat-" + strings.ReplaceAll(marker, "_", "") + "Zx9Q"
	if _, err := c.Exec(t.Context(), "INSERT INTO notes (author, body) VALUES ('"+marker+"', '"+secret+"')"); err != nil {
		t.Fatal(err)
	}
	r := g.AwaitRecord(t, "kind = 'intent' AND statement LIKE '%"+marker+"%'", 1)[0]
	if strings.Contains(r.String("statement"), secret) {
		t.Errorf("the audit holds the secret: %s", r.String("statement"))
	}
	g.AwaitRecord(t, "kind = 'redaction' AND toString(details) LIKE '%"+r.String("id")+"%'", 1)
	if rows := g.AwaitRows(t, "SELECT count() AS n FROM records WHERE concat(statement, toString(parameters), message, toString(details)) LIKE '%"+secret+"%'", func([]kit.Row) error { return nil }); rows[0].String("n") != "0" {
		t.Errorf("%s records hold the secret", rows[0].String("n"))
	}
}

// The credential that the gateway logs in with appears nowhere.
func TestRedteam15_TargetsCredentialAppearsNowhere(t *testing.T) {
	g := shared.Get(t)
	c := g.Connect(t, kit.Importer)
	if _, err := c.Exec(t.Context(), "SELECT item FROM orders WHERE nosuchcolumn = 1"); err == nil {
		t.Fatal("expected the target's error")
	}
	if _, err := g.Dial(t.Context(), kit.Target+"/nosuchdatabase", g.Token(t, kit.Importer), nil); err == nil {
		t.Fatal("expected an error")
	} else if strings.Contains(err.Error(), g.TargetPassword()) {
		t.Error("the client is shown the target's password")
	}
	for _, part := range kit.Services {
		if strings.Contains(g.Log(part), g.TargetPassword()) {
			t.Errorf("%s logs the target's password", part)
		}
	}
}
