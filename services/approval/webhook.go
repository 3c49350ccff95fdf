package approval

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/gatestay/gatestay/services/approval/internal/api"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
	"github.com/gatestay/gatestay/services/approval/internal/webhook"
)

// notifier shows approvals in some place, and keeps that place up to date: Slack
// (outbox.Outbox), a webhook (webhook.Sender). What is shown follows from the
// state, and the state keeps what was shown, so that nothing is lost while a place
// or this process is down.
type notifier interface {
	// Changed looks at an approval soon, after a step of this replica or of another.
	// It does not block.
	Changed(st *machine.State, own bool)
	// All looks at whatever may need it.
	All()
	// Run works until ctx ends.
	Run(ctx context.Context) error
}

// newWebhooks reads the configured webhooks.
func (s *Service) newWebhooks() error {
	s.hooks = map[string]*webhook.Hook{}
	s.metrics.webhook = webhook.NewMetrics(s.health.Registry)
	tokens, err := s.key.Derive("webhook/v1")
	if err != nil {
		return fmt.Errorf("approval: %w", err)
	}
	var errs []error
	for i, w := range s.cfg.Approval.Webhooks {
		at := fmt.Sprintf("  $.approval.webhooks[%d]: ", i)
		if s.hooks[w.Name] != nil {
			errs = append(errs, fmt.Errorf("%sname %q is there twice", at, w.Name))
			continue
		}
		secret, err := w.Secret.Resolve(s.cfg.Dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("%ssecret: %w", at, err))
			continue
		}
		h, err := webhook.New(w.Name, w.URL, secret, w.Events, tokens)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s%w", at, err))
			continue
		}
		s.hooks[w.Name] = h
	}
	if len(errs) > 0 {
		return fmt.Errorf("approval: configuration:\n%w", errors.Join(errs...))
	}
	return nil
}

// tellers are the senders of the configured webhooks.
func (r *running) tellers() []notifier {
	s := r.s
	var out []notifier
	for _, h := range s.hooks {
		out = append(out, &webhook.Sender{
			Hook: h, Store: r.store, View: r.public, Owner: s.instance + "/" + ulid.Make().String(), Now: s.deps.Now, Log: s.deps.Log, Metrics: s.metrics.webhook,
		})
	}
	return out
}

func (r *running) public(st *machine.State) (api.Notice, error) {
	return r.backend().Public(st, r.s.InboxURL())
}

func (s *Service) hookNames() []string { return slices.Sorted(maps.Keys(s.hooks)) }
