package bench

import (
	"fmt"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var benchPrincipal = &eventv1.Principal{
	Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:acme@2002/shop@1001:ref:refs/heads/main", Preset: "github-actions",
	Repository: "acme/shop", RepositoryId: "1001", RepositoryOwnerId: "2002", Workflow: "deploy", RunId: "17346289512", RunAttempt: "1", JobId: "49201",
	Job: "migrate", Ref: "refs/heads/main", Environment: "production", Event: "push", Actor: "kim", ActorId: "3001", Url: "https://github.com/acme/shop/actions/runs/17346289512",
}

// benchRecord is the i-th record of a session: intents and outcomes by turns,
// of the size that a small statement's have.
func benchRecord(session string, i int) *eventv1.Record {
	r := &eventv1.Record{
		Id: ulid.Make().String(), Time: timestamppb.Now(), Kind: eventv1.Kind_KIND_INTENT, SessionId: session, SessionSequence: uint64(i + 1),
		CommandId: fmt.Sprintf("cmd_bench_%d", i/2), TraceId: "4bf92f3577b34da6a3ce929d0e0e4736", Principal: benchPrincipal,
		Target: "prod-db", Database: "shop", Environment: "production", Protocol: "postgres",
	}
	if i%2 == 1 {
		r.Kind, r.Status, r.Rows, r.Bytes, r.DurationNs = eventv1.Kind_KIND_OUTCOME, "ok", 1, 42, 412_000
		return r
	}
	r.Verb, r.Class, r.Effect, r.Rule, r.PolicyVersion, r.MaskingVersion = "update", "write", "allow", "importer-writes", 7, 3
	r.RuleHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	r.Objects = []*eventv1.Object{{Schema: "public", Name: "orders", Access: "write"}}
	r.Fingerprint = "50fde20626009aba"
	r.Statement = "UPDATE orders SET cents = $1, item = $2 WHERE id = $3"
	r.Parameters = []string{fmt.Sprint(i * 7 % 10_000), "item " + fmt.Sprint(i%97), fmt.Sprint(i)}
	return r
}
