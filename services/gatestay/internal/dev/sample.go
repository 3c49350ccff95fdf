package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatestay/gatestay/libs/embedded"
)

const (
	sampleTarget   = "prod-db" // as gatestay-sample.yaml names it
	sampleDatabase = "shop"
	sampleUser     = "gatestay"
)

// sample is the PostgreSQL 18 that stands for production.
type sample struct {
	server       *embedded.PostgreSQLServer
	Address      string // host:port
	User         string
	PasswordFile string
	CA           string
}

// startSample starts the server and, the first time, fills it.
func startSample(ctx context.Context, l layout, o Options) (*sample, error) {
	server, err := embedded.PostgreSQL(ctx, embedded.PostgreSQLOptions{
		Dir: l.data("postgresql"), Log: o.Log, Progress: o.Progress, Address: preferred(portSample), LogStatements: true,
	})
	if err != nil {
		return nil, fmt.Errorf("dev: sample database: %w", err)
	}
	s := &sample{server: server, Address: server.Address, User: sampleUser, PasswordFile: l.key("prod-db.password"), CA: server.CA}
	if err := s.fill(ctx); err != nil {
		return nil, errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *sample) fill(ctx context.Context) error {
	if _, err := os.Stat(s.PasswordFile); err == nil {
		return nil
	}
	raw, err := files.ReadFile("files/sample.sql")
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	password := randomHex()
	if err := s.server.CreateDatabase(ctx, sampleDatabase); err != nil {
		return fmt.Errorf("dev: sample database: %w", err)
	}
	if err := s.server.Exec(ctx, sampleDatabase, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'; GRANT CREATE ON SCHEMA public TO %s; GRANT CONNECT, TEMPORARY ON DATABASE %s TO %s;",
		sampleUser, password, sampleUser, sampleDatabase, sampleUser)); err != nil {
		return fmt.Errorf("dev: sample database: %w", err)
	}
	if err := s.server.Exec(ctx, sampleDatabase, "SET ROLE "+sampleUser+";\n"+string(raw)); err != nil {
		return fmt.Errorf("dev: sample database: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.PasswordFile), 0o700); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	if err := os.WriteFile(s.PasswordFile, []byte(password), 0o600); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	return nil
}
