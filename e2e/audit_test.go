package e2e

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/e2e/kit"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
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

// What a gateway let slip (an older one, say, that knew fewer secrets) the second
// line takes out, says so in a record, and leaves the batch verifiable.
func TestSecondLineRedactsWhatTheFirstLetSlip(t *testing.T) {
	secret := "glpat-" + strings.ReplaceAll(kit.Marker("x"), "_", "") + "Zx9QmN4tKw7R"
	for name, slip := range map[string]func(*eventv1.Record){
		"in the statement":      func(r *eventv1.Record) { r.Statement += " WHERE token = '" + secret + "'" },
		"in a parameter":        func(r *eventv1.Record) { r.Parameters = []string{"7", secret} },
		"in an error's message": func(r *eventv1.Record) { r.Message = "key (token)=(" + secret + ") already exists" },
		"in the reason":         func(r *eventv1.Record) { r.Reason = "for " + secret },
		"in base64":             func(r *eventv1.Record) { r.Statement += " -- " + base64.StdEncoding.EncodeToString([]byte(secret)) },
		"with a hidden joint":   func(r *eventv1.Record) { r.Statement += " -- " + secret[:9] + "\u200b" + secret[9:] },
	} {
		t.Run(name, func(t *testing.T) {
			g := shared.Get(t)
			marker := kit.Marker("slip")
			r := &eventv1.Record{
				Id: ulid.Make().String(), Time: timestamppb.Now(), Kind: eventv1.Kind_KIND_INTENT, SessionId: "ses_" + marker, SessionSequence: 1,
				CommandId: "cmd_" + marker, Target: kit.Target, Verb: "update", Class: "write", Effect: "allow", Statement: "UPDATE " + marker + " SET x = 1",
			}
			slip(r)
			b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: ulid.Make().String(), Number: 1, Records: []*eventv1.Record{r}}
			if err := event.Seal(b, key(t, g, kit.Gateway)); err != nil {
				t.Fatal(err)
			}
			raw, err := proto.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.PublishBatch(t.Context(), kit.Gateway, bus.RecordSubject("gw1"), b.Producer, event.ID(b), raw); err != nil {
				t.Fatal(err)
			}
			row := g.AwaitRecord(t, "id = '"+r.Id+"'", 1)[0]
			if row.String("integrity") != "verified" || row.String("redacted") == "[]" {
				t.Errorf("integrity %s, redacted %s", row.String("integrity"), row.String("redacted"))
			}
			told := g.AwaitRecord(t, "kind = 'redaction' AND details['record'] = '"+r.Id+"'", 1)[0]
			for _, text := range []string{row.String("statement"), row.String("parameters"), row.String("message"), row.String("reason"), told.String("message")} {
				for _, hidden := range []string{secret, secret[9:], base64.StdEncoding.EncodeToString([]byte(secret))} {
					if strings.Contains(text, hidden) {
						t.Errorf("the audit holds it: %s", text)
					}
				}
			}
		})
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
