package kit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Row is one row that ClickHouse answered, by column.
type Row map[string]any

// String returns a column as text, "" where it is missing.
func (r Row) String(column string) string {
	switch v := r[column].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// Query asks ClickHouse itself, in its own SQL.
func (g *Gatestay) Query(ctx context.Context, sql string) ([]Row, error) {
	body, err := g.HTTP(ctx, sql+" FORMAT JSONEachRow", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	var rows []Row
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		row := Row{}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("kit: clickhouse: %w: %s", err, lines.Text())
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("kit: clickhouse: %w", err)
	}
	return rows, nil
}

// HTTP sends a statement, and data after it, over ClickHouse's HTTP interface.
func (g *Gatestay) HTTP(ctx context.Context, sql string, data io.Reader) (io.ReadCloser, error) {
	url := "http://" + g.clickhouse.HTTP + "/?database=gatestay&output_format_json_quote_64bit_integers=0"
	text := io.Reader(strings.NewReader(sql + "\n"))
	if data != nil {
		text = io.MultiReader(text, data)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, text)
	if err != nil {
		return nil, fmt.Errorf("kit: clickhouse: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("kit: clickhouse: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		_ = response.Body.Close()
		return nil, fmt.Errorf("kit: clickhouse: %s\n%s", strings.TrimSpace(string(said)), sql)
	}
	return response.Body, nil
}

// AwaitRows waits until the query's rows satisfy the condition, and returns them.
func (g *Gatestay) AwaitRows(t testing.TB, sql string, condition func([]Row) error) []Row {
	t.Helper()
	var rows []Row
	Eventually(t, 40*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		if rows, err = g.Query(ctx, sql); err != nil {
			return err
		}
		return condition(rows)
	})
	return rows
}

// AwaitRecord waits for records with this condition (of ClickHouse's SQL), at
// least n of them, in the order of their session.
func (g *Gatestay) AwaitRecord(t testing.TB, where string, n int) []Row {
	t.Helper()
	return g.AwaitRows(t, "SELECT * FROM records WHERE "+where+" ORDER BY session_id, session_sequence", func(rows []Row) error {
		if len(rows) < n {
			return errors.New("the audit holds only " + fmt.Sprint(len(rows)) + " records where " + where)
		}
		return nil
	})
}
