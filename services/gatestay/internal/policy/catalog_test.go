package policy_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatestay/gatestay/libs/embedded"
)

// A mask for a column that is not there, and a condition about a table that is
// not there, are told by the target itself.
func TestRedteam33_CatalogIsCompared(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	server, err := embedded.PostgreSQL(ctx, embedded.PostgreSQLOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	if err := server.CreateDatabase(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(ctx, "shop", `
		CREATE TABLE customers (id int, email text, phone text);
		CREATE SCHEMA app; CREATE TABLE app.orders (id int);
		CREATE TABLE "People" ("eMail" text);
		CREATE VIEW emails AS SELECT email FROM customers;`); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	t.Setenv("TARGET_PASSWORD", server.Password)
	raw, err := os.ReadFile(".gatestay/gatestay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.file(".gatestay/gatestay.yaml", strings.NewReplacer("127.0.0.1:5432", server.Address, "user: app", "user: "+server.Superuser+", ca: "+server.CA).Replace(string(raw)))
	w.file(".gatestay/policies/more.yaml", `rules:
  - {name: typo, effect: deny, targets: [prod-db], principals: [{any: true}], when: '"public.custmers" in command.reads'}
  - {name: right, effect: deny, targets: [prod-db], principals: [{any: true}], when: '"app.orders" in command.reads || "public.customers.phone" in command.columns'}
  - {name: system, effect: deny, targets: [prod-db], principals: [{any: true}], when: '"pg_catalog.pg_authid" in command.reads'}
`)
	w.file(".gatestay/masking/more.yaml", `masks:
  - {name: camel, column: public.People.eMail, strategy: redact}
  - {name: quoted, column: 'public."People"."eMail"', strategy: redact}
  - {name: elsewhere, column: public.customers.email, strategy: redact, targets: [prod-d]}
`)
	out, code := w.run("check", "--catalog")
	for _, want := range []string{
		"a mask names column public.customers.fone, which the target does not have: what may be it is masked whole", `→ did you mean "public.customers.phone"?`,
		"its condition names table public.custmers, which prod-db does not have", `→ did you mean "public.customers"?`, "no problems, 4 warnings",
		"a mask names column public.people.email, which the target has in another letter case only: it is masked all the same", `column: 'public."People"."eMail"'`,
		`the mask elsewhere is for target "prod-d", which is not configured`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if code != 0 {
		t.Errorf("exit %d", code)
	}

	// explain sees through the view, and what * stands for.
	who := "preset=github-actions,repository_id=1001,repository_owner_id=2002"
	out, _ = w.run("explain", "--catalog", "--principal", who, "--target", "prod-db", "SELECT * FROM customers")
	if !strings.Contains(out, "DENY  by rule right") {
		t.Errorf("explain with the catalog:\n%s", out)
	}
	out, _ = w.run("explain", "--catalog", "--principal", who, "--target", "prod-db", "SELECT id FROM orders")
	if !strings.Contains(out, "relation \"orders\" does not exist in the target's catalog") {
		t.Errorf("explain with the catalog:\n%s", out)
	}

	// What goes wrong says what to do, and no password.
	w.file(".gatestay/gatestay.yaml", strings.NewReplacer("127.0.0.1:5432", server.Address, "user: app", "user: nobody, ca: "+server.CA).Replace(string(raw)))
	out, code = w.run("check", "--catalog")
	if code != 1 || !strings.Contains(out, "catalog of prod-db: sign in as nobody at "+server.Address) || strings.Contains(out, server.Password) {
		t.Errorf("exit %d:\n%s", code, out)
	}
}
