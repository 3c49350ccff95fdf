package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// The gateway's own questions must not be a transaction's first query, and a
// failed transaction must take what a server's takes.
func TestTransactionsAsOnAServer(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	for name, script := range map[string]string{
		"characteristics one by one":           "BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nSET TRANSACTION READ ONLY;\nSET TRANSACTION READ WRITE;\nSHOW transaction_isolation;\nCOMMIT;",
		"characteristics after a setting":      "BEGIN;\nSET LOCAL search_path = pg_catalog;\nset transaction isolation level repeatable read, deferrable ;\nSHOW transaction_isolation;\nSHOW search_path;\nCOMMIT;\nSHOW search_path;",
		"characteristics after a query":        "BEGIN;\nSELECT 1;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nSELECT 2;\nROLLBACK;",
		"PREPARE TRANSACTION in a failed one":  "BEGIN;\nSELECT 1/0;\nPREPARE TRANSACTION 'x';\nSELECT 3;",
		"COMMIT in a failed one":               "BEGIN;\nSELECT 1/0;\nSELECT 4;\nCOMMIT;\nSELECT 5;",
		"PREPARE TRANSACTION where it is off":  "BEGIN;\nPREPARE TRANSACTION 'x';\nSELECT 6;",
		"session characteristics change state": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;\nSHOW default_transaction_read_only;\nBEGIN;\nSHOW transaction_read_only;\nCOMMIT;",
	} {
		t.Run(name, func(t *testing.T) {
			want, _ := tool(t, targetEnvironment(t), script, "psql", "-X", "-a")
			got, _ := tool(t, g.environment(t), script, "psql", "-X", "-a")
			if got != want {
				t.Errorf("through the gateway:\n%s\ndirectly:\n%s", got, want)
			}
		})
	}
}

// A portal that was bound before BEGIN, in the same group of messages, goes on in
// the transaction that it begins: with another state than it was decided under.
func TestPortalBoundBeforeBegin(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	got := converse(t, dialRaw(t, g.config(t)), []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{DestinationPortal: "p1"}, &pgproto3.Query{String: "BEGIN"},
		&pgproto3.Execute{Portal: "p1"}, &pgproto3.Sync{}, &pgproto3.Terminate{},
	})
	equal(t, "through the gateway", got, []string{"ParseComplete", "BindComplete", "complete BEGIN", "ready T", "error GS1206", "ready E"})
}

// What comes behind a failure in a transaction is answered as a server does,
// though it was on its way before the failure was known.
func TestNamesInAFailedTransaction(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	sent := []pgproto3.FrontendMessage{
		&pgproto3.Query{String: "BEGIN"}, &pgproto3.Query{String: "SELECT set_config('lock_timeout', '2s', false)"}, &pgproto3.Bind{}, &pgproto3.Sync{},
		&pgproto3.Close{ObjectType: 'S', Name: "s1"}, &pgproto3.Bind{PreparedStatement: "s2"}, &pgproto3.Sync{}, &pgproto3.Terminate{},
	}
	want := converse(t, dialRaw(t, directConfig(t)), sent)
	for range 20 { // whichever comes first
		equal(t, "through the gateway", converse(t, dialRaw(t, g.config(t)), sent), want)
	}
}

// A statement that is parsed behind a refused one is there, though it was on its way
// before the refusal was answered.
func TestUnnamedStatementBehindARefusal(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	sent := []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: "SELECT 1; SELECT 2"}, &pgproto3.Sync{}, &pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Sync{}, &pgproto3.Bind{}, &pgproto3.Sync{},
		&pgproto3.Parse{Query: "SELECT 1; SELECT 2"}, &pgproto3.Sync{}, &pgproto3.Bind{}, &pgproto3.Sync{}, &pgproto3.Terminate{},
	}
	want := converse(t, dialRaw(t, directConfig(t)), sent)
	for range 20 {
		equal(t, "through the gateway", converse(t, dialRaw(t, g.config(t)), sent), want)
	}
}
