package store

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// outcomes fills in how the commands ended.
func (s *Store) outcomes(ctx context.Context, commands []Command) error {
	if len(commands) == 0 {
		return nil
	}
	sessions, ids := make([]string, len(commands)), make([]string, len(commands))
	for i, c := range commands {
		sessions[i], ids[i] = c.SessionID, c.CommandID
	}
	ended := make(map[string]Outcome, len(commands))
	err := s.each(ctx, `
		SELECT command_id, status, code, message, rows, bytes, masked_cells, duration_ns FROM records
		WHERE session_id IN {sessions:Array(String)} AND command_id IN {commands:Array(String)} AND kind = 'outcome' AND integrity = 'verified'`,
		[]any{clickhouse.Named("sessions", sessions), clickhouse.Named("commands", ids)},
		func(rows driver.Rows) error {
			var id string
			var o Outcome
			var took int64
			if err := rows.Scan(&id, &o.Status, &o.Code, &o.Message, &o.Rows, &o.Bytes, &o.MaskedCells, &took); err != nil {
				return err
			}
			o.Duration = seconds(took)
			ended[id] = o
			return nil
		})
	if err != nil {
		return err
	}
	var open []*Command
	for i := range commands {
		if o, ok := ended[commands[i].CommandID]; ok {
			commands[i].Outcome = o
		} else if commands[i].Status != StatusHeld {
			open = append(open, &commands[i])
		}
	}
	return s.unfinished(ctx, open)
}

// unfinished says of commands without an outcome whether it may still come: not
// when their session has closed, nor when a later life of their gateway began.
func (s *Store) unfinished(ctx context.Context, commands []*Command) error {
	if len(commands) == 0 {
		return nil
	}
	sessions, lives := make([]string, len(commands)), map[string]string{}
	for i, c := range commands {
		sessions[i] = c.SessionID
		lives[c.producer] = ""
	}
	closed := map[string]bool{}
	err := s.each(ctx, "SELECT session_id FROM records WHERE session_id IN {sessions:Array(String)} AND kind = 'session_closed' AND integrity = 'verified'",
		[]any{clickhouse.Named("sessions", sessions)},
		func(rows driver.Rows) error {
			var id string
			err := rows.Scan(&id)
			closed[id] = true
			return err
		})
	if err != nil {
		return err
	}
	for producer := range lives {
		err := s.each(ctx, "SELECT incarnation FROM batches WHERE producer = {producer:String} AND digest = '' ORDER BY producer DESC, incarnation DESC LIMIT 1",
			[]any{clickhouse.Named("producer", producer)},
			func(rows driver.Rows) error {
				var latest string
				err := rows.Scan(&latest)
				lives[producer] = latest
				return err
			})
		if err != nil {
			return err
		}
	}
	for _, c := range commands {
		c.Status = "running"
		if closed[c.SessionID] || c.incarnation < lives[c.producer] {
			c.Status = "unknown"
		}
	}
	return nil
}
