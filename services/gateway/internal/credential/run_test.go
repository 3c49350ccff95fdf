package credential_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/credential"
)

func TestRedteam30_RunBoundCredential(t *testing.T) {
	now := time.Now()
	runs := credential.NewRuns(func() time.Time { return now })
	issue := func() (string, *credential.Run) {
		t.Helper()
		r := &credential.Run{ID: credential.NewRunID(), Target: "prod-db", Connections: 2, Expires: now.Add(time.Hour)}
		raw, err := runs.Issue(r)
		if err != nil {
			t.Fatal(err)
		}
		return raw, r
	}
	raw, run := issue()
	if !credential.IsRun(raw) {
		t.Fatalf("%q has no prefix", raw[:4])
	}
	_, first, err := runs.Open(raw, "prod-db")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := runs.Open(raw, "prod-db"); err != nil {
		t.Fatal(err)
	}
	_, _, err = runs.Open(raw, "prod-db")
	refused(t, err, refusal.LimitReached)
	first()
	first() // giving back twice frees one place
	if _, _, err := runs.Open(raw, "prod-db"); err != nil {
		t.Fatal(err)
	}
	_, _, err = runs.Open(raw, "prod-db")
	refused(t, err, refusal.LimitReached)

	_, _, err = runs.Open(raw, "other-db")
	refused(t, err, refusal.CredentialInvalid)
	_, err = runs.Lookup(raw[:len(raw)-1] + "A")
	if raw[len(raw)-1] != 'A' {
		refused(t, err, refusal.CredentialInvalid)
	}
	_, err = runs.Lookup(strings.TrimPrefix(raw, credential.Prefix))
	refused(t, err, refusal.CredentialInvalid)

	if _, err := runs.End(raw); err != nil {
		t.Fatal(err)
	}
	select {
	case <-run.Ended():
	default:
		t.Fatal("its sessions are not told that the step ended")
	}
	_, _, err = runs.Open(raw, "prod-db")
	refused(t, err, refusal.CredentialInvalid)

	raw, _ = issue()
	now = now.Add(time.Hour)
	_, _, err = runs.Open(raw, "prod-db")
	refused(t, err, refusal.CredentialInvalid)
}

func refused(t *testing.T, err error, code refusal.Code) {
	t.Helper()
	var r *refusal.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}
