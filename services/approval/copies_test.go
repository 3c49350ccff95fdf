package approval_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/copied"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// copyOf tells the bus of a copy, as a gateway does.
func (w *world) copyOf(target, table, column string) copied.Mask {
	w.t.Helper()
	m := copied.Mask{
		Target: target, Database: "shop", To: command.Column{Schema: "public", Table: table, Name: column},
		From: command.Column{Schema: "public", Table: "customers", Name: "email"}, By: "cmd_1",
	}
	raw, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := m.Key()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.JS.Publish(w.t.Context(), bus.CopySubject(key, 0, false), raw); err != nil {
		w.t.Fatal(err)
	}
	return m
}

type copiesAnswer struct {
	Code   string `json:"code"`
	Copies []struct {
		Table  string `json:"table"`
		Column string `json:"column"`
		From   string `json:"from"`
	} `json:"copies"`
}

// TestCopiesAreLifted by an administrator, on the record, and signed.
func TestCopiesAreLifted(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	m := w.copyOf("prod-db", "archive", "note")
	w.copyOf("prod-db", "archive", "other")
	w.copyOf("prod-db", "kept", "note")
	w.copyOf("other-db", "archive", "note")
	list := func() (got []string) {
		var a copiesAnswer
		if status := r.ask(http.MethodGet, "/v1/copies?target=prod-db", "oidc:riley@acme.example", "", &a); status != http.StatusOK {
			t.Fatal(status)
		}
		for _, c := range a.Copies {
			got = append(got, c.Table+"."+c.Column+"<"+c.From)
		}
		return got
	}
	until(t, "the people map", func() bool {
		return r.ask(http.MethodGet, "/v1/copies?target=prod-db", "oidc:riley@acme.example", "", nil) == http.StatusOK
	})
	if got := strings.Join(list(), " "); got != "archive.note<public.customers.email archive.other<public.customers.email kept.note<public.customers.email" {
		t.Error(got)
	}
	var a copiesAnswer
	body := `{"target":"prod-db","schema":"public","table":"archive","column":"note","reason":"dropped in release 42"}`
	if status := r.ask(http.MethodPost, "/v1/copies/lift", "oidc:riley@acme.example", body, &a); status != http.StatusOK || len(a.Copies) != 1 {
		t.Fatalf("%d %+v", status, a)
	}
	if got := strings.Join(list(), " "); got != "archive.other<public.customers.email kept.note<public.customers.email" {
		t.Error(got)
	}
	if status := r.ask(http.MethodPost, "/v1/copies/lift", "oidc:riley@acme.example", body, &a); status != http.StatusNotFound {
		t.Errorf("once more: %d", status)
	}
	// What a gateway gets is signed by this service's key.
	key, _ := m.Key()
	stream, err := w.bus.JS.Stream(t.Context(), bus.StreamCopies)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), bus.CopySubject(key, 0, true))
	if err != nil {
		t.Fatal(err)
	}
	own, err := seal.LoadOrGenerate(filepath.Join(w.dir, "approval"))
	if err != nil {
		t.Fatal(err)
	}
	lift, err := copied.OpenLift(msg.Data, own.Public())
	if err != nil || lift.Person != "riley" || lift.Reason != "dropped in release 42" || lift.Mask.To.Name != "note" {
		t.Errorf("%+v, %v", lift, err)
	}
	// It is in the audit.
	found := 0
	for _, raw := range w.read("ADMIN", "admin.approval.1") {
		b := &eventv1.Batch{}
		if err := proto.Unmarshal(raw, b); err != nil {
			t.Fatal(err)
		}
		for _, rec := range b.Records {
			if rec.Action == "copy.lifted" {
				found++
				if rec.Actor != "riley" || rec.Target != "prod-db" || rec.Details["relation"] != "public.archive" || rec.Details["column"] != "note" || rec.Details["account"] != "oidc:riley@acme.example" {
					t.Errorf("%+v", rec)
				}
			}
		}
	}
	if found != 1 {
		t.Errorf("%d records", found)
	}
	if status := r.ask(http.MethodPost, "/v1/copies/lift", "oidc:riley@acme.example", `{"target":"prod-db","schema":"public","table":"archive","reason":"all of it"}`, &a); status != http.StatusOK || len(list()) != 1 {
		t.Errorf("a relation: %d, %v", status, list())
	}
}

// TestRedteam32_OnlyAdministratorsLiftCopies, and never without a reason.
func TestRedteam32_OnlyAdministratorsLiftCopies(t *testing.T) {
	w := newWorld(t)
	r := w.start()
	w.copyOf("prod-db", "archive", "note")
	until(t, "the people map", func() bool {
		return r.ask(http.MethodGet, "/v1/copies?target=prod-db", "oidc:riley@acme.example", "", nil) == http.StatusOK
	})
	const good = `{"target":"prod-db","schema":"public","table":"archive","reason":"why"}`
	for name, c := range map[string]struct {
		account, body string
		status        int
	}{
		"nobody":           {"", good, http.StatusUnauthorized},
		"an approver":      {"oidc:dana@acme.example", good, http.StatusForbidden},
		"a stranger":       {"oidc:riley@elsewhere.example", good, http.StatusForbidden},
		"no reason":        {"oidc:riley@acme.example", strings.Replace(good, "why", " ", 1), http.StatusBadRequest},
		"no relation":      {"oidc:riley@acme.example", `{"target":"prod-db","reason":"why"}`, http.StatusBadRequest},
		"a field too many": {"oidc:riley@acme.example", `{"target":"prod-db","table":"archive","reason":"why","all":true}`, http.StatusBadRequest},
		"another schema":   {"oidc:riley@acme.example", strings.Replace(good, "public", "pg_temp", 1), http.StatusNotFound},
	} {
		if status := r.ask(http.MethodPost, "/v1/copies/lift", c.account, c.body, nil); status != c.status {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := r.ask(http.MethodGet, "/v1/copies?target=prod-db", "oidc:dana@acme.example", "", nil); status != http.StatusForbidden {
		t.Errorf("an approver's list: %d", status)
	}
	var a copiesAnswer
	if r.ask(http.MethodGet, "/v1/copies?target=prod-db", "oidc:riley@acme.example", "", &a); len(a.Copies) != 1 {
		t.Errorf("something was lifted: %+v", a)
	}
}
