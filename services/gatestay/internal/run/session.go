package run

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	startupTimeout = 30 * time.Second
	loginTimeout   = time.Minute
	maxEarlyFrames = 100 // messages of the gateway before the session is open
	bearer         = "OAUTHBEARER"
)

// session serves one connection of the child.
func (p *proxy) session(ctx context.Context, child net.Conn) {
	if child.SetDeadline(time.Now().Add(startupTimeout)) != nil {
		return
	}
	frame, code, err := negotiate(child)
	if err != nil {
		return
	}
	switch {
	case code == codeCancel:
		p.cancel(ctx, frame)
	case code>>16 != 3:
		_, _ = child.Write(fatal("0A000", "only protocol 3 of PostgreSQL is spoken here", ""))
	case p.demandPassword(child):
		p.open1(ctx, child, frame)
	}
}

// negotiate answers requests for encryption with no (this side is private to
// the child) and returns the packet that follows.
func negotiate(child net.Conn) (frame []byte, code uint32, err error) {
	for range 3 { // SSL, GSS, and the packet itself
		if frame, code, err = readStartup(child); err != nil {
			return nil, 0, err
		}
		if code != codeSSL && code != codeGSS {
			return frame, code, nil
		}
		if _, err := child.Write([]byte{'N'}); err != nil {
			return nil, 0, fmt.Errorf("run: %w", err)
		}
	}
	return nil, 0, errors.New("run: asked for encryption again and again")
}

// demandPassword lets in who knows this run's password, where there is one.
func (p *proxy) demandPassword(child net.Conn) bool {
	if p.password == "" {
		return true
	}
	ask, err := (&pgproto3.AuthenticationCleartextPassword{}).Encode(nil)
	if err != nil {
		return false
	}
	if _, err := child.Write(ask); err != nil {
		return false
	}
	frame, err := readFrame(child, maxSecret)
	if err != nil {
		return false
	}
	given, err := passwordOf(frame)
	if err != nil || subtle.ConstantTimeCompare([]byte(given), []byte(p.password)) != 1 {
		_, _ = child.Write(fatal("28P01", "not the password of this run",
			"Connect from the command that 'gatestay run' started: it has the password in PGPASSWORD."))
		return false
	}
	return true
}

// cancel forwards a CancelRequest on a connection of its own, as the child sent
// it: its key is the gateway's.
func (p *proxy) cancel(ctx context.Context, frame []byte) {
	gateway, err := p.gateway.dial(ctx)
	if err != nil {
		return
	}
	defer func() { _ = gateway.Close() }()
	if !p.track(gateway) {
		return
	}
	defer p.untrack(gateway)
	if gateway.SetDeadline(time.Now().Add(startupTimeout)) != nil {
		return
	}
	if _, err := gateway.Write(frame); err == nil {
		// The server closes when it has acted; only then may the child go on.
		_, _ = io.CopyN(io.Discard, gateway, 1)
	}
}

// open1 opens one session: it logs in at the gateway and joins the two sides.
func (p *proxy) open1(ctx context.Context, child net.Conn, startup []byte) {
	gateway, err := p.gateway.dial(ctx)
	if err != nil {
		_, _ = child.Write(fatal("08006", Clean(err.Error()), "Check that the gateway is up and that GATESTAY_POSTGRES and GATESTAY_CA are its."))
		return
	}
	defer func() { _ = gateway.Close() }()
	if !p.track(gateway) {
		return
	}
	defer p.untrack(gateway)
	for _, c := range []net.Conn{gateway, child} {
		if c.SetDeadline(time.Now().Add(loginTimeout)) != nil {
			return
		}
	}
	opened, err := p.login(gateway, child, startup)
	if err != nil {
		_, _ = child.Write(fatal("08P01", Clean(err.Error()), ""))
		return
	}
	if !opened || gateway.SetDeadline(time.Time{}) != nil || child.SetDeadline(time.Time{}) != nil {
		return
	}
	splice(child, gateway)
}

// login sends the child's start-up packet and answers the demand for a password
// with the run's credential. The child sees neither demand nor answer. It
// returns false where the gateway refused: the child has been told.
func (p *proxy) login(gateway, child io.ReadWriter, startup []byte) (opened bool, err error) {
	if _, err := gateway.Write(startup); err != nil {
		return false, fmt.Errorf("run: the gateway went away: %w", err)
	}
	answered := false
	var notices []byte // libpq takes none before AuthenticationOk
	for range maxEarlyFrames {
		frame, err := readFrame(gateway, maxEarly)
		if err != nil {
			return false, fmt.Errorf("run: the gateway went away during the login: %w", err)
		}
		message, err := fromGateway(frame)
		if err != nil {
			return false, err
		}
		switch message.(type) {
		case *pgproto3.AuthenticationCleartextPassword, *pgproto3.AuthenticationSASL:
			if answered {
				return false, errors.New("run: the gateway asks for a password again")
			}
			answered = true
			if err := p.sendCredential(gateway, message); err != nil {
				return false, err
			}
			continue
		case *pgproto3.AuthenticationSASLContinue: // the token was not taken; why comes next
			if err := send(gateway, &pgproto3.SASLResponse{Data: []byte{1}}); err != nil {
				return false, err
			}
			continue
		case *pgproto3.NoticeResponse:
			if len(notices)+len(frame) <= maxEarly {
				notices = append(notices, frame...)
			}
			continue
		case *pgproto3.AuthenticationOk:
			opened = true
			frame = append(frame, notices...)
		case *pgproto3.ErrorResponse, *pgproto3.NegotiateProtocolVersion:
		default:
			return false, fmt.Errorf("run: the gateway asks for a login of another kind (%T)", message)
		}
		// The child's password, where one was asked for, is settled: it waits for
		// the same AuthenticationOk.
		if _, err := child.Write(frame); err != nil {
			return false, fmt.Errorf("run: the command went away: %w", err)
		}
		if _, refused := message.(*pgproto3.ErrorResponse); refused || opened {
			return opened, nil
		}
	}
	return false, errors.New("run: the gateway talks without coming to the point")
}

// sendCredential answers in the way that the gateway asks: for a password, or
// for a token by OAUTHBEARER (RFC 7628), which is as much to it.
func (p *proxy) sendCredential(gateway io.Writer, asked pgproto3.BackendMessage) error {
	var answer pgproto3.FrontendMessage = &pgproto3.PasswordMessage{Password: string(p.credential)}
	if sasl, ok := asked.(*pgproto3.AuthenticationSASL); ok {
		if !slices.Contains(sasl.AuthMechanisms, bearer) {
			return fmt.Errorf("run: the gateway asks for a login of another kind (%s)", strings.Join(sasl.AuthMechanisms, ", "))
		}
		answer = &pgproto3.SASLInitialResponse{AuthMechanism: bearer, Data: []byte("n,,\x01auth=Bearer " + string(p.credential) + "\x01\x01")}
	}
	return send(gateway, answer)
}

func send(gateway io.Writer, m pgproto3.FrontendMessage) error {
	out, err := m.Encode(nil)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if _, err := gateway.Write(out); err != nil {
		return fmt.Errorf("run: the gateway went away: %w", err)
	}
	return nil
}
