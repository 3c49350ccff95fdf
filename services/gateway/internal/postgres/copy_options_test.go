package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// copyOptions are all combinations of the options of COPY TO STDOUT, odd ones and
// such that the server refuses among them, in its own words.
func copyOptions() []string {
	alternatives := []struct {
		option string
		values []string
	}{
		{"FORMAT", []string{"text", "csv", "binary"}},
		{"DELIMITER", []string{"", `'|'`, `'N'`, `E'\x01'`, `','`}},
		{"NULL", []string{"", `''`, `'NULL'`, `E'\\NULL'`, `'***'`, `E'\\n'`}},
		{"HEADER", []string{"", "true", "match"}},
		{"QUOTE", []string{"", `'*'`}},
		{"ESCAPE", []string{"", `E'\\'`, `'y'`}},
		{"FORCE_QUOTE", []string{"", "*", "(email)"}},
	}
	out := []string{""}
	for _, a := range alternatives {
		var next []string
		for _, before := range out {
			for _, v := range a.values {
				switch {
				case v == "":
					next = append(next, before)
				case v == "match" && strings.Contains(before, ", "), strings.HasSuffix(before, "match"),
					!strings.Contains(before, "csv") && slices.Contains([]string{"QUOTE", "ESCAPE", "FORCE_QUOTE"}, a.option) && strings.Contains(before, ", "):
					// A refusal of a kind is enough.
				default:
					next = append(next, strings.TrimPrefix(before+", "+a.option+" "+v, ", "))
				}
			}
		}
		out = next
	}
	return out
}

// TestCopyOptions: whatever the options are, what the server reads of masked data
// is what it reads of the data itself, masked; or the COPY is refused.
func TestCopyOptions(t *testing.T) {
	for _, encoding := range []string{"UTF8", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) { copyOptionsIn(t, encoding) })
	}
}

func copyOptionsIn(t *testing.T, encoding string) {
	t.Helper()
	database := "copy_" + strings.ToLower(encoding)
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + database, fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' TEMPLATE template0 LOCALE 'C'", database, encoding)} {
		if err := target.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	setup := `CREATE TABLE odd (id int, email text, note text);
		INSERT INTO odd VALUES (1, 'x@y.example', 'NULL'), (2, NULL, NULL), (3, '', ''), (4, E'a\nb\tc,"d"\\N|x*y', E'\\.'), (5, E'\\N', E'\\N'),
		(6, 'NULL', 'x'), (7, '***', E'\r\n\x01\f\v\b'), (8, 'é', '"'), (9, E'\n', E'\\'), (10, E'\\NULL', 'N|N')`
	if encoding == "SQL_ASCII" { // no characters, only bytes: what is no UTF8 a server does not give to who asks for UTF8
		setup += `; CREATE TABLE bytes (email text); INSERT INTO bytes VALUES (E'\xff\xfe"x')`
	}
	if err := target.Exec(t.Context(), database, setup); err != nil {
		t.Fatal(err)
	}
	mask := func(v []byte) []byte {
		switch {
		case len(v) == 1:
			return nil
		case len(v)%2 == 0:
			return append([]byte("\\N"), v...)
		}
		return append([]byte("NULL\",|x\t\n"), v...)
	}
	up := upstreamOf(t)
	up.Database = database
	g := start(t, &seamtest.Gate{Upstream: up, Masked: []seam.MaskedColumn{{Schema: "public", Table: "odd", Column: "email"}}, Mask: mask})
	masked := g.connect(t).PgConn()
	bare, err := pgx.Connect(t.Context(), target.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bare.Close(t.Context()) }()
	if _, err := bare.Exec(t.Context(), "SET client_encoding = UTF8; CREATE TEMP TABLE back (LIKE odd)"); err != nil {
		t.Fatal(err)
	}
	// read is what the server makes of data.
	read := func(data []byte, with string) (rows [][3]string, err error) {
		with, _, _ = strings.Cut(with, ", FORCE_QUOTE") // COPY FROM does not know it
		if _, err := bare.Exec(t.Context(), "TRUNCATE back"); err != nil {
			t.Fatal(err)
		}
		if _, err := bare.PgConn().CopyFrom(t.Context(), bytes.NewReader(data), "COPY back FROM STDIN ("+with+")"); err != nil {
			return nil, err
		}
		r := bare.PgConn().ExecParams(t.Context(), "SELECT id, email, note FROM back ORDER BY id", nil, nil, nil, nil).Read()
		for _, row := range r.Rows {
			var out [3]string
			for i, v := range row {
				if out[i] = "NULL"; v != nil {
					out[i] = "=" + string(v)
				}
			}
			rows = append(rows, out)
		}
		return rows, r.Err
	}
	if encoding == "SQL_ASCII" {
		var out bytes.Buffer
		if _, err := masked.CopyTo(t.Context(), &out, "COPY bytes TO STDOUT"); err == nil || !strings.Contains(err.Error(), "22021") || out.Len() > 0 {
			t.Errorf("bytes that are no UTF8: %q, %v", out.String(), err)
		}
	}
	taken, refused := 0, 0
	for i, with := range copyOptions() {
		if encoding != "UTF8" && i%7 > 0 {
			continue // a sample
		}
		text := "COPY odd TO STDOUT (" + with + ")"
		var plain, hidden bytes.Buffer
		_, err := bare.PgConn().CopyTo(t.Context(), &plain, text)
		_, got := masked.CopyTo(t.Context(), &hidden, text)
		if err != nil { // it says so in its own words
			var want, have *pgconn.PgError
			if !errors.As(err, &want) || !errors.As(got, &have) || want.Code != have.Code && !strings.HasPrefix(have.Message, "GS1204") {
				t.Errorf("%s: %v, want %v", text, got, err)
			}
			continue
		}
		if got != nil {
			if !strings.Contains(got.Error(), "GS1204") {
				t.Errorf("%s: %v", text, got)
			}
			refused++
			continue
		}
		want, err := read(plain.Bytes(), with)
		if err != nil {
			continue // not even the data itself can be read back
		}
		for i := range want {
			if v := want[i][1]; v != "NULL" {
				if want[i][1] = "NULL"; mask([]byte(v[1:])) != nil {
					want[i][1] = "=" + string(mask([]byte(v[1:])))
				}
			}
		}
		have, err := read(hidden.Bytes(), with)
		if diff := cmp.Diff(want, have); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s\n%q", text, err, diff, hidden.String())
		}
		taken++
	}
	t.Logf("%d combinations were read back, %d refused", taken, refused)
	if taken < 30 || refused < 3 || refused > taken {
		t.Errorf("%d combinations were read back, %d refused", taken, refused)
	}
}
