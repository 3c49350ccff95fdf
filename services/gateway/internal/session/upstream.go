package session

import (
	"context"
	"fmt"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Upstream implements seam.Session.
func (s *Session) Upstream(context.Context) (seam.Upstream, error) {
	c := s.gate.Config()
	password, err := s.credential(c, s.conf.Password)
	if err != nil {
		return seam.Upstream{}, err
	}
	key, err := s.credential(c, s.conf.Key)
	if err != nil {
		return seam.Upstream{}, err
	}
	mode := s.conf.TLS
	if mode == "" {
		mode = "verify-full"
	}
	return seam.Upstream{
		Address: s.conf.Address, Database: s.database, User: s.conf.User, Password: password,
		TLS: mode, CA: c.Path(s.conf.CA), Direct: s.conf.TLSNegotiation == "direct",
		Certificate: c.Path(s.conf.Certificate), Key: key,
		ChannelBinding: s.conf.ChannelBinding == "require", RequireAuth: s.conf.RequireAuth,
	}, nil
}

// credential reads what a reference names; an empty one is empty.
func (s *Session) credential(c *config.Config, reference config.Secret) (string, error) {
	if reference == "" {
		return "", nil
	}
	value, err := reference.Resolve(c.Dir)
	if err != nil {
		s.gate.Log.Error().Err(err).Str("target", s.target).Str("session_id", s.id).Msg("target credential cannot be read")
		return "", &refusal.Refusal{
			Code: refusal.UpstreamLogin, Message: fmt.Sprintf("the gateway has no credential for %s", s.target), ID: s.id,
			Hint: "Operators: the gateway's log says which reference could not be read.",
		}
	}
	return value, nil
}
