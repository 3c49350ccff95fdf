package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestByteLimit: no byte above the limit goes to the client, in whatever way the
// rows come. A row of "1" takes 12 bytes, one of COPY 7.
func TestByteLimit(t *testing.T) {
	g := start(t, &seamtest.Gate{Masked: emails, Decide: func(c *seam.Command) seamtest.Decision {
		switch {
		case strings.Contains(c.Text, "COPY"):
			return seamtest.Decision{MaxBytes: 21 + 6}
		case strings.Contains(c.Text, "limited"):
			return seamtest.Decision{MaxBytes: 36 + 11}
		}
		return seamtest.Decision{}
	}})
	one, two, three := `row ["1"]`, `row ["2"]`, `row ["3"]`
	large := "SELECT g FROM generate_series(1, 5000000) g /* limited */"
	for name, c := range map[string]struct {
		messages []pgproto3.FrontendMessage
		want     []string
	}{
		"simple":              {[]pgproto3.FrontendMessage{&pgproto3.Query{String: large}}, []string{"columns g:23/0", one, two, three, "error GS1406", "ready I"}},
		"simple, within":      {[]pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT generate_series(1, 3) AS g /* limited */"}}, []string{"columns g:23/0", one, two, three, "complete SELECT 3", "ready I"}},
		"extended":            {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: large}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}, []string{"ParseComplete", "BindComplete", one, two, three, "error GS1406", "ready I"}},
		"in pieces":           {[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: large}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Sync{}}, []string{"ParseComplete", "BindComplete", one, two, "PortalSuspended", three, "error GS1406", "ready I"}},
		"one large row":       {[]pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT repeat('x', 3000000) AS g /* limited */"}}, []string{"columns g:25/0", "error GS1406", "ready I"}},
		"masked":              {[]pgproto3.FrontendMessage{&pgproto3.Query{String: "SELECT email FROM customers ORDER BY id /* limited */"}}, []string{"columns email:25/0", `row ["***"]`, `row ["***"]`, `row ["***"]`, "error GS1406", "ready I"}},
		"a write took effect": {[]pgproto3.FrontendMessage{&pgproto3.Query{String: "UPDATE customers SET id = id WHERE id <= 5 RETURNING 1 AS g /* limited */"}}, []string{"columns g:23/0", one, one, one, "notice 00000", "complete UPDATE 5", "ready I"}},
		"COPY":                {[]pgproto3.FrontendMessage{&pgproto3.Query{String: "COPY (SELECT generate_series(1, 4)) TO STDOUT"}}, []string{"copy out 0 [0]", `data "1\n"`, `data "2\n"`, `data "3\n"`, "error GS1406", "ready I"}},
		"COPY, within":        {[]pgproto3.FrontendMessage{&pgproto3.Query{String: "COPY (SELECT generate_series(1, 3)) TO STDOUT"}}, []string{"copy out 0 [0]", `data "1\n"`, `data "2\n"`, `data "3\n"`, "CopyDone", "complete COPY 3", "ready I"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			r.send(t, c.messages...)
			equal(t, name, r.until(t, 1), c.want)
			equal(t, "in step", r.query(t, "SELECT 1 AS g"), []string{"columns g:23/0", one, "complete SELECT 1", "ready I"})
		})
	}
}
