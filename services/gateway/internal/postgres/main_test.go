package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/gatestay/gatestay/libs/embedded"
)

// target is the real server behind the gateway.
var target *embedded.PostgreSQLServer

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gatestay-postgres-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		target, err = embedded.PostgreSQL(ctx, embedded.PostgreSQLOptions{Dir: dir, Log: zerolog.Nop(), LogStatements: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = target.Stop(context.Background()) }()
		if err := target.Exec(ctx, "postgres", schema); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := goleak.Find(goleak.IgnoreTopFunction("os/exec.(*Cmd).Wait"), goleak.IgnoreAnyFunction("github.com/gatestay/gatestay/libs/embedded.start.func1")); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

const schema = `
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, balance numeric, born date, data jsonb);
INSERT INTO customers SELECT g, 'name ' || g, 'user' || g || '@example.com', g * 1.5, date '2000-01-01' + g, jsonb_build_object('n', g) FROM generate_series(1, 100) g;
CREATE TABLE scratch (id int PRIMARY KEY, note text);
CREATE FUNCTION volatile_write() RETURNS int LANGUAGE sql AS $$ INSERT INTO scratch VALUES (4711, 'written by a function') RETURNING id $$;
`
