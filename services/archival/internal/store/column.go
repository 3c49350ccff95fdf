package store

import (
	"strings"
	"time"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

// row is one record with what its batch adds.
type row struct {
	*eventv1.Record
	principal *eventv1.Principal // never nil
	item      *intake.Item
	position  int
}

// column is one column of the table records: its name, and its values.
type column struct {
	name   string
	values func([]row) any
}

func values[T any](name string, of func(*row) T) column {
	return column{name, func(rows []row) any {
		out := make([]T, len(rows))
		for i := range rows {
			out[i] = of(&rows[i])
		}
		return out
	}}
}

func text(name string, of func(*row) string) column { return values(name, of) }

// columns is the mapping of a record onto the table, in the table's order.
var columns = []column{
	text("id", func(r *row) string { return r.Id }),
	values("time", func(r *row) time.Time { return clamp(r.Time.AsTime()) }),
	text("kind", func(r *row) string { return KindName(r.Kind) }),
	text("producer", func(r *row) string { return r.item.Batch.Producer }),
	text("incarnation", func(r *row) string { return r.item.Batch.Incarnation }),
	values("batch_number", func(r *row) uint64 { return r.item.Batch.Number }),
	values("position", func(r *row) uint32 { return uint32(r.position) }),
	text("digest", func(r *row) string { return r.item.ID().Digest }),
	values("sealed_at", func(r *row) time.Time { return clamp(r.item.SealedAt()) }),
	text("integrity", func(r *row) string { return string(r.item.Integrity) }),
	values("redacted", func(r *row) []string { return r.item.Redacted[r.position] }),

	text("session_id", func(r *row) string { return r.SessionId }),
	values("session_sequence", func(r *row) uint64 { return r.SessionSequence }),
	text("command_id", func(r *row) string { return r.CommandId }),
	text("trace_id", func(r *row) string { return r.TraceId }),

	text("issuer", func(r *row) string { return r.principal.Issuer }),
	text("subject", func(r *row) string { return r.principal.Subject }),
	text("preset", func(r *row) string { return r.principal.Preset }),
	text("repository", func(r *row) string { return r.principal.Repository }),
	text("repository_id", func(r *row) string { return r.principal.RepositoryId }),
	text("repository_owner_id", func(r *row) string { return r.principal.RepositoryOwnerId }),
	text("workflow", func(r *row) string { return r.principal.Workflow }),
	text("run_id", func(r *row) string { return r.principal.RunId }),
	text("run_attempt", func(r *row) string { return r.principal.RunAttempt }),
	text("job_id", func(r *row) string { return r.principal.JobId }),
	text("job", func(r *row) string { return r.principal.Job }),
	text("ref", func(r *row) string { return r.principal.Ref }),
	text("run_environment", func(r *row) string { return r.principal.Environment }),
	text("run_event", func(r *row) string { return r.principal.Event }),
	text("run_actor", func(r *row) string { return r.principal.Actor }),
	text("run_actor_id", func(r *row) string { return r.principal.ActorId }),
	text("triggering_actor", func(r *row) string { return r.principal.TriggeringActor }),
	text("run_url", func(r *row) string { return r.principal.Url }),
	text("agent", func(r *row) string { return r.principal.Agent }),
	text("on_behalf_of", func(r *row) string { return r.principal.OnBehalfOf }),
	values("claims", func(r *row) map[string]string { return r.principal.Claims }),
	values("asserted", func(r *row) []string { return r.principal.Asserted }),

	text("target", func(r *row) string { return r.Target }),
	text("database", func(r *row) string { return r.Database }),
	text("environment", func(r *row) string { return r.Environment }),
	text("protocol", func(r *row) string { return r.Protocol }),

	text("verb", func(r *row) string { return r.Verb }),
	text("class", func(r *row) string { return r.Class }),
	values("objects.schema", objects((*eventv1.Object).GetSchema)),
	values("objects.name", objects((*eventv1.Object).GetName)),
	values("objects.access", objects((*eventv1.Object).GetAccess)),
	text("fingerprint", func(r *row) string { return r.Fingerprint }),
	text("statement", func(r *row) string { return r.Statement }),
	values("parameters", func(r *row) []string { return r.Parameters }),
	text("reason", func(r *row) string { return r.Reason }),

	text("effect", func(r *row) string { return r.Effect }),
	text("rule", func(r *row) string { return r.Rule }),
	text("rule_hash", func(r *row) string { return r.RuleHash }),
	values("policy_version", func(r *row) uint64 { return r.PolicyVersion }),
	values("masking_version", func(r *row) uint64 { return r.MaskingVersion }),
	text("approval_id", func(r *row) string { return r.ApprovalId }),
	values("approvers", func(r *row) []string { return r.Approvers }),
	values("wait_ns", func(r *row) int64 { return r.WaitNs }),

	text("status", func(r *row) string { return r.Status }),
	text("code", func(r *row) string { return r.Code }),
	text("message", func(r *row) string { return r.Message }),
	values("rows", func(r *row) int64 { return r.Rows }),
	values("bytes", func(r *row) int64 { return r.Bytes }),
	values("masked_cells", func(r *row) int64 { return r.MaskedCells }),
	values("duration_ns", func(r *row) int64 { return r.DurationNs }),

	text("action", func(r *row) string { return r.Action }),
	text("actor", func(r *row) string { return r.Actor }),
	text("outcome", func(r *row) string { return r.Outcome }),
	values("details", func(r *row) map[string]string { return r.Details }),

	values("commitments", func(r *row) map[string]string {
		m := make(map[string]string, len(r.Commitments))
		for name, c := range r.Commitments {
			m[name] = string(c)
		}
		return m
	}),
	text("salt", func(r *row) string { return string(r.Salt) }),
}

func objects(of func(*eventv1.Object) string) func(*row) []string {
	return func(r *row) []string {
		out := make([]string, len(r.Objects))
		for i, o := range r.Objects {
			out[i] = of(o)
		}
		return out
	}
}

// KindName is a record's kind as the store has it: "intent", "session_opened".
func KindName(k eventv1.Kind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "KIND_"))
}

// The times that the store's type holds, with room for any time zone. A record
// with another one must not stop all records behind it.
var (
	earliest = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2261, 1, 1, 0, 0, 0, 0, time.UTC)
)

func clamp(t time.Time) time.Time {
	switch {
	case t.Before(earliest):
		return earliest
	case t.After(latest):
		return latest
	default:
		return t
	}
}
