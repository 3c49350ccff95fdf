package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// errorTexts runs texts and returns what their errors say.
func (r *raw) errorTexts(t testing.TB, texts ...string) string {
	t.Helper()
	var said []string
	for _, text := range texts {
		r.send(t, &pgproto3.Query{String: text})
		for ready := false; !ready; {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *pgproto3.ErrorResponse:
				said = append(said, m.Message)
			case *pgproto3.ReadyForQuery:
				ready = true
			}
		}
	}
	return strings.Join(said, "; ")
}

// TestSettingsAreNotScrubbed: the error of SET quotes the client's own text.
func TestSettingsAreNotScrubbed(t *testing.T) {
	g := start(t, &seamtest.Gate{Scrub: func(string) string { return "[redacted]" }})
	r := dialRaw(t, g.config(t))
	for texts, want := range map[string]string{
		"SET password_encryption = 'novalue'":                       `invalid value for parameter "password_encryption": "novalue"`,
		"SELECT 1; SET password_encryption = 'novalue'":             "[redacted]",
		"SELECT set_config('work_mem', reverse('a secret'), false)": "[redacted]",
		"SELECT 'a secret'::int":                                    `invalid input syntax for type integer: "a secret"`, // the parser's
		"SELECT reverse('a secret')::int":                           "[redacted]",
	} {
		if got := r.errorTexts(t, texts); got != want {
			t.Errorf("%s: %q, want %q", texts, got, want)
		}
	}
}

// TestCopyFailsInItsOwnWords: what a COPY is asked for before is not what fails.
func TestCopyFailsInItsOwnWords(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", `DROP TABLE IF EXISTS guarded; DROP ROLE IF EXISTS guest; CREATE ROLE guest; CREATE TABLE guarded (a int);
		ALTER TABLE guarded ENABLE ROW LEVEL SECURITY`); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{})
	texts := []string{"SET ROLE guest", "SET row_security = off", "COPY guarded TO STDOUT", "COPY (SELECT * FROM guarded) TO STDOUT", "BEGIN", "COPY nowhere TO STDOUT", "ROLLBACK", "COPY (SELECT 1) TO STDOUT"}
	got, want := dialRaw(t, g.config(t)).errorTexts(t, texts...), dialRaw(t, directConfig(t)).errorTexts(t, texts...)
	if got != want {
		t.Errorf("through the gateway: %s\ndirectly: %s", got, want)
	}
}
