package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// atRest counts what the audit has of the selects that the gateway answered, once
// the services behind it have caught up.
func atRest(ctx context.Context, g *kit.Gatestay, t *table) error {
	if t.sent == 0 {
		return nil
	}
	t.options.Log(fmt.Sprintf("records: waiting until those of %d selects are in ClickHouse", t.sent))
	if err := g.Restart(ctx, []string{kit.Masking, kit.Archival}, nil); err != nil {
		return err
	}
	const commands = "SELECT toString(uniqExactIf(command_id, kind = 'intent')) AS intents, toString(uniqExactIf(command_id, kind = 'outcome')) AS outcomes, toString(count()) AS records " +
		"FROM records WHERE command_id IN (SELECT command_id FROM records WHERE kind = 'intent' AND startsWith(statement, 'SELECT abalance FROM pgbench_accounts'))"
	began, last, moved := time.Now(), "", time.Now()
	for {
		rows, err := g.Query(ctx, commands)
		if err != nil {
			return err
		}
		intents, err1 := strconv.Atoi(rows[0].String("intents"))
		outcomes, err2 := strconv.Atoi(rows[0].String("outcomes"))
		records, err3 := strconv.Atoi(rows[0].String("records"))
		if err := errors.Join(err1, err2, err3); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		if now := rows[0].String("records"); now != last {
			last, moved = now, time.Now()
		}
		done := intents >= t.sent && outcomes >= t.sent
		if done || time.Since(moved) > 20*time.Second {
			t.at("records/commands", "commands").add(float64(t.sent))
			t.at("records/at_rest", "records").add(float64(records))
			t.at("records/lost", "records").add(float64(max(0, t.sent-intents) + max(0, t.sent-outcomes)))
			t.options.Log(fmt.Sprintf("records: %d after %s", records, time.Since(began).Round(time.Second)))
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func printRecords(t *table) {
	figures := []string{"journal/records", "journal/lone_write/added_p50", "records/commands", "records/at_rest", "records/lost"}
	if !t.measured(figures...) {
		return
	}
	t.heading("Records")
	t.row("journalled a second, at most", "added to a lone write, ms (p50)", "selects answered", "records at rest", "lost")
	t.rule(4)
	cells := make([]string, len(figures))
	for i, f := range figures {
		cells[i] = t.series[f].cell()
	}
	t.row(cells[0], cells[1:]...)
}
