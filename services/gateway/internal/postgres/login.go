package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// open authenticates a client and signs in upstream. The session that it
// returns has told the client that it is ready.
func (s *Server) open(ctx context.Context, c net.Conn, g *greeting) (*session, error) {
	o, err := s.begin(c, g)
	if err != nil {
		return nil, err
	}
	in := wire.NewReader(c)
	ask := askPassword
	if o.bearer {
		ask = func(in *wire.Reader) (string, error) { return s.askBearer(c, in) }
	}
	secret, err := ask(in)
	if err != nil {
		return nil, err
	}
	// What follows is bounded by its own limit, not by the client's haste.
	_ = c.SetDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(ctx, s.limits.Login)
	defer cancel()
	out := wire.NewWriter(c)
	gate, err := s.gate.Authenticate(ctx, seam.Credentials{
		Protocol: Protocol, Target: o.target, Database: o.database, Secret: secret,
		Asserted: map[string]string{"user": o.user, "application_name": o.application},
		Remote:   c.RemoteAddr().String(),
		Warn:     func(n seam.Notice) { _ = appendNotice(out, n) },
	})
	if err != nil && o.bearer {
		err = s.challenge(c, in, err)
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: authenticate: %w", err)
	}
	up, err := s.connect(ctx, gate, o.target, o.settings)
	if err != nil {
		s.log.Warn().Err(err).Str("session_id", gate.ID()).Str("target", o.target).Msg("signing in to a target failed")
		gate.Close("the target could not be reached, or refused the sign-in")
		return nil, err
	}
	ses := newSession(s, gate, o, c, in, out, up)
	if err := ses.prepare(ctx); err != nil {
		ses.abandon("the session could not be set up on the target")
		return nil, err
	}
	return ses, nil
}

// begin checks what a client asks for before it is asked for a credential.
func (s *Server) begin(c net.Conn, g *greeting) (*opening, error) {
	if g.version>>16 != 3 {
		return nil, &refusal.Refusal{
			Code:    refusal.ProtocolUnsupported,
			Message: fmt.Sprintf("protocol %d.%d is not supported: this gateway speaks 3.2 and 3.0", g.version>>16, g.version&0xffff),
		}
	}
	if err := s.requireTLS(g); err != nil {
		return nil, err
	}
	o, err := readOpening(g.settings, s.bearer)
	if err != nil {
		return nil, err
	}
	o.version = min(g.version, wire.Version32)
	var reply []byte
	if o.version != g.version || len(o.options) > 0 {
		reply = wire.AppendNegotiateVersion(reply, o.version, o.options)
	}
	if o.bearer {
		reply = wire.AppendSASL(reply, bearer)
	} else {
		reply = wire.AppendCleartextPassword(reply)
	}
	if _, err := c.Write(reply); err != nil {
		return nil, fmt.Errorf("postgres: ask for a password: %w", err)
	}
	return o, nil
}

// askPassword reads the one message that may come now.
func askPassword(in *wire.Reader) (string, error) {
	body, err := answerBody(in)
	if err != nil {
		return "", err
	}
	secret, err := wire.DecodePassword(body)
	if err != nil {
		return "", violation(err)
	}
	if secret == "" {
		return "", noToken()
	}
	return secret, nil
}

// answerBody reads the body of an answer to a request for authentication.
func answerBody(in *wire.Reader) ([]byte, error) {
	h, err := in.Next()
	if errors.Is(err, wire.ErrMalformed) {
		return nil, violation(err)
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: read password: %w", err)
	}
	if h.Type != wire.Password {
		return nil, violation(fmt.Errorf("message %q where a password is due", h.Type))
	}
	body, err := in.Body(h, maxPassword)
	if err != nil {
		return nil, violation(err)
	}
	return body, nil
}

func noToken() *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.TokenInvalid, Message: "no token was given",
		Hint: "Wrap the command in 'gatestay run TARGET -- COMMAND', or give the job's OIDC token as the password (PGPASSWORD).",
	}
}

// loginRefusal turns a failed sign-in upstream into what the client may know: the
// kind of failure, and never the host, the user or the password.
func loginRefusal(target string, err error) error {
	r := &refusal.Refusal{
		Code: refusal.UpstreamLogin, Message: fmt.Sprintf("the gateway could not sign in to %s", target),
		Hint: "Try again in a moment; operators: the gateway's log says why.",
	}
	var state interface{ SQLState() string }
	switch {
	case errors.As(err, &state) && state.SQLState() != "":
		r.Detail = "The target answered SQLSTATE " + state.SQLState() + "."
	case errors.Is(err, context.DeadlineExceeded):
		r.Detail = "The target did not answer in time."
	default:
		var dns *net.DNSError
		var op *net.OpError
		switch {
		case errors.As(err, &dns):
			r.Detail = "The target's name could not be resolved."
		case errors.As(err, &op):
			r.Detail = "The target could not be reached."
		default:
			r.Detail = "The target's answer, or its certificate, was not accepted."
		}
	}
	return fmt.Errorf("%w: %w", r, err)
}
