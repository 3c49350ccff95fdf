// Package webhook tells other systems of approvals, and takes votes that they pass
// on: what Teams, a pager or a chat of one's own is connected by. A hook gets what
// Slack is shown, no more, as signed HTTP posts (https://www.standardwebhooks.com),
// at least once, and of one approval in order; where something has changed several
// times meanwhile it is told of the last state only.
//
// A vote comes back signed by the same secret. The hook says which of its accounts
// votes; it counts only where the people map gives webhook:NAME:ACCOUNT to a person,
// so that a hook can vote for those whom the map gives it, and for nobody else. It
// brings the token of what its user was shown: one that has changed since is not
// voted on, and so no token is good for two votes.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/gatestay/gatestay/libs/loopback"
	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

// The events that a hook may be told of.
const (
	Requested = "requested" // it waits
	Voted     = "voted"     // somebody voted, and it waits on
	Decided   = "decided"   // approved, denied, expired, cancelled; a grant that ended
	Outcome   = "outcome"   // the command ended
	Glass     = "break_glass"
)

// Events are all of them.
func Events() []string { return []string{Requested, Voted, Decided, Outcome, Glass} }

const (
	minSecret = 24 // bytes, as the specification asks
	maxSecret = 64
	maxURL    = 1000
)

var hookName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Hook is one configured webhook.
type Hook struct {
	Name   string
	URL    string
	Events []string // empty for all
	signer *standardwebhooks.Webhook
	token  []byte // key of its tokens
}

// New returns a hook. secret is base64, with or without whsec_ before it; tokens is
// the key that all replicas have, 32 bytes.
func New(name, address, secret string, events []string, tokens []byte) (*Hook, error) {
	if err := Check(name, address, events); err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(raw) < minSecret || len(raw) > maxSecret {
		return nil, fmt.Errorf("its secret is not 24 to 64 bytes of base64: make one with 'openssl rand -base64 32'")
	}
	signer, err := standardwebhooks.NewWebhookRaw(raw)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return &Hook{Name: name, URL: address, Events: events, signer: signer, token: tokens}, nil
}

// Check says what is wrong with a hook's configuration.
func Check(name, address string, events []string) error {
	u, err := url.Parse(address)
	switch {
	case !hookName.MatchString(name):
		return fmt.Errorf("name %q is not one of a-z, 0-9 and -, beginning with a letter, 32 at most: it becomes part of accounts", name)
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || len(address) > maxURL:
		return errors.New("url is not a plain address, e.g. https://bridge.acme.example/gatestay")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Host)):
		return errors.New("url is not https: what is held would travel in the clear (http is for loopback only)")
	}
	for _, e := range events {
		if !slices.Contains(Events(), e) {
			return fmt.Errorf("event %q is not known; known: %s", e, strings.Join(Events(), ", "))
		}
	}
	return nil
}

// eventOf names what a state is to be told as.
func eventOf(st *machine.State) string {
	switch {
	case st.Glass != nil:
		return Glass
	case !st.Done() && len(st.Votes) == 0:
		return Requested
	case !st.Done():
		return Voted
	case st.Latest != nil:
		return Outcome
	}
	return Decided
}

func (h *Hook) wants(event string) bool {
	return len(h.Events) == 0 || slices.Contains(h.Events, event)
}

// Account is how the people map names an account of the hook.
func (h *Hook) Account(id string) string { return "webhook:" + h.Name + ":" + id }

// Token is what a vote on an approval brings that looks so.
func (h *Hook) Token(id, look string) string {
	return look + "." + base64.RawURLEncoding.EncodeToString(h.mac(id, look))
}

func (h *Hook) mac(id, look string) []byte {
	m := hmac.New(sha256.New, h.token)
	for _, part := range []string{"gatestay/webhook/v1", h.Name, id, look} {
		fmt.Fprintf(m, "%d:%s", len(part), part)
	}
	return m.Sum(nil)
}

// look returns what the owner of a token was shown of an approval.
func (h *Hook) look(id, token string) (string, bool) {
	look, sum, ok := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(sum)
	return look, ok && err == nil && hmac.Equal(raw, h.mac(id, look))
}
