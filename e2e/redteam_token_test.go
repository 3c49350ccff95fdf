package e2e

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/e2e/kit"
)

// tokenised masks orders.item by tokens that are translated back, for the time
// of a test, and returns the token that a reader gets for the order 7.
func tokenised(t *testing.T, g *kit.Gatestay) (token string) {
	t.Helper()
	edit := func(text string) {
		before := g.Metric(t, kit.Gateway, "gatestay_gateway_masking_version")
		if err := g.Rewrite("masking/tokens.yaml", func(string) string { return text }); err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, 10*time.Second, func() error {
			if g.Metric(t, kit.Gateway, "gatestay_gateway_masking_version") == before {
				return errors.New("the gateway still has the old masking rules")
			}
			return nil
		})
	}
	t.Cleanup(func() { edit("") })
	edit("masks: [{name: order-item, targets: [prod-db], column: public.orders.item, strategy: token, translate: true}]\n")
	if err := g.Connect(t, nil).QueryRow(t.Context(), "SELECT item FROM orders WHERE id = 7").Scan(&token); err != nil || !strings.HasPrefix(token, "gst_") {
		t.Fatalf("%q, %v", token, err)
	}
	return token
}

// TestTokensFindTheirRow: a token that was read and comes back in a Bind
// parameter finds the row that it came from, in reads and in writes.
func TestTokensFindTheirRow(t *testing.T) {
	g := shared.Get(t)
	token := tokenised(t, g)
	for name, mode := range modes {
		if mode == pgx.QueryExecModeSimpleProtocol {
			continue // the client writes it into the text
		}
		t.Run(name, func(t *testing.T) {
			c := g.Connect(t, kit.Importer)
			var id int64
			var item string
			if err := c.QueryRow(t.Context(), "SELECT id, item FROM orders WHERE item = $1", mode, token).Scan(&id, &item); err != nil || id != 7 || item != token {
				t.Errorf("a read: %d, %s, %v", id, item, err)
			}
			tag, err := c.Exec(t.Context(), "UPDATE orders SET cents = cents WHERE $1 = item", mode, token)
			if err != nil || tag.RowsAffected() != 1 {
				t.Errorf("a write: %v, %v", tag, err)
			}
		})
	}
}

// TestRedteam13_TokensAreNoKeys: a token is not written over the value that it
// stands for, and what it stands for does not come back by it.
func TestRedteam13_TokensAreNoKeys(t *testing.T) {
	g := shared.Get(t)
	token := tokenised(t, g)
	c := g.Connect(t, kit.Importer)
	bind := func(sql string) (*pgconn.Result, error) {
		r := c.PgConn().ExecParams(t.Context(), sql, [][]byte{[]byte(token)}, nil, nil, nil).Read()
		return r, r.Err
	}
	for _, sql := range []string{
		"UPDATE orders SET item = $1 WHERE id = 7",
		"UPDATE orders SET item = $1 WHERE item = $1",
		"INSERT INTO orders (customer, item, cents) VALUES (1, $1, 1)",
		"INSERT INTO notes (author) SELECT $1::text FROM orders WHERE item = $1",
		"UPDATE orders SET item = '" + token + "' WHERE id = 7 AND $1 = 'x'",
		"UPDATE orders SET cents = 1 WHERE item = '" + token + "' AND $1 = 'x'",
	} {
		_, err := bind(sql)
		kit.Refused(t, err, "GS1223")
	}
	for _, sql := range []string{
		"SELECT id, $1::text FROM orders WHERE item = $1",
		"EXPLAIN (VERBOSE) SELECT id FROM orders WHERE item = $1",
		"SELECT id FROM orders WHERE item = $1::int::text",
		"SELECT id FROM orders WHERE item = $1::varchar(4)",
		"SELECT id FROM orders WHERE item = '" + token + "' OR $1 = 'x'",
		"SELECT id FROM orders WHERE item LIKE $1",
		"SELECT id FROM orders WHERE item = lower($1)",
		"SELECT id FROM orders WHERE item IN ($1, 'x')",
		"SELECT note FROM customers WHERE note = $1",
	} {
		r, err := bind(sql)
		var said strings.Builder
		for _, row := range r.Rows {
			for _, v := range row {
				said.Write(v)
				said.WriteByte(' ')
			}
		}
		var pe *pgconn.PgError
		if errors.As(err, &pe) {
			said.WriteString(pe.Message + pe.Detail + pe.Hint + pe.Where + pe.InternalQuery)
		}
		if strings.Contains(said.String(), "item 7") {
			t.Errorf("%s: %s", sql, said.String())
		}
		if len(r.Rows) > 0 && !strings.HasPrefix(sql, "EXPLAIN") {
			t.Errorf("%s: finds a row: %s", sql, said.String())
		}
	}
}

// TestRedteam13_MaskedDataIsNotCopiedBack: what COPY gave out masked does not come
// back by COPY, in any format; nothing of it is stored, and the session goes on.
func TestRedteam13_MaskedDataIsNotCopiedBack(t *testing.T) {
	g := shared.Get(t)
	tokenised(t, g)
	c := g.Connect(t, kit.Importer)
	var before, after int
	count := func(n *int) {
		if err := c.QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(n); err != nil {
			t.Fatal(err)
		}
	}
	count(&before)
	for _, with := range []string{"", "(FORMAT csv, HEADER)", "(FORMAT csv, FORCE_QUOTE *)", "(FORMAT binary)"} {
		var masked bytes.Buffer
		if _, err := c.PgConn().CopyTo(t.Context(), &masked, "COPY orders (customer, item, cents) TO STDOUT "+with); err != nil || !strings.Contains(masked.String(), "gst_") {
			t.Fatalf("%s: %.200q, %v", with, masked.String(), err)
		}
		with = strings.Replace(with, ", FORCE_QUOTE *", "", 1)
		_, err := c.PgConn().CopyFrom(t.Context(), &masked, "COPY orders (customer, item, cents) FROM STDIN "+with)
		var e *pgconn.PgError
		if !errors.As(err, &e) || !strings.HasPrefix(e.Message, "GS1223: ") || !strings.Contains(e.Message, "the value for item") {
			t.Errorf("%s: %v", with, err)
		}
	}
	if count(&after); after != before {
		t.Errorf("%d orders, then %d", before, after)
	}
	if _, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader("1\tpear\t1\n"), "COPY orders (customer, item, cents) FROM STDIN"); err != nil {
		t.Errorf("what no mask has made: %v", err)
	}
}
