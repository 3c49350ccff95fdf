package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/run"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const (
	agent  = "support-agent"
	reason = "ticket 4711: gold for everyone until Friday"
)

// story plays the demo and prints it.
type story struct {
	env   *cli.Env
	p     *ui.Printer
	dev   cli.Dev
	begun time.Time
	conn  *pgx.Conn
}

func newStory(env *cli.Env, p *ui.Printer, d cli.Dev) *story {
	return &story{env: env, p: p, dev: d, begun: time.Now()}
}

func (s *story) step(m ui.Mark, text string, details ...string) {
	s.p.Step(time.Since(s.begun).Seconds(), m, text, details...)
}

func (s *story) ready(took time.Duration) {
	s.step(ui.Did, fmt.Sprintf("bus, five services and ClickHouse are ready, in %d ms", took.Milliseconds()),
		"target prod-db is a real PostgreSQL 18 with 1200 customers; its password is known to the gateway only")
}

func (s *story) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // somebody has to find the button
	defer cancel()
	credential, end, err := s.signIn(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := s.connect(ctx, credential); err != nil {
		return err
	}
	defer func() { _ = s.conn.Close(context.WithoutCancel(ctx)) }()
	if err := s.read(ctx); err != nil {
		return err
	}
	if err := s.update(ctx); err != nil {
		return err
	}
	if err := s.drop(ctx); err != nil {
		return err
	}
	if err := s.conn.Close(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return s.audit(ctx)
}

// signIn mints a job's token and exchanges it, as gatestay run does.
func (s *story) signIn(ctx context.Context) (credential string, end func(), err error) {
	raw, err := token.Mint(ctx, s.env, token.MintRequest{Claims: map[string]any{"actor": "riley", "workflow": agent}})
	if err != nil {
		return "", nil, err
	}
	s.step(ui.Said, "an agent's job asks its CI system for a token",
		"job of acme/shop (repository 1001, owner 2002), workflow "+agent+", started by riley; lives 10 minutes, works once")
	g, err := run.NewGateway(s.env)
	if err != nil {
		return "", nil, err
	}
	e, err := g.Exchange(ctx, run.ExchangeRequest{Token: raw, Target: "prod-db", Reason: reason, Agent: agent})
	if err != nil {
		return "", nil, err
	}
	s.step(ui.Did, "gatestay run exchanges it once, for a credential that ends with the step",
		fmt.Sprintf("%s, in memory only, up to %d connections", e.ID, e.Connections))
	return string(e.Credential), func() {
		_ = g.End(context.WithoutCancel(ctx), e.Credential)
		g.Close()
	}, nil
}

func (s *story) connect(ctx context.Context, credential string) error {
	c, err := pgx.ParseConfig(fmt.Sprintf("postgres://agent@%s/prod-db?sslmode=verify-full&sslrootcert=%s", s.dev.Gateway.Postgres, s.dev.Gateway.CA))
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	c.Password = credential
	c.OnNotice = s.notice
	if s.conn, err = pgx.ConnectConfig(ctx, c); err != nil {
		return fmt.Errorf("demo: connect: %w", err)
	}
	return nil
}

// notice shows what the gateway tells a held client.
func (s *story) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	s.step(ui.Held, "NOTICE: "+n.Message, n.Detail, n.Hint)
}

const readSQL = "SELECT name, email, phone, notes FROM customers ORDER BY id LIMIT 4"

func (s *story) read(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, readSQL)
	if err != nil {
		return fmt.Errorf("demo: read: %w", err)
	}
	table := [][]string{{"name", "email", "phone", "notes"}}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return fmt.Errorf("demo: read: %w", err)
		}
		line := make([]string, len(values))
		for i, v := range values {
			if line[i] = "NULL"; v != nil {
				line[i] = fmt.Sprint(v)
			}
		}
		table = append(table, line)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("demo: read: %w", err)
	}
	s.step(ui.Did, "it reads customers; what is personal comes back masked", append([]string{s.p.Accent(readSQL), ""}, s.p.Table(table)...)...)
	return nil
}

const updateSQL = "UPDATE customers SET tier = 'gold'"

func (s *story) update(ctx context.Context) error {
	s.step(ui.Said, "it runs an UPDATE without WHERE", s.p.Accent(updateSQL))
	clicked := make(chan error, 1)
	clickCtx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { clicked <- s.approve(clickCtx) }()
	tag, err := s.conn.Exec(ctx, updateSQL)
	stop()
	if clickErr := <-clicked; clickErr != nil && !errors.Is(clickErr, context.Canceled) {
		return clickErr
	}
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		s.step(ui.Refused, "refused: "+refused.Message, refused.Hint)
		return nil
	case err != nil:
		return fmt.Errorf("demo: update: %w", err)
	}
	s.step(ui.Did, fmt.Sprintf("approved: the same connection goes on, %d rows", tag.RowsAffected()))
	return nil
}

const dropSQL = "DROP TABLE customers"

func (s *story) drop(ctx context.Context) error {
	_, err := s.conn.Exec(ctx, dropSQL)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return fmt.Errorf("demo: the DROP TABLE was not refused: %w", err)
	}
	details := []string{s.p.Accent(dropSQL), ""}
	for l := range strings.Lines(refused.Detail) {
		if !strings.HasPrefix(l, "gatestay:") { // the line for machines
			details = append(details, strings.TrimRight(l, "\n"))
		}
	}
	s.step(ui.Refused, "it tries to drop the table and is told why not: "+refused.Message, append(details, refused.Hint)...)
	var still int
	if err := s.conn.QueryRow(ctx, "SELECT count(*) FROM customers").Scan(&still); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	s.p.Details(fmt.Sprintf("the connection is in step, the table is there: %d rows", still))
	return nil
}
