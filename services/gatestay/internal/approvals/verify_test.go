package approvals

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// A saved proof is checked without a network, and what was changed in it shows.
func TestVerifyOffline(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	k, err := seal.LoadOrGenerate(filepath.Join(dir, "approval.pem"))
	if err != nil {
		t.Fatal(err)
	}
	principal := &eventv1.Principal{Preset: "github-actions", Repository: "acme/shop", Job: "deploy", Actor: "riley"}
	r := &eventv1.ApprovalRequest{
		Id: id, Gateway: "gw1", SessionId: "s", CommandId: "c", Principal: principal, Requesters: []string{"github:riley"}, Target: "prod-db",
		Rule: "writes", RuleHash: "h", PolicyVersion: 3, Verb: "update", Statement: "UPDATE customers SET plan = $1", Parameters: []string{"'pro'"},
		Approvers: &eventv1.Approvers{Persons: []string{"dana"}, Count: 1}, Digest: []byte("d"), RequestedAt: timestamppb.New(now), Deadline: timestamppb.New(now.Add(900e9)),
	}
	request, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := approval.Sign(k, &eventv1.ApprovalDecision{
		ApprovalId: id, Outcome: approval.Approved, Gateway: "gw1", SessionId: "s", CommandId: "c", PrincipalHash: approval.PrincipalHash(principal),
		Target: "prod-db", RuleHash: "h", Digest: []byte("d"), RequestHash: approval.RequestHash(request), Uses: 1,
		Votes: []*eventv1.Vote{{Person: "dana", Account: "oidc:dana", Vote: approval.Approve}}, DecidedAt: timestamppb.New(now.Add(1e9)), ExpiresAt: timestamppb.New(now.Add(300e9)),
	})
	if err != nil {
		t.Fatal(err)
	}
	decision, err := proto.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	w.answer = encode(t, approval.Proof{ID: id, Request: request, Decision: decision})
	saved, key := filepath.Join(dir, "proof.json"), filepath.Join(dir, "approval.pem.pub")
	if err := w.run("verify", id, "--save", saved, "--key", key); err != nil {
		t.Fatalf("%v\n%s", err, w.stdout.String())
	}
	if out := w.stdout.String(); !strings.Contains(out, "Valid.") || !strings.Contains(out, "UPDATE customers SET plan = $1") {
		t.Fatal(out)
	}
	w.status = 500 // nobody is asked again
	w.stdout.Reset()
	if err := w.run("verify", "--proof", saved, "--key", key); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	r.Statement = "UPDATE customers SET plan = 'free'"
	if request, err = proto.Marshal(r); err != nil {
		t.Fatal(err)
	}
	forged := encode(t, approval.Proof{ID: id, Request: request, Decision: decision})
	if err := os.WriteFile(saved, []byte(forged), 0o600); err != nil || forged == string(raw) {
		t.Fatal(err)
	}
	w.stdout.Reset()
	if err := w.run("verify", "--proof", saved, "--key", key); err == nil || !strings.Contains(w.stdout.String(), "Not valid") {
		t.Fatalf("a changed proof verifies: %v\n%s", err, w.stdout.String())
	}
	if err := w.run("verify", "--proof", saved); err == nil || !strings.Contains(err.Error(), "which key?") {
		t.Fatalf("without a key: %v", err)
	}
	other, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, public := range other.Public() {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(saved, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.run("verify", "--proof", saved, "--key", key); err == nil {
		t.Fatal("a stranger's key verifies it")
	}
}
