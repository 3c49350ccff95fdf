package postgres

import (
	"context"
	"fmt"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
)

// refresh reads the target's catalog anew for command i of a text that was
// decided before a hold, and resolves all of it again: the text is forwarded as
// a whole.
func (s *session) refresh(ctx context.Context, d *decoded, facts []command.Facts, before *catalog.Snapshot, i int) (command.Facts, error) {
	if d.unreadable != nil {
		return facts[i], nil // nothing is known of it, now as before
	}
	s.catalog.Stale(ctx)
	now, err := s.catalog.Current(ctx)
	if err != nil {
		return command.Facts{}, fmt.Errorf("postgres: after a hold: %w", err)
	}
	again := s.resolve(d)
	for j := range facts {
		if !again[j].Same(&facts[j]) || now.Catalog.Identity(&again[j]) != before.Catalog.Identity(&facts[j]) {
			return command.Facts{}, changedMeanwhile()
		}
	}
	return again[i], nil
}

func changedMeanwhile() *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.StateChanged, Message: "what the command touches changed while it was held, so its approval no longer fits",
		Detail: "A relation that it names is another one now, or has other columns or other code.",
		Hint:   "Run it again; it asks anew.",
	}
}
