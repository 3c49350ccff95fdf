package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// greeting reads a session's first words.
func greetingOf(t testing.TB, r *pgproto3.Frontend) map[string]string {
	t.Helper()
	status := map[string]string{}
	for {
		m, err := r.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.ParameterStatus:
			status[m.Name] = m.Value
		case *pgproto3.ReadyForQuery:
			return status
		}
	}
}

// TestSettingsAreReported compares what a server reports at the start, all of
// it, with what the gateway does.
func TestSettingsAreReported(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	s := g.secure(t)
	write(t, s, startup("user\x00job", "database\x00prod-db"))
	f := pgproto3.NewFrontend(s, s)
	if _, err := f.Receive(); err != nil {
		t.Fatal(err)
	}
	f.Send(&pgproto3.PasswordMessage{Password: seamtest.Secret})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	got := greetingOf(t, f)
	conn := direct(t)
	rows, err := conn.Query(t.Context(), "SELECT name FROM pg_settings WHERE name <> 'session_authorization'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	reported := 0
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		want := conn.PgConn().ParameterStatus(name)
		if want != "" || got[name] != "" {
			reported++
		}
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
	if reported < 12 || got["search_path"] == "" || got["in_hot_standby"] != "off" || got["session_authorization"] != "job" {
		t.Errorf("%d of them: %v", reported, got)
	}
}

// TestAsynchronousMessagesKeepTheirOrder runs LISTEN, NOTIFY, notices and
// settings, alone and in a pipeline, through the gateway and directly.
func TestAsynchronousMessagesKeepTheirOrder(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	talk := func(t *testing.T, r *raw) []string {
		t.Helper()
		var got []string
		for _, text := range []string{
			"LISTEN news", "NOTIFY news, 'one'", "SELECT 1 AS a; NOTIFY news, 'two'; SELECT 2 AS b", "BEGIN", "NOTIFY news, 'three'", "COMMIT",
			"SET TimeZone = 'Europe/Oslo'", "SET application_name = 'x'; SELECT 1 AS a; SET application_name = 'y'", "BEGIN; SET LOCAL DateStyle = German; SELECT 3 AS c; COMMIT",
			"SET search_path = pg_catalog, public", "RESET ALL", "DO $$ BEGIN RAISE NOTICE 'before'; RAISE WARNING 'after'; END $$", "SET nonsense = 1", "UNLISTEN *",
		} {
			got = append(got, r.query(t, text)...)
		}
		r.send(t, &pgproto3.Parse{Query: "SET TimeZone = 'Asia/Tokyo'"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
			&pgproto3.Parse{Query: "SELECT 4 AS d"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
			&pgproto3.Parse{Query: "RESET TimeZone"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		return append(got, r.until(t, 3)...)
	}
	equal(t, "through the gateway", talk(t, dialRaw(t, g.config(t))), talk(t, dialRaw(t, directConfig(t))))
	t.Run("while idle", func(t *testing.T) {
		r := dialRaw(t, g.config(t))
		r.query(t, "LISTEN idle_news")
		if err := target.Exec(t.Context(), "postgres", "NOTIFY idle_news, 'from elsewhere'"); err != nil {
			t.Fatal(err)
		}
		m, err := r.Receive()
		if n, ok := m.(*pgproto3.NotificationResponse); err != nil || !ok || n.Payload != "from elsewhere" || n.PID == r.pid {
			t.Fatalf("%#v, %v", m, err)
		}
		// A changed default is reported to whoever has not set it otherwise.
		if err := target.Exec(t.Context(), "postgres", "ALTER SYSTEM SET TimeZone = 'Asia/Kolkata'"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = target.Exec(context.Background(), "postgres", "ALTER SYSTEM RESET TimeZone")
			_ = target.Exec(context.Background(), "postgres", "SELECT pg_reload_conf()")
		}()
		if err := target.Exec(t.Context(), "postgres", "SELECT pg_reload_conf()"); err != nil {
			t.Fatal(err)
		}
		// A server reads its configuration before its next command.
		eventually(t, "it is reported", func() bool { return slices.Contains(r.query(t, "SELECT 1"), "status TimeZone=Asia/Kolkata") })
	})
}

// TestRedteam14_SettingsCarryValues has a query put masked values into settings
// that the target reports.
func TestRedteam14_SettingsCarryValues(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", `CREATE TABLE whispers (id int, email text); INSERT INTO whispers VALUES (7, 'dora@quux.example');
		CREATE FUNCTION whisper() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT set_config('application_name', reverse(email), false) FROM whispers $$`); err != nil {
		t.Fatal(err)
	}
	g := start(t, &seamtest.Gate{Masked: []seam.MaskedColumn{{Schema: "public", Table: "whispers", Column: "email"}}})
	for name, texts := range map[string][]string{
		"a query":                {"SELECT set_config('application_name', email, false) FROM whispers"},
		"inside of an aggregate": {"SELECT count(set_config('application_name', email, false)) FROM whispers"},
		"the search path":        {"SELECT count(set_config('search_path', quote_ident(email), false)) FROM whispers", "RESET search_path"},
		"the time zone":          {"SELECT count(set_config('TimeZone', '<dora>-3', false)) FROM whispers WHERE email LIKE 'd%'", "RESET TimeZone"},
		"a number":               {"SELECT count(set_config('scram_iterations', (100000 + ascii(email))::text, false)) FROM whispers"},
		"a function":             {"SELECT length(whisper())"},
		"DO":                     {"DO $$ BEGIN PERFORM set_config('application_name', (SELECT email FROM whispers), false); END $$"},
		"taken back":             {"SELECT count(set_config('application_name', email, false)) FROM whispers", "BEGIN", "SET application_name = 'mine'", "ROLLBACK"},
		"local, and it ends":     {"SELECT count(set_config('application_name', email, false)) FROM whispers", "BEGIN; SET LOCAL application_name = 'mine'; COMMIT"},
		"guessed in a comment":   {"SELECT count(set_config('application_name', email, false)) FROM whispers", "BEGIN; SET application_name = 'mine' /* dora@quux.example */", "ROLLBACK"},
		"guessed behind":         {"SELECT count(set_config('application_name', email, false)) FROM whispers", "BEGIN", "SET application_name = 'mine' -- = 'dora@quux.example'", "ROLLBACK"},
		"guessed beside":         {"SELECT count(set_config('application_name', email, false)) FROM whispers", "BEGIN", "SELECT pg_catalog.set_config('application_name', 'mine', false) -- = 'dora@quux.example'", "ROLLBACK"},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, g.config(t))
			var got []string
			for _, text := range texts {
				got = append(got, r.query(t, text)...)
			}
			for _, line := range got {
				if strings.HasPrefix(line, "status") && (strings.Contains(line, "dora") || strings.Contains(line, "quux") || strings.Contains(line, "arod") || strings.Contains(line, "100100")) {
					t.Errorf("it is reported: %q", got)
				}
			}
			// The client's own words are.
			own := slices.Concat(r.query(t, "SET application_name = 'my own'"), r.query(t, "SELECT pg_catalog.set_config('application_name', 'my other', false)"), r.query(t, "SET TIME ZONE 'Europe/Oslo'"), r.query(t, "SET search_path TO pg_catalog, public;"), r.query(t, "SET DateStyle = German"))
			for _, want := range []string{"status application_name=my own", "status application_name=my other", "status TimeZone=Europe/Oslo", "status search_path=pg_catalog, public", "status DateStyle=German, DMY"} {
				if !slices.Contains(own, want) {
					t.Errorf("no %q in %q", want, own)
				}
			}
		})
	}
}
