package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const archived = 20 * time.Second // from the last command to ClickHouse, at most

// whoSQL is what an SRE would ask, as it is with clickhouse client.
const whoSQL = `SELECT formatDateTime(time, '%H:%i:%S') AS at, run_actor AS who, agent, statement AS what,
       effect AS decision, arrayStringConcat(approvers, ', ') AS approved_by, status, rows, masked_cells AS masked
FROM gatestay.commands
WHERE target = 'prod-db' AND repository_id = '1001'
ORDER BY session_id, session_sequence`

// clickSQL is the time from the vote that decided to the intent that followed.
const clickSQL = `SELECT dateDiff('microsecond', maxIf(time, action = 'voted'), maxIf(time, kind = 'intent')) / 1000
FROM gatestay.records WHERE approval_id != '' AND (action = 'voted' OR kind = 'intent' AND length(approvers) > 0)
GROUP BY approval_id HAVING countIf(kind = 'intent') > 0 AND countIf(action = 'voted') > 0`

func (s *story) audit(ctx context.Context) error {
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{s.dev.ClickHouse.Native}})
	if err != nil {
		return fmt.Errorf("demo: clickhouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := s.settled(ctx, conn); err != nil {
		return err
	}
	rows, err := ask(ctx, conn, whoSQL)
	if err != nil {
		return err
	}
	var why string
	if err := conn.QueryRow(ctx, "SELECT any(reason) FROM gatestay.commands WHERE reason != ''").Scan(&why); err != nil {
		return fmt.Errorf("demo: clickhouse: %w", err)
	}
	details := []string{}
	for l := range strings.Lines(whoSQL) {
		details = append(details, s.p.Accent(strings.TrimRight(l, "\n")))
	}
	details = append(append(details, ""), s.p.Table(rows)...)
	s.step(ui.Did, "ClickHouse answers who, what and when", append(details, "", "why: "+why)...)
	return s.finish(ctx, conn)
}

// settled waits until every command of the story has its outcome in ClickHouse.
func (s *story) settled(ctx context.Context, conn driver.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, archived)
	defer cancel()
	for {
		var ended, open uint64
		err := conn.QueryRow(ctx, `SELECT countIf(c.verb = 'drop table' AND c.status = 'refused'), countIf(c.status = 'running')
			FROM gatestay.commands AS c WHERE c.target = 'prod-db'`).Scan(&ended, &open)
		if err == nil && ended > 0 && open == 0 {
			return nil
		}
		if waitErr := pause(ctx, 20*time.Millisecond); waitErr != nil {
			return fmt.Errorf("demo: the records are not in ClickHouse: %w", errors.Join(waitErr, err))
		}
	}
}

// ask returns a result as text, the column names first.
func ask(ctx context.Context, conn driver.Conn, sql string) ([][]string, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("demo: clickhouse: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := [][]string{rows.Columns()}
	for rows.Next() {
		var at, who, agent, what, decision, by, status string
		var n, masked int64
		if err := rows.Scan(&at, &who, &agent, &what, &decision, &by, &status, &n, &masked); err != nil {
			return nil, fmt.Errorf("demo: clickhouse: %w", err)
		}
		out = append(out, []string{at, who, agent, short(what), decision, by, status, fmt.Sprint(n), fmt.Sprint(masked)})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("demo: clickhouse: %w", err)
	}
	return out, nil
}

func short(s string) string {
	const most = 44
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func (s *story) finish(ctx context.Context, conn driver.Conn) error {
	var ms float64
	if err := conn.QueryRow(ctx, clickSQL).Scan(&ms); err != nil {
		return fmt.Errorf("demo: clickhouse: %w", err)
	}
	s.p.Note(fmt.Sprintf("From the click to the resumed command: %.1f ms. The whole story took %.1f s.", ms, time.Since(s.begun).Seconds()))
	s.p.Note("Next: 'make dev' keeps it all running and prints how to connect.")
	return nil
}
