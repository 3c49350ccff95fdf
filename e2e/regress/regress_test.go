package regress_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/e2e/kit"
	"github.com/gatestay/gatestay/e2e/regress"
	"github.com/gatestay/gatestay/libs/embedded"
)

var (
	files  = flag.String("files", brief, "run these files of the suite, with commas between them; all: every one")
	update = flag.Bool("update", false, "write differences.txt anew")
)

const list = "differences.txt"

// brief are files that need little time, and between them much of the grammar
// and of the protocol. make regress runs all.
const brief = "boolean,strings,numeric,date,copyselect,copydml,case,union,transactions,prepared_xacts,portals,portals_p2,limit,returning,guc,copy2"

// database is also the target's name, so that \connect means the same on both
// sides.
const database = "regression"

// settings are those that pg_regress gives its server, and what the suite
// assumes.
var settings = map[string]string{
	"max_prepared_transactions": "2", "autovacuum": "off", "shared_buffers": "128MB", "lc_messages": "C", "log_statement": "none",
	"synchronous_commit": "off",
}

const setup = `ALTER DATABASE regression SET lc_messages TO 'C'; ALTER DATABASE regression SET lc_monetary TO 'C'; ALTER DATABASE regression SET lc_numeric TO 'C';
ALTER DATABASE regression SET lc_time TO 'C'; ALTER DATABASE regression SET bytea_output TO 'hex'; ALTER DATABASE regression SET timezone_abbreviations TO 'Default';
ALTER DATABASE regression SET intervalstyle TO 'postgres_verbose'`

const everything = `rules:
  - name: regression-may-do-everything
    effect: allow
    targets: [regression]
    principals: [{any: true}]
`

// TestTheServersOwnRegressionSuite is the whole of PostgreSQL's SQL, and of
// what its developers thought might break, through the gateway.
func TestTheServersOwnRegressionSuite(t *testing.T) {
	root, err := kit.Repository()
	if err != nil {
		t.Fatal(err)
	}
	suite, err := regress.Find(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	names, err := suite.Tests()
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := regress.ReadDifferences(list)
	if err != nil {
		t.Fatal(err)
	}
	comparison := regress.Comparison{Suite: suite, Output: filepath.Join(root, "build", "regress")}
	comparison.Direct = direct(t)
	comparison.Gateway = gateway(t)
	if err := comparison.Prepare(); err != nil {
		t.Fatal(err)
	}
	for _, name := range chosen(names) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			got, err := comparison.Run(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			want := accepted[name]
			if *update {
				if accepted[name] = (regress.Difference{Reason: want.Reason, Diff: got}); got == "" {
					delete(accepted, name)
				}
				if err := regress.WriteDifferences(list, accepted); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want.Diff != "" && want.Reason == "" {
				t.Error("differences.txt gives no reason")
			}
			if got != want.Diff {
				t.Errorf("the gateway's output differs from the server's:\n%s\nwanted (differences.txt):\n%s\nboth are in build/regress", short(got), short(want.Diff))
			}
		})
	}
}

// chosen are the files to run, in the suite's order.
func chosen(names []string) []string {
	wanted := strings.Split(*files, ",")
	if *files == "all" {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool { return name != "test_setup" && !slices.Contains(wanted, name) })
}

func short(text string) string {
	const enough = 4 << 10
	if len(text) > enough {
		return text[:enough] + "\n…"
	}
	return text
}

// direct is a server without a gateway.
func direct(t *testing.T) regress.Side {
	t.Helper()
	db, err := embedded.PostgreSQL(t.Context(), embedded.PostgreSQLOptions{Dir: filepath.Join(t.TempDir(), "direct"), Log: zerolog.Nop(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Kill)
	create(t, db)
	return side(t, db.Address, db.Superuser, db.Password, db.CA)
}

// gateway is another server's gateway.
func gateway(t *testing.T) regress.Side {
	t.Helper()
	g, err := kit.Start(t.Context(), kit.Options{TargetSettings: settings, LogLevel: "info"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.LogTail(kit.Gateway, 30))
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	create(t, g.DB)
	if err := os.WriteFile(g.Path("keys", "regression.password"), []byte(g.DB.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	target := fmt.Sprintf(`targets:
  regression: {protocol: postgres, environment: test, address: "%s", database: regression, user: %s, password: "file:keys/regression.password", tls: verify-full, ca: "%s", session_limit: 1h}
`, g.DB.Address, g.DB.Superuser, g.DB.CA)
	if err := g.Rewrite("gatestay.yaml", func(text string) string { return strings.Replace(text, "targets:\n", target, 1) }); err != nil {
		t.Fatal(err)
	}
	// The kit's detectors search every target; what they cannot search is refused.
	unmasked := func(text string) string {
		return strings.Replace(text, "detectors:", "targets: [prod-db], detectors:", 1)
	}
	if err := g.Rewrite("masking/shop.yaml", unmasked); err != nil {
		t.Fatal(err)
	}
	if err := g.Rewrite("policies/regression.yaml", func(string) string { return everything }); err != nil {
		t.Fatal(err)
	}
	var credential string
	kit.Eventually(t, 20*time.Second, func() error {
		var err error
		credential, err = g.Exchange(t.Context(), g.Token(t, nil), database)
		if err != nil {
			return err
		}
		c, err := g.Dial(t.Context(), database, credential, nil)
		if err != nil {
			return err
		}
		defer c.Hang()
		if _, err := c.Exec(t.Context(), "CHECKPOINT"); err != nil {
			return err
		}
		const card = "4111 1111 1111 1111"
		var seen string
		if err := c.QueryRow(t.Context(), "SELECT '"+card+"'::text").Scan(&seen); err != nil || seen != card {
			return fmt.Errorf("the gateway still masks: %q, %w", seen, err)
		}
		return nil
	})
	return side(t, g.Postgres, g.DB.Superuser, credential, g.CA)
}

func create(t *testing.T, db *embedded.PostgreSQLServer) {
	t.Helper()
	if err := db.CreateDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(t.Context(), database, setup); err != nil {
		t.Fatal(err)
	}
}

func side(t *testing.T, address, user, password, ca string) regress.Side {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return regress.Side{Host: host, Port: port, User: user, Password: password, CA: ca, Database: database, Dir: t.TempDir()}
}
