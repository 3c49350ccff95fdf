package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/e2e/kit"
)

// crowdSize is how many commands are held at once.
const crowdSize = 1000

// voters is how many votes are under way at once.
const voters = 16

// crowd holds a thousand commands at once, each on a connection of its own: what
// one costs the gateway, its connection included; how long it takes until all of
// them wait; and how many votes a second let them go on.
func crowd(ctx context.Context, g *kit.Gatestay, o Options) (results []Result, err error) {
	o.Log(fmt.Sprintf("holds: %d at once", crowdSize))
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := g.Restart(ctx, []string{kit.Gateway}, nil); err != nil { // a process without a past
		return nil, err
	}
	clients := make([]*kit.Client, 0, crowdSize)
	defer func() {
		for _, c := range clients {
			c.Hang()
		}
	}()
	dial := func() error {
		token, err := g.Issuer.Mint("github-actions", nil)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		c, err := g.Dial(ctx, kit.Target, token, func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol })
		if err == nil {
			clients = append(clients, c)
		}
		return err
	}
	if err := dial(); err != nil { // what the first one brings along is not a command's
		return nil, err
	}
	pid := g.PID(kit.Gateway)
	before, err := resident(pid)
	if err != nil {
		return nil, err
	}
	for range crowdSize - 1 {
		if err := dial(); err != nil {
			return nil, err
		}
	}
	connected, err := resident(pid)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, crowdSize)
	began := time.Now()
	for i, c := range clients {
		go func() {
			_, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO notes (author, body) VALUES ('bench', 'crowd %d')", i))
			ended <- err
		}()
	}
	if err := awaitWaiting(ctx, g); err != nil {
		return nil, err
	}
	waiting := time.Since(began)
	after, err := resident(pid)
	if err != nil {
		return nil, err
	}
	began = time.Now()
	if err := approveAll(ctx, g); err != nil {
		return nil, err
	}
	voted := time.Since(began)
	for range clients {
		if err := <-ended; err != nil {
			return nil, fmt.Errorf("bench: held statement: %w", err)
		}
	}
	return []Result{
		{"approval/held_command", round((after - before) / crowdSize), "bytes"},
		{"approval/held_command/its_connection", round((connected - before) / crowdSize), "bytes"},
		{"approval/holds_at_once/1000", round(waiting.Seconds()), "s"},
		{"approval/votes", round(crowdSize / voted.Seconds()), "votes/s"},
	}, nil
}

// awaitWaiting waits until the approval service knows of all of them.
func awaitWaiting(ctx context.Context, g *kit.Gatestay) error {
	for {
		held, err := metric(ctx, g, "gatestay_gateway_held_commands")
		if err != nil {
			return err
		}
		if held == fmt.Sprint(crowdSize) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: %s of %d commands are held: %w", held, crowdSize, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// approveAll votes on everything that waits, as Dana in the terminal would.
func approveAll(ctx context.Context, g *kit.Gatestay) error {
	token, err := g.Issuer.SignIn("dana", "gatestay-cli", "")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: voters}}
	defer client.CloseIdleConnections()
	ask := func(method, path, body string, into any) error {
		r, err := http.NewRequestWithContext(ctx, method, g.Health(kit.Approval)+path, strings.NewReader(body))
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(r)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("bench: %s %s: %s", method, path, answer.Status)
		}
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		return nil
	}
	for done := 0; done < crowdSize; {
		var list struct{ Approvals []struct{ ID string } }
		if err := ask(http.MethodGet, "/v1/approvals?state=waiting", "", &list); err != nil { // 200 at a time
			return err
		}
		var mu sync.Mutex
		var failed error
		ids := make(chan string)
		var workers sync.WaitGroup
		for range voters {
			workers.Go(func() {
				for id := range ids {
					if err := ask(http.MethodPost, "/v1/approvals/"+id+"/vote", `{"vote":"approve"}`, &struct{}{}); err != nil {
						mu.Lock()
						failed = errors.Join(failed, err)
						mu.Unlock()
					}
				}
			})
		}
		for _, a := range list.Approvals {
			ids <- a.ID
		}
		close(ids)
		workers.Wait()
		if failed != nil {
			return failed
		}
		done += len(list.Approvals)
	}
	return nil
}
