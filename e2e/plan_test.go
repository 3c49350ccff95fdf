package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/gatestay/gatestay/e2e/kit"
)

const plannerRules = `rules:
  - name: planners-read
    effect: allow
    targets: [matrix-db]
    principals: [{repository: acme/planner, repository_id: "1015", repository_owner_id: "2002"}]
    when: command.class == "read"
  - name: planners-change
    effect: hold
    targets: [matrix-db]
    principals: [{repository: acme/planner, repository_id: "1015", repository_owner_id: "2002"}]
    when: command.class in ["write", "ddl"]
    approvers: {slack_users: [` + kit.Dana + `]}
    hold: return
`

var planner = kit.Claims{"repository": "acme/planner", "repository_id": "1015", "repository_owner_id": "2002"}

type planned struct {
	ID     string `json:"id"`
	Tool   string `json:"tool"`
	Held   int    `json:"held"`
	Denied int    `json:"denied"`
	Steps  []struct {
		Source string `json:"source"`
		Effect string `json:"effect"`
	} `json:"steps"`
}

// plan has a plan made of files, as a CI job would.
func plan(t *testing.T, g *kit.Gatestay, path string, more ...string) planned {
	t.Helper()
	out, stderr, code := gatestay(t, g, planner, append([]string{"plan", "matrix-db", "-f", path, "--reason", "release 42", "--output", "json"}, more...)...)
	var p planned
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 || p.ID == "" {
		t.Fatalf("exit status %d, %v\n%s\n%s", code, err, out, stderr)
	}
	return p
}

// approve approves a plan as Dana, in the terminal's way where Slack does not show
// all of it, and waits until it is.
func approve(t *testing.T, g *kit.Gatestay, id string) {
	t.Helper()
	m := g.AwaitMessage(t, id)
	err := m.Click(t.Context(), kit.Dana, "Approve")
	if errors.Is(err, kit.ErrNoButton) {
		m.Await(t, "This is not all of it")
		err = voteAs(t, g, "dana", id)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, g.LogTail(kit.Approval, 20))
	}
	m.Await(t, "each statement of the plan, once and in its order")
}

// voteAs approves as a person who is signed in.
func voteAs(t *testing.T, g *kit.Gatestay, person, id string) error {
	t.Helper()
	token, err := g.Issuer.SignIn(person, "gatestay-cli", "")
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.Health(kit.Approval)+"/v1/approvals/"+id+"/vote", strings.NewReader(`{"vote":"approve"}`))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return fmt.Errorf("%s: %s", response.Status, said)
	}
	return nil
}

// with opens the target for a library, as a run that has a plan.
func with(t *testing.T, g *kit.Gatestay, id string) *sql.DB {
	t.Helper()
	credential, err := g.Exchange(t.Context(), g.Token(t, planner), "matrix-db", [2]string{"plan", id})
	if err != nil {
		t.Fatal(err)
	}
	w := way{environment: func() []string { return libpq(g.Postgres, g.CA, "app", credential, "matrix-db") }}
	db := stdlib.OpenDB(*pgxConfig(t, w.dsn()))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// One approval for a plain file: psql's run of the plan passes, and no other
// statement, not under other settings than the plan's, and not twice.
func TestAPlanOfAFile(t *testing.T) {
	g := shared.Get(t)
	matrixWays(t, g, migrator) // the database
	withPolicy(t, g, "planner.yaml", plannerRules)
	file := filepath.Join(t.TempDir(), "migrate.sql")
	const text = "-- release 42\nCREATE TABLE planned (id int PRIMARY KEY, note text);\nSET TimeZone = 'Asia/Tokyo';\nINSERT INTO planned VALUES (1, 'one; two');\nSELECT count(*) FROM planned;\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.DB.Exec(context.Background(), "matrix", "DROP TABLE IF EXISTS planned") })
	out, stderr, code := gatestay(t, g, planner, "plan", "matrix-db", "-f", file, "--dry-run")
	if code != 0 || !strings.Contains(out, "4 statements on matrix-db, 3 held") || !strings.Contains(out, "migrate.sql:2") {
		t.Fatalf("exit status %d\n%s\n%s", code, out, stderr)
	}
	p := plan(t, g, file)
	if _, stderr, code := gatestay(t, g, planner, "run", "matrix-db", "--plan", p.ID, "--", "true"); code == 0 || !strings.Contains(stderr, "GS1312") {
		t.Errorf("a plan that waits: exit status %d\n%s", code, stderr)
	}
	m := g.AwaitMessage(t, p.ID)
	for _, want := range []string{"Plan of 4 statements, 3 held", "INSERT INTO planned VALUES (1, 'one; two')", "release 42", "migrate.sql:2", "it depends on statement 1"} {
		m.Await(t, want)
	}
	approve(t, g, p.ID)
	shown, stderr, code := gatestay(t, g, planner, "plan", "show", "matrix-db", p.ID, "--output", "markdown")
	if code != 0 || !strings.Contains(shown, "**Approved** by dana") || !strings.Contains(shown, "| 3 | migrate.sql&#58;4 | INSERT planned | **held** |") {
		t.Errorf("exit status %d\n%s\n%s", code, shown, stderr)
	}
	run := func(command ...string) (string, string, int) {
		return gatestay(t, g, planner, append([]string{"run", "matrix-db", "--plan", p.ID, "--", "psql", "-XAt", "-v", "ON_ERROR_STOP=1"}, command...)...)
	}
	if _, stderr, code := run("-c", "DROP TABLE planned"); code == 0 || !strings.Contains(stderr, "GS1312") {
		t.Errorf("a statement outside of the plan: exit status %d\n%s", code, stderr)
	}
	create, _, _ := strings.Cut(text[strings.Index(text, "CREATE"):], ";")
	for _, setting := range []string{"SET TimeZone = 'Asia/Tokyo'", "SET search_path = sales, public"} {
		if _, stderr, code := run("-c", setting, "-c", create); code == 0 || !strings.Contains(stderr, "GS1312") {
			t.Errorf("a step after %s: exit status %d\n%s", setting, code, stderr)
		}
	}
	if out, stderr, code := run("-f", file); code != 0 || !strings.Contains(out, "1\n") {
		t.Fatalf("exit status %d\n%s\n%s", code, out, stderr)
	}
	if _, stderr, code := run("-c", "INSERT INTO planned VALUES (1, 'one; two')"); code == 0 || !strings.Contains(stderr, "GS1312") {
		t.Errorf("a step again: exit status %d\n%s", code, stderr)
	}
	g.AwaitRecord(t, "kind = 'intent' AND approval_id = '"+p.ID+"' AND has(approvers, 'dana') AND details['grant_use'] = '3 of 4'", 1)
}

// A client that brings a setting runs a plan that was made for it, and no other.
func TestAPlanForAClientsOwnSettings(t *testing.T) {
	g := shared.Get(t)
	matrixWays(t, g, migrator) // the database
	withPolicy(t, g, "planner.yaml", plannerRules)
	t.Cleanup(func() { _ = g.DB.Exec(context.Background(), "matrix", "DROP TABLE IF EXISTS planned_zone") })
	const text = "CREATE TABLE planned_zone (at timestamptz DEFAULT '2026-12-01 12:00')"
	file := filepath.Join(t.TempDir(), "migrate.sql")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := plan(t, g, file, "--set", "TimeZone=Asia/Tokyo")
	g.AwaitMessage(t, p.ID).Await(t, "begin with TimeZone = Asia/Tokyo")
	approve(t, g, p.ID)
	run := func(zone string) (string, int) {
		_, stderr, code := gatestay(t, g, planner, "run", "matrix-db", "--plan", p.ID, "--", "env", "PGTZ="+zone, "psql", "-Xc", text)
		return stderr, code
	}
	if stderr, code := run("Europe/Berlin"); code == 0 || !strings.Contains(stderr, "GS1312") {
		t.Errorf("in another zone: exit status %d\n%s", code, stderr)
	}
	if stderr, code := run("Asia/Tokyo"); code != 0 {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
}

// Thirty files of each tool pass through one approval, with the tool's own
// bookkeeping; a file that changed after it is held.
func TestAPlanOfAMigrationTool(t *testing.T) {
	g := shared.Get(t)
	direct, _ := matrixWays(t, g, migrator)
	withPolicy(t, g, "planner.yaml", plannerRules)
	const files = 30
	for tool, c := range map[string]struct {
		name, head, tail string
		up               func(*testing.T, *sql.DB, string) error
		versions         string
	}{
		"goose": {name: "%05d_step.sql", head: "-- +goose Up\n", tail: "\n-- +goose Down\nSELECT 1;\n", versions: "goose_db_version", up: func(t *testing.T, db *sql.DB, folder string) error {
			t.Helper()
			p, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS(folder))
			if err == nil {
				_, err = p.Up(t.Context())
			}
			return err
		}},
		"golang-migrate": {name: "%d_step.up.sql", versions: "schema_migrations", up: func(t *testing.T, db *sql.DB, folder string) error {
			t.Helper()
			driver, err := migratepgx.WithInstance(db, &migratepgx.Config{})
			if err != nil {
				return err
			}
			m, err := migrate.NewWithDatabaseInstance("file://"+folder, "matrix", driver)
			if err != nil {
				return err
			}
			defer func() { _, _ = m.Close() }()
			return m.Up()
		}},
	} {
		t.Run(tool, func(t *testing.T) {
			folder := t.TempDir()
			table := strings.ReplaceAll("plan_"+tool, "-", "_")
			write := func(n int, text string) {
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf(c.name, n)), []byte(c.head+text+c.tail), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(1, "CREATE TABLE "+table+" (id int PRIMARY KEY);\n-- its first row\nINSERT INTO "+table+" VALUES (0);")
			for n := 2; n <= files; n++ {
				write(n, fmt.Sprintf("ALTER TABLE %[1]s ADD COLUMN c%[2]d int;\nINSERT INTO %[1]s (id) VALUES (%[2]d);", table, n))
			}
			clear := func() {
				if err := g.DB.Exec(context.Background(), "matrix", "DROP TABLE IF EXISTS "+table+"; DROP TABLE IF EXISTS "+c.versions); err != nil {
					t.Error(err)
				}
			}
			clear()
			t.Cleanup(clear)
			p := plan(t, g, folder)
			if p.Tool != tool || len(p.Steps) != 2*files || p.Held != 2*files {
				t.Fatalf("%s: %d statements, %d held", p.Tool, len(p.Steps), p.Held)
			}
			approve(t, g, p.ID)
			write(20, fmt.Sprintf("ALTER TABLE %[1]s ADD COLUMN c20 int;\nINSERT INTO %[1]s (id) VALUES (2020);", table))
			err := c.up(t, with(t, g, p.ID), folder)
			if err == nil || !strings.Contains(err.Error(), "GS1312") {
				t.Fatalf("a file that changed: %v", err)
			}
			rows := func() string { return strings.TrimSpace(direct.run(t, "psql", "-XAtc", "SELECT count(*) FROM "+table)) }
			if got := rows(); got != "19" {
				t.Errorf("%s rows before the file that changed, want 19", got)
			}
			clear()
			write(20, fmt.Sprintf("ALTER TABLE %[1]s ADD COLUMN c20 int;\nINSERT INTO %[1]s (id) VALUES (20);", table))
			p = plan(t, g, folder)
			approve(t, g, p.ID)
			if err := c.up(t, with(t, g, p.ID), folder); err != nil {
				t.Fatal(err)
			}
			if got := rows(); got != fmt.Sprint(files) {
				t.Errorf("%s rows, want %d", got, files)
			}
		})
	}
}
