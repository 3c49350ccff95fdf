package grammar_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pganalyze/pg_query_go/v6/parser"

	"github.com/gatestay/gatestay/libs/command/postgres/internal/grammar"
)

// corpus is SQL of all kinds, one paragraph a text.
func corpus(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.sql", filepath.Join("facts", "*.sql")} {
		files, err := filepath.Glob(filepath.Join("..", "..", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, strings.Split(string(raw), "\n\n")...)
		}
	}
	if len(out) < 100 {
		t.Fatalf("only %d texts", len(out))
	}
	return append(out,
		"", ";", "SELECT", "SELECT 1 FROM", "SELECT 'open", "SELECT 'é' FRM x WHERE", `SELECT U&"\00zz"`, "SELECT 1__2",
		"CREATE GLOBAL TEMP TABLE x ()", `SELECT E'\'' || 'a\'`, "SELECT $1 + $2", "/* open")
}

// TestParse_likeLibpgQuery: our way into the C code gives what its own gives,
// errors and their places included, which also proves that the declarations in
// grammar.c fit the linked version.
func TestParse_likeLibpgQuery(t *testing.T) {
	for _, sql := range corpus(t) {
		want, wantErr := parser.ParseToProtobuf(sql)
		got, err := grammar.Parse(sql)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%q: error %v, want %v", sql, err, wantErr)
			continue
		}
		if err != nil {
			var ge *grammar.Error
			var pe *parser.Error
			if !errors.As(err, &ge) || !errors.As(wantErr, &pe) || ge.Message != pe.Message || ge.Cursor != pe.Cursorpos {
				t.Errorf("%q: error %#v, want %#v", sql, err, wantErr)
			}
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q: another tree", sql)
		}
	}
}

// TestParse_leavesStandardErrorAlone: file descriptor 2 stays the same file,
// however many parse at once.
func TestParse_leavesStandardErrorAlone(t *testing.T) {
	var before syscall.Stat_t
	if err := syscall.Fstat(2, &before); err != nil {
		t.Fatal(err)
	}
	texts := corpus(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				for _, sql := range texts {
					_, _ = grammar.Parse(sql)
				}
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	for {
		var now syscall.Stat_t
		if err := syscall.Fstat(2, &now); err != nil {
			t.Fatal(err)
		}
		if now.Ino != before.Ino || now.Dev != before.Dev {
			t.Fatal("standard error was redirected")
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
