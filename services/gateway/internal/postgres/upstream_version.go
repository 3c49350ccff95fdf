package postgres

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Versions of the protocol that a target is asked for. The newer one brings a
// cancel key that cannot be guessed. A server older than 18 negotiates down to
// 3.0 by itself; something in between, an old pooler for one, may refuse, or
// just hang up.
const (
	newestVersion = "3.2"
	oldestVersion = "3.0"
)

// rememberOld is how long a target that refused the newer version is not asked
// for it again: it may be upgraded.
const rememberOld = 10 * time.Minute

// elders remembers the addresses that refused the newer version.
type elders struct {
	mu   sync.Mutex
	till map[string]time.Time
}

func (e *elders) has(address string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().Before(e.till[address]) {
		return true
	}
	delete(e.till, address)
	return false
}

func (e *elders) add(address string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.till == nil {
		e.till = map[string]time.Time{}
	}
	e.till[address] = time.Now().Add(rememberOld)
}

// dial signs in with the newest version of the protocol that the target takes.
// It is no way to downgrade more than the cancel key: the same encryption and
// the same proof are asked for again.
func (e *elders) dial(ctx context.Context, address string, config *pgconn.Config) (*pgconn.PgConn, error) {
	if !e.has(address) {
		config.MaxProtocolVersion = newestVersion
		conn, err := pgconn.ConnectConfig(ctx, config)
		if err == nil || !refusedVersion(err) {
			return conn, err //nolint:wrapcheck // the caller turns it into a refusal
		}
	}
	config.MaxProtocolVersion = oldestVersion
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err == nil {
		e.add(address)
	}
	return conn, err //nolint:wrapcheck // the caller turns it into a refusal
}

// refusedVersion reports that a sign-in may have failed because of the
// version: it was called a violation or unsupported, or the other side hung up.
func refusedVersion(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "08P01" || state.SQLState() == "0A000"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}
