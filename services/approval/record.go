package approval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"github.com/gatestay/gatestay/libs/event"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// started is the record that this process runs, and with which configuration.
func (s *Service) started() *eventv1.Record {
	d := map[string]string{"service": "approval", "instance": s.instance, "key_id": s.key.ID()}
	if s.cfg.File != "" {
		if raw, err := os.ReadFile(s.cfg.File); err == nil {
			sum := sha256.Sum256(raw)
			d["config_sha256"] = hex.EncodeToString(sum[:])
		}
	}
	return &eventv1.Record{Kind: eventv1.Kind_KIND_ADMIN, Action: "service.started", Actor: "approval/" + s.instance, Details: d}
}

// finding records what smells of tampering.
func (r *running) finding(action string, details map[string]string) {
	r.s.deps.Log.Error().Str("finding", action).Str("approval_id", details["approval_id"]).Msg("finding")
	rec := &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: action, Actor: "approval/" + r.s.instance, ApprovalId: details["approval_id"], Details: details,
	}
	select {
	case r.findings <- rec:
	default:
		r.s.deps.Log.Error().Str("finding", action).Msg("too many findings wait; one is in the log only")
	}
}

// record makes this process's own records durable, however long the bus takes.
func (r *running) record(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case rec := <-r.findings:
			for {
				err := r.producer.Record(ctx, rec)
				if err == nil || errors.Is(err, event.ErrUnsure) || errors.Is(err, event.ErrClosed) || ctx.Err() != nil {
					break
				}
				r.s.deps.Log.Warn().Err(err).Str("action", rec.Action).Msg("record not durable; trying again")
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
	}
}
