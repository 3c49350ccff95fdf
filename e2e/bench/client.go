package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// dial connects with a driver of our own choice, where pgbench does not do.
func (c connection) dial(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := pgconn.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	port, err := strconv.ParseUint(c.port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("bench: port %q: %w", c.port, err)
	}
	config.Host, config.Port, config.Database, config.User, config.Password = c.host, uint16(port), c.database, c.user, c.password
	config.ChannelBinding = "disable" // see environment
	config.RuntimeParams = map[string]string{}
	if c.tls {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: c.host, MinVersion: tls.VersionTLS12}
	}
	p, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return p, nil
}

// raw is a signed-in connection without a driver: whoever reads a million rows
// through one measures the driver.
type raw struct{ net.Conn }

func (c connection) raw(ctx context.Context) (raw, error) {
	p, err := c.dial(ctx)
	if err != nil {
		return raw{}, err
	}
	h, err := p.Hijack()
	if err != nil {
		return raw{}, fmt.Errorf("bench: %w", err)
	}
	return raw{h.Conn}, nil
}

// query sends a simple Query.
func (r raw) query(sql string) error {
	message := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(len(sql)+5))
	if _, err := r.Write(append(append(message, sql...), 0)); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// read sends a query and counts the rows of its answer.
func (r raw) read(sql string) (rows int, err error) {
	if err := r.query(sql); err != nil {
		return 0, err
	}
	return r.drain()
}

// fill sends rows as the data of a COPY FROM STDIN, and returns how many the
// target has taken. They go in messages of 500.
func (r raw) fill(sql string, rows int) (taken int, err error) {
	const each = 500 // rows of a message
	message := []byte{'d', 0, 0, 0, 0}
	for n := range each {
		message = fmt.Appendf(message, "%d\t2026-01-01 00:00:00+00\tPerson number %d\tperson.%d@example.com\tnote of some length note of some length note of some length %d\n", n, n, n, n)
	}
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-1))
	if err := r.query(sql); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := r.drain() // an error of the target ends what is sent below
		ended <- err
	}()
	for ; taken < rows; taken += each {
		if _, err := r.Write(message); err != nil {
			return 0, errors.Join(fmt.Errorf("bench: %w", err), <-ended)
		}
	}
	if _, err := r.Write([]byte{'c', 0, 0, 0, 4}); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return taken, <-ended
}

// drain reads what a query answers, up to ReadyForQuery, and counts its rows.
func (r raw) drain() (rows int, err error) {
	buf := make([]byte, 256<<10)
	have := 0
	skip := 0 // bytes of a message that are still to come
	for {
		n, err := r.Read(buf[have:])
		if err != nil && n == 0 {
			return rows, fmt.Errorf("bench: %w", err)
		}
		have += n
		at := min(skip, have)
		skip -= at
		for skip == 0 && have-at >= 5 {
			length := 1 + int(binary.BigEndian.Uint32(buf[at+1:]))
			switch buf[at] {
			case 'D', 'd':
				rows++
			case 'E':
				return rows, fmt.Errorf("bench: the query failed: %q", buf[at:min(have, at+length)])
			case 'Z':
				return rows, nil
			}
			step := min(length, have-at)
			at, skip = at+step, length-step
		}
		have = copy(buf, buf[at:have])
	}
}
