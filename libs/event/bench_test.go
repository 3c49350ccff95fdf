package event

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// benchBatch is what a busy gateway packs: the intent and the outcome of small
// statements of one job.
func benchBatch(records int) *eventv1.Batch {
	principal := &eventv1.Principal{
		Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:acme@2002/shop@1001:ref:refs/heads/main", Preset: "github-actions",
		Repository: "acme/shop", RepositoryId: "1001", RepositoryOwnerId: "2002", Workflow: "deploy", RunId: "17346289512", RunAttempt: "1", JobId: "49201",
		Job: "migrate", Ref: "refs/heads/main", Environment: "production", Event: "push", Actor: "kim", ActorId: "3001", Url: "https://github.com/acme/shop/actions/runs/17346289512",
	}
	b := &eventv1.Batch{Producer: "gateway/gw1", Incarnation: "01JD5N8Q6Y0000000000000000", Number: 1}
	for i := range records {
		r := &eventv1.Record{
			Id: fmt.Sprintf("01JD5N8Q6Y%016d", i), Time: timestamppb.Now(), Kind: eventv1.Kind_KIND_OUTCOME, SessionId: "ses_01JD5N8Q6Y0000000000000000",
			SessionSequence: uint64(i + 1), CommandId: "cmd_01JD5N8Q6Y0000000000000000", TraceId: "4bf92f3577b34da6a3ce929d0e0e4736", Principal: principal,
			Target: "prod-db", Database: "shop", Environment: "production", Protocol: "postgres", Status: "ok", Rows: 1, Bytes: 42, DurationNs: 412_000,
		}
		if i%2 == 0 {
			r.Kind, r.Verb, r.Class, r.Effect, r.Rule, r.PolicyVersion, r.MaskingVersion = eventv1.Kind_KIND_INTENT, "select", "read", "allow", "jobs-read", 7, 3
			r.RuleHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
			r.Objects = []*eventv1.Object{{Schema: "public", Name: "pgbench_accounts", Access: "read"}}
			r.Fingerprint, r.Statement, r.Parameters = "50fde20626009aba", "SELECT abalance FROM pgbench_accounts WHERE aid = $1", []string{fmt.Sprint(i)}
		}
		b.Records = append(b.Records, r)
	}
	return b
}

// BenchmarkSeal is what a record costs from the session to the journal's bytes.
func BenchmarkSeal(b *testing.B) {
	key, err := seal.Generate()
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			batch := benchBatch(n)
			e := encoder{principals: map[*eventv1.Principal][]byte{}} // as a Producer's
			b.ReportAllocs()
			for b.Loop() {
				for _, r := range batch.Records {
					r.Salt, r.Commitments = nil, nil
				}
				if _, err := e.seal(batch, key); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	key, err := seal.Generate()
	if err != nil {
		b.Fatal(err)
	}
	batch := benchBatch(500)
	if err := Seal(batch, key); err != nil {
		b.Fatal(err)
	}
	trust := key.Public()
	for b.Loop() {
		if err := Verify(batch, trust); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/record")
}
