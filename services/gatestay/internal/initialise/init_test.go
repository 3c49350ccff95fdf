package initialise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/policy/offline"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

func TestMain(m *testing.M) {
	embedded.MaybeChild()
	os.Exit(m.Run())
}

// planted are values that must not leave the database.
var planted = []string{"dana.miller@acme.example", "4242424242424242", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "DE89370400440532013000", "Dana Miller", "hunter2-hash", "078-05-1120"}

const schema = `
	CREATE TABLE customers (id bigint PRIMARY KEY, name text, email varchar(200), "phoneNumber" text, plan text, birth_date date, salary numeric,
	                        email_verified boolean, email_id bigint, address_id bigint, notes text, contact text);
	INSERT INTO customers SELECT i, 'Dana Miller', 'dana.miller@acme.example', '+49 170 1234567', 'free', '1990-01-01', 52000, true, i, i,
	       CASE WHEN i % 10 = 0 THEN 'write to dana.miller@acme.example' ELSE 'nothing' END, 'dana.miller@acme.example' FROM generate_series(1, 50) i;
	CREATE TABLE payments (id int, reference text, blob bytea, doc jsonb);
	INSERT INTO payments SELECT i, '4242424242424242', 'ghp_abcdefghijklmnopqrstuvwxyz0123456789', '{"iban": "DE89370400440532013000"}' FROM generate_series(1, 20) i;
	CREATE TABLE accounts (id int, password_hash text, api_token text, tokens_used int, ssn text);
	INSERT INTO accounts VALUES (1, 'hunter2-hash', 'x', 3, '078-05-1120');
	CREATE DOMAIN mail AS text;
	CREATE TABLE "Odd Table" ("E-Mail" mail, "x"": {evil}
	# y" text, v text);
	COMMENT ON COLUMN "Odd Table".v IS 'Personal data, GDPR';
	CREATE TABLE events (id int, at timestamptz, host inet, kind text) PARTITION BY RANGE (at);
	CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	CREATE VIEW v AS SELECT email FROM customers;
	CREATE SCHEMA hr;
	CREATE TABLE hr.staff (id int, name text, national_id text, ip_address inet);
	CREATE ROLE reader LOGIN PASSWORD 'reader-password';
	GRANT USAGE ON SCHEMA hr TO reader;
	GRANT SELECT ON customers, payments, accounts, events, hr.staff TO reader;
`

// database starts PostgreSQL 18 with the schema above.
func database(t *testing.T) *embedded.PostgreSQLServer {
	t.Helper()
	pg, err := embedded.PostgreSQL(t.Context(), embedded.PostgreSQLOptions{Dir: t.TempDir(), Log: zerolog.Nop(), LogStatements: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = pg.Stop(ctx)
	})
	if err := pg.CreateDatabase(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := pg.Exec(t.Context(), "shop", schema); err != nil {
		t.Fatal(err)
	}
	return pg
}

// gatestay runs gatestay init and returns its output.
func gatestay(t *testing.T, output string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	env := &cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, Output: output}
	c := Command(env)
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// compiled checks that what was written is a configuration that works.
func compiled(t *testing.T, dir string) (*policy.Engine, *masking.Engine) {
	t.Helper()
	cfg, err := config.Load(filepath.Join(dir, "gatestay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	masks, err := config.ReadDir(cfg.Path(cfg.Masking.Dir))
	if err != nil {
		t.Fatal(err)
	}
	m, err := masking.Compile(masks)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := config.ReadDir(cfg.Path(cfg.Policy.Dir))
	if err != nil {
		t.Fatal(err)
	}
	bundle := map[string][]byte{}
	for name, raw := range rules {
		if !policy.IsTestFile(name) {
			bundle[name] = raw
		}
	}
	p, err := policy.Compile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	var targets []policy.Target
	for name, x := range cfg.Targets {
		targets = append(targets, policy.Target{Name: name, Environment: x.Environment, Protocol: x.Protocol, Database: x.Database})
	}
	results, err := p.Test(rules, targets, offline.Facts)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 4 {
		t.Errorf("%d test cases", len(results))
	}
	for _, r := range results {
		if !r.Passed() {
			t.Errorf("case %q: %v", r.Case.Name, r.Failures)
		}
	}
	return p, m
}

func everything(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) { // a link to nowhere
			return nil
		}
		b.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestInitOnRealPostgreSQL(t *testing.T) {
	pg := database(t)
	dir := t.TempDir()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("reader-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dsn := "postgres://reader@" + pg.Address + "/shop?sslmode=verify-full&sslrootcert=" + pg.CA
	out, err := gatestay(t, "text", "--target", "prod-db", "--dsn", dsn, "--password", "file:"+password, "--out", dir,
		"--repository", "acme/shop", "--repository-id", "1001", "--owner-id", "2002", "--approver", "U0DANA,U0KIM", "--channel", "C0PROD")
	if err != nil {
		t.Fatal(err, out)
	}
	_, masks := compiled(t, dir)
	got := map[string]string{}
	for _, line := range masks.Masks("prod-db") {
		column, strategy, _ := strings.Cut(line, " (")
		if !strings.HasSuffix(column, "anywhere") {
			got[column] = strings.TrimSuffix(strategy, ")")
		}
	}
	want := map[string]string{
		"public.customers.email": "partial", "public.customers.name": "partial", `public.customers."phoneNumber"`: "partial", "public.customers.birth_date": "null",
		"public.customers.salary": "null", "public.customers.contact": "partial", "public.payments.reference": "partial", "public.accounts.password_hash": "redact",
		"public.accounts.api_token": "redact", "public.accounts.ssn": "redact", `public."Odd Table"."E-Mail"`: "partial", `public."Odd Table".v`: "redact",
		"hr.staff.name": "partial", "hr.staff.national_id": "redact", "hr.staff.ip_address": "null",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("masks (want -, got +):\n%s", diff)
	}
	all := everything(t, dir) + out
	for _, secret := range append(planted, "reader-password") {
		if strings.Contains(all, secret) {
			t.Errorf("%q was written or printed", secret)
		}
	}
	for _, want := range []string{
		"50 of 50 sampled values hold e-mail addresses", "public.customers.notes: email in 5 of 50 sampled values", "public.payments.doc: iban in 20 of 20", "public.payments.blob: github-token in 20 of 20",
		"Its comment in the catalog calls it sensitive", `not sampled (no right to read, or too slow): "public"."Odd Table"`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %q:\n%s", want, out)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "gatestay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if x := cfg.Targets["prod-db"]; x.Address != pg.Address || x.User != "reader" || x.Database != "shop" || x.TLS != "verify-full" || string(x.Password) != "file:"+password || x.CA != pg.CA {
		t.Errorf("target %+v", x)
	}
	everyLineIsCommented(t, dir)
	seen, err := os.ReadFile(pg.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(seen, []byte("read only")) {
		t.Error("the sample was not read in a read-only transaction")
	}
}

// everyLineIsCommented reports lines of YAML that neither carry a comment nor
// follow one.
func everyLineIsCommented(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"gatestay.yaml", "policies/prod-db.yaml"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		commented := false
		for n, line := range strings.Split(string(raw), "\n") {
			trimmed := strings.TrimSpace(line)
			switch {
			case trimmed == "" || strings.HasPrefix(trimmed, "#"):
				commented = trimmed != ""
			case strings.Contains(line, " #"):
			case strings.HasSuffix(trimmed, ":") && commented: // a section, explained above
			case strings.HasSuffix(trimmed, ":") || strings.HasPrefix(trimmed, "- keys/") || strings.HasPrefix(trimmed, "issuer: https") || trimmed == "issuers:":
			default:
				t.Errorf("%s:%d has no comment: %s", name, n+1, line)
			}
		}
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	pg := database(t)
	dir := t.TempDir()
	mine := filepath.Join(dir, "policies", "prod-db.yaml")
	if err := os.MkdirAll(filepath.Dir(mine), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(elsewhere, filepath.Join(dir, "gatestay.yaml")); err != nil {
		t.Fatal(err)
	}
	args := []string{"--target", "prod-db", "--dsn", pg.URL("shop"), "--out", dir}
	out, err := gatestay(t, "text", args...)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(mine); err != nil || string(raw) != "# mine\n" {
		t.Errorf("overwrote %s: %v", raw, err)
	}
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("wrote through a symbolic link")
	}
	if !strings.Contains(out, mine+" is there already and stays as it is") || !strings.Contains(out, "--print") {
		t.Error(out)
	}
	before := everything(t, filepath.Join(dir, "masking"))
	out, err = gatestay(t, "text", args...)
	if err != nil || everything(t, filepath.Join(dir, "masking")) != before || !strings.Contains(out, "is there already, with the same content") {
		t.Errorf("a second run: %v\n%s", err, out)
	}
	for _, secret := range append(planted, pg.Password) {
		if strings.Contains(everything(t, dir)+out, secret) {
			t.Errorf("%q was written or printed", secret)
		}
	}
}

func TestInitPrintsAndWritesNothing(t *testing.T) {
	pg := database(t)
	dir := t.TempDir()
	t.Chdir(dir)
	out, err := gatestay(t, "json", "--target", "shop", "--dsn", pg.URL("shop"), "--print", "--sample", "0", "--environment", "staging")
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("wrote %v %v", left, err)
	}
	var files map[string]string
	if err := json.Unmarshal([]byte(out), &files); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := create(filepath.Join(mkdir(t, dir, name), filepath.Base(name)), content); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := compiled(t, dir)
	if len(p.Rules()) != 3 {
		t.Errorf("%d rules", len(p.Rules()))
	}
	if strings.Contains(files["masking/shop.yaml"], "sampled values") || !strings.Contains(files["gatestay.yaml"], "env:GATESTAY_SHOP_PASSWORD") {
		t.Error("sampled, or no reference for the password")
	}
}

func mkdir(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.Dir(name))
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInitSaysWhatIsWrong(t *testing.T) {
	for want, args := range map[string][]string{
		"--dsn: write postgres://user@host:port/database": {"--target", "x", "--dsn", "host=x password=hunter2"},
		`--target "a b": write letters`:                   {"--target", "a b", "--dsn", "postgres://x/y"},
		"--password is a reference":                       {"--target", "x", "--dsn", "postgres://u@127.0.0.1:1/y", "--password", "hunter2"},
		"--repository-id and --owner-id belong together":  {"--target", "x", "--dsn", "postgres://u@127.0.0.1:1/y", "--repository-id", "1"},
		`--approver "dana": write a Slack user id`:        {"--target", "x", "--dsn", "postgres://u@127.0.0.1:1/y", "--approver", "dana"},
		"--sample -1": {"--target", "x", "--dsn", "postgres://u@127.0.0.1:1/y", "--sample", "-1"},
		"environment variable GATESTAY_TEST_NOT_SET is not set":    {"--target", "x", "--dsn", "postgres://u@127.0.0.1:1/y", "--password", "env:GATESTAY_TEST_NOT_SET"},
		"sign in as u at 127.0.0.1:1":                              {"--target", "x", "--dsn", "postgres://u:hunter2@127.0.0.1:1/y?sslmode=disable"},
		"sign in as v at 127.0.0.1:1: connect: connection refused": {"--target", "x", "--dsn", "postgres://v@127.0.0.1:1/y"},
		"this connection string cannot be read, or its TLS file":   {"--target", "x", "--dsn", "postgres://u:hunter2@127.0.0.1:1/y?sslmode=verify-full&sslrootcert=/nowhere"},
	} {
		out, err := gatestay(t, "text", args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
		if err != nil && strings.Count(err.Error(), "connection refused") > 1 {
			t.Errorf("the same said twice: %v", err)
		}
		if strings.Contains(out, "hunter2") || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password is repeated: %v", err)
		}
	}
}
