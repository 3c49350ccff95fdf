package postgres_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// shown are the settings that a start-up packet may bring.
const shown = `SELECT name || '=' || setting FROM pg_settings WHERE source = 'client' ORDER BY 1`

// settings opens a session and returns what it has set.
func settings(t testing.TB, c *pgconn.Config, params map[string]string) ([]string, error) {
	t.Helper()
	c.RuntimeParams = params
	conn, err := pgconn.ConnectConfig(t.Context(), c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	r := conn.ExecParams(t.Context(), shown, nil, nil, nil, nil).Read()
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var list []string
	for _, row := range r.Rows {
		list = append(list, string(row[0]))
	}
	return list, nil
}

// TestSettingsOfAStartUp gives settings in each form there is: the target has
// them as if it had been given them directly.
func TestSettingsOfAStartUp(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	for name, params := range map[string]map[string]string{
		"by name":                 {"DateStyle": "German, DMY", "TimeZone": "Europe/Oslo", "statement_timeout": "5s", "search_path": `pg_catalog, "Odd Name"`},
		"options":                 {"options": "-c datestyle=German -c statement_timeout=5s"},
		"long options":            {"options": "--statement-timeout=7000 --lock_timeout=1s"},
		"no space":                {"options": "-cstatement_timeout=5s -cjit=off"},
		"an escaped space":        {"options": `-c search_path=pg_catalog,\ public -c application_name=two\ words`},
		"an escaped backslash":    {"options": `-c application_name=a\\b`},
		"an equals sign inside":   {"options": `-c application_name=a=b`},
		"an empty value":          {"options": `-c application_name=`},
		"tabs and line ends":      {"options": "\t-c\n  jit=off\r\n"},
		"a name overrides":        {"options": "-c statement_timeout=5s", "statement_timeout": "6s"},
		"the last one counts":     {"options": "-c statement_timeout=5s -c statement_timeout=6s"},
		"case":                    {"options": "-c Statement_Timeout=5s", "INTERVALSTYLE": "iso_8601"},
		"read only":               {"options": "-c default_transaction_read_only=on -c default_transaction_isolation=serializable"},
		"what is so anyway":       {"options": "-c client_encoding=utf8 -c standard_conforming_strings=on"},
		"what is so, in a name":   {"client_encoding": "UTF-8", "standard_conforming_strings": "true"},
		"messages and bytea":      {"options": "-c client_min_messages=error -c bytea_output=escape -c extra_float_digits=0"},
		"nothing":                 {"options": "   "},
		"a backslash at the end":  {"options": `-c application_name=x\`},
		"timeouts of transaction": {"options": "-c transaction_timeout=1min -c idle_in_transaction_session_timeout=1min -c idle_session_timeout=1h"},
	} {
		t.Run(name, func(t *testing.T) {
			fixed := map[string]string{"client_encoding": "UTF8", "standard_conforming_strings": "on"}
			for k, v := range params {
				delete(fixed, strings.ToLower(k))
				fixed[k] = v
			}
			want, err := settings(t, directConfig(t), fixed)
			if err != nil {
				t.Fatal(err)
			}
			got, err := settings(t, g.config(t), params)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("through the gateway %q, directly %q", got, want)
			}
		})
	}
}

// TestRedteam10_StartUpOptions asks at start-up for what policy would not see,
// or what would make texts mean something else to the target.
func TestRedteam10_StartUpOptions(t *testing.T) {
	g := start(t, &seamtest.Gate{})
	for options, code := range map[string]string{
		"-c role=postgres":                               "GS1501",
		"-c session_authorization=postgres":              "GS1501",
		"-c session_replication_role=replica":            "GS1501",
		"-c row_security=off":                            "GS1501",
		"-c work_mem=100GB":                              "GS1501",
		"--local-preload-libraries=evil":                 "GS1501",
		"-c jit=off -c dynamic_library_path=/tmp":        "GS1501",
		"-c client_encoding=SJIS":                        "GS1503",
		"-c client_encoding=utf8 -c client_encoding=gbk": "GS1503",
		"--client-encoding=big5":                         "GS1503",
		`-c client\_encoding=big5`:                       "GS1503",
		"-c CLIENT_ENCODING=latin1":                      "GS1503",
		"-c standard_conforming_strings=off":             "GS1503",
		"--standard-conforming-strings=0":                "GS1503",
		"-c Standard_Conforming_Strings=oFF":             "GS1503",
		"-c backslash_quote=on":                          "GS1501",
		"-c escape_string_warning=off":                   "GS1501",
		"-c allow_system_table_mods=on":                  "GS1501",
		"-c":                                             "GS1502",
		"-c jit":                                         "GS1502",
		"--jit":                                          "GS1502",
		"--":                                             "GS1502",
		"-c =x":                                          "GS1502",
		"jit=off":                                        "GS1501",
		"-F":                                             "GS1501",
		"-d5":                                            "GS1501",
		"-S 100000":                                      "GS1501",
		"-o -c -c jit=off":                               "GS1501",
		"-v 3 -p evil":                                   "GS1501",
		"-c jit=off;role=postgres -c role=x":             "GS1501",
		"-c search_path=public role=x":                   "GS1501",
		"-c search_path=public\\\n-c\\\nrole=x -c ro\\le=x": "GS1501",
	} {
		t.Run(options, func(t *testing.T) {
			_, err := settings(t, g.config(t), map[string]string{"options": options})
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, code+": ") || refused.Severity != "FATAL" {
				t.Errorf("want %s, got %v", code, err)
			}
		})
	}
	if n := len(g.Sessions()); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// TestRedteam10_RoleDefaultsDoNotUnpin has the target set the pinned settings
// otherwise for its user: a session has ours, after RESET and DISCARD too.
func TestRedteam10_RoleDefaultsDoNotUnpin(t *testing.T) {
	if err := target.Exec(t.Context(), "postgres", `CREATE ROLE odd LOGIN PASSWORD 'odd-odd-odd'; ALTER ROLE odd SET standard_conforming_strings = off; ALTER ROLE odd SET client_encoding = 'SJIS'`); err != nil {
		t.Fatal(err)
	}
	gate := &seamtest.Gate{Upstream: upstreamOf(t)}
	gate.Upstream.User, gate.Upstream.Password = "odd", "odd-odd-odd"
	g := start(t, gate)
	r := dialRaw(t, g.config(t))
	for _, reset := range []string{"SELECT 1", "RESET ALL", "DISCARD ALL", "RESET client_encoding", "SET standard_conforming_strings TO DEFAULT"} {
		r.query(t, reset)
		got := r.query(t, "SELECT current_setting('client_encoding') || current_setting('standard_conforming_strings') AS s")
		if !slices.Contains(got, `row ["UTF8on"]`) {
			t.Errorf("after %s: %q", reset, got)
		}
	}
}
