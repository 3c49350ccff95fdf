// Package store is the audit store in ClickHouse: its migrations, what is in it
// of each producer's chain, the insert that stores batches once, and the
// questions that the API answers.
//
// # Once
//
// A batch is stored when it has a row in batches. That row is written last, so
// a batch without one may have all its records, or none: the records of a batch
// are one block in one partition, which ClickHouse stores whole or not at all.
// After a crash, Orphans finds the records of batches that have no row, and
// their records are not written again. An insert whose outcome is not known is
// repeated unchanged, under the same deduplication token.
//
// One writer at a time makes this hold: see the package lease.
package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/config"
	schema "github.com/gatestay/gatestay/schemas/clickhouse"
)

// The limits of one conversation with the server.
const (
	dialTimeout = 5 * time.Second
	readTimeout = 60 * time.Second
)

// Store is a connection pool. Safe for concurrent use.
type Store struct {
	conn    clickhouse.Conn
	options *clickhouse.Options
	log     zerolog.Logger
	name    string // of this process, in query ids

	mu   sync.Mutex
	fail error // what the last exchange with the server ended with
}

// Open prepares a pool; it does not connect. name appears in query ids.
func Open(cfg config.ClickHouse, dir, name string, log zerolog.Logger) (*Store, error) {
	password := ""
	if cfg.Password != "" {
		var err error
		if password, err = cfg.Password.Resolve(dir); err != nil {
			return nil, fmt.Errorf("store: archival.clickhouse.password: %w", err)
		}
	}
	o := &clickhouse.Options{
		Addr:        strings.Split(cfg.Address, ","),
		Auth:        clickhouse.Auth{Database: cfg.Database, Username: cfg.User, Password: password},
		ClientInfo:  clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{"gatestay-archival", ""}}},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		DialTimeout: dialTimeout, ReadTimeout: readTimeout, MaxOpenConns: 8, MaxIdleConns: 4, ConnMaxLifetime: 10 * time.Minute,
	}
	if o.Auth.Database == "" {
		o.Auth.Database = "gatestay"
	}
	if cfg.TLS {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &Store{conn: conn, options: o, log: log, name: name, fail: errors.New("not connected yet")}, nil
}

// Close closes the pool.
func (s *Store) Close() error {
	if err := s.conn.Close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// Ready reports how the last exchange with the server ended.
func (s *Store) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

// note keeps err for Ready and returns it.
func (s *Store) note(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
	return err
}

// Ping asks the server for an answer.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.conn.Exec(ctx, "SELECT 1"); err != nil {
		return s.note(fmt.Errorf("store: ping: %w", err))
	}
	return s.note(nil)
}

// Migrate makes the database and brings it up to date. Every statement may run
// twice, so that replicas that start together need no lock.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.note(s.migrate(ctx)); err != nil {
		return err
	}
	s.optional(ctx)
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	if err := s.createDatabase(ctx); err != nil {
		return err
	}
	files, err := fs.Sub(schema.Migrations, "migrations")
	if err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	db := clickhouse.OpenDB(s.options)
	defer func() { _ = db.Close() }()
	provider, err := goose.NewProvider(goose.DialectClickHouse, db, files)
	if err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("store: migrate: %w", err)
	}
	for _, r := range results {
		s.log.Info().Str("migration", r.Source.Path).Dur("took", r.Duration).Msg("audit store migrated")
	}
	return nil
}

func (s *Store) createDatabase(ctx context.Context) error {
	o := *s.options
	o.Auth.Database = "default"
	conn, err := clickhouse.Open(&o)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quote(s.options.Auth.Database)); err != nil {
		return fmt.Errorf("store: create database: %w", err)
	}
	return nil
}

// optional runs what a server may refuse without harm.
func (s *Store) optional(ctx context.Context) {
	names, err := fs.Glob(schema.Optional, "optional/*.sql")
	if err != nil {
		return
	}
	for _, name := range names {
		sql, err := fs.ReadFile(schema.Optional, name)
		if err == nil {
			err = s.conn.Exec(ctx, string(sql))
		}
		if err != nil {
			s.log.Warn().Err(err).Str("file", name).Msg("the server has no such index; queries work without it")
		}
	}
}

// quote makes an identifier.
func quote(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}
