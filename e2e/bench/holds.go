package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/e2e/kit"
	"github.com/gatestay/gatestay/libs/localslack"
)

// holds times the way from a click in Slack to the held statement's answer at
// the client, the statement's own execution included.
func holds(ctx context.Context, g *kit.Gatestay, o Options) (*series, error) {
	s := &series{unit: "ms"}
	o.Log(fmt.Sprintf("holds: %d clicks", o.Holds))
	for i := range o.Holds {
		took, err := hold(ctx, g, i)
		if err != nil {
			return nil, err
		}
		s.add(float64(took.Microseconds()) / 1000)
	}
	return s, nil
}

func hold(ctx context.Context, g *kit.Gatestay, i int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	token, err := g.Issuer.Mint("github-actions", nil)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	c, err := g.Dial(ctx, kit.Target, token, func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol })
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	defer c.Hang()
	marker := fmt.Sprintf("bench_%d_%s", i, kit.Marker("held"))
	type end struct {
		at  time.Time
		err error
	}
	done := make(chan end, 1)
	go func() {
		_, err := c.Exec(ctx, "INSERT INTO notes (author, body) VALUES ('bench', '"+marker+"')")
		done <- end{time.Now(), err}
	}()
	m, err := g.Slack.Await(ctx, kit.Channel, func(m localslack.Message) bool { return strings.Contains(string(m.Blocks), marker) })
	if err != nil {
		return 0, errors.Join(fmt.Errorf("bench: %w", err), errors.New(g.LogTail(kit.Approval, 10)))
	}
	clicked := time.Now()
	if err := g.Message(m.TS).Click(ctx, kit.Dana, "Approve"); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	e := <-done
	if e.err != nil {
		return 0, fmt.Errorf("bench: held statement: %w", e.err)
	}
	return e.at.Sub(clicked), nil
}
