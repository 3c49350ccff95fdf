package approval

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/gatestay/gatestay/libs/identity"
	"github.com/gatestay/gatestay/libs/loopback"
	"github.com/gatestay/gatestay/services/approval/internal/web"
)

// newInbox makes the pages, where people can sign in and reach them. Without an
// address of its own the service is reached by its listener's, on loopback only.
func (s *Service) newInbox() error {
	at := s.InboxURL()
	if s.cfg.People.Issuer == "" || at == "" {
		return nil
	}
	signIn, err := identity.NewBrowser(s.cfg.People, s.cfg.Dir, at+"/signin/callback", s.deps.Now)
	if err != nil {
		return fmt.Errorf("approval: %w", err)
	}
	secret, err := s.key.Derive("inbox/v1 " + at)
	if err != nil {
		return fmt.Errorf("approval: %w", err)
	}
	provider := ""
	if u, err := url.Parse(s.cfg.People.Issuer); err == nil && !loopback.Host(u.Host) {
		provider = u.Hostname()
	}
	if s.inbox, err = web.New(web.Options{
		URL: at, Provider: provider, SignIn: signIn, Secret: secret, Backend: s.backend.Load, Now: s.deps.Now, Log: s.deps.Log,
	}); err != nil {
		return fmt.Errorf("approval: %w", err)
	}
	return nil
}

// InboxURL is where people reach the pages, without a slash at its end; empty
// where they cannot.
func (s *Service) InboxURL() string {
	switch {
	case s.cfg.People.Issuer == "":
		return ""
	case s.cfg.Approval.URL != "":
		return strings.TrimSuffix(s.cfg.Approval.URL, "/")
	case loopback.Host(s.Addr()):
		return "http://" + s.Addr()
	}
	return ""
}
