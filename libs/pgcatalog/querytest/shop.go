// Package querytest writes random statements over a small shop in which every
// masked value is planted and unique, and finds such values again in what a
// client got. It is for the differential tests of masking and facts: the same
// seed gives the same statements.
package querytest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
)

// Schema makes the shop.
const Schema = `
CREATE TABLE customers (id int PRIMARY KEY, email text, name text, city text, card bigint, tags text[], doc jsonb, born date);
INSERT INTO customers VALUES
	(1, 'Xq7Zk9Wv2Jm4Tp@one.example', 'dana', 'Bern', 4539871236540987, '{Hc5Rn8Yd3Lf6}', '{"pin": "Gw2Ks7Vb9Qx4"}', '2001-01-01'),
	(2, 'Bn3Fj6Ht8Rw5Ly@two.example', 'eve', 'Rome', 6011329874561230, '{Mz4Pt9Cj2Xk7}', '{"pin": "Td6Hf3Zn8Wq5"}', '2002-02-02');
CREATE TABLE child () INHERITS (customers);
INSERT INTO child VALUES (3, 'Vk8Dq2Nc7Zs5Gr@three.example', 'mallory', 'Oslo', 3782822463100059, '{Jb9Lw4Fx6Tm3}', '{"pin": "Rp5Yc8Kd2Hn7"}', '2003-03-03');
CREATE TABLE orders (id int PRIMARY KEY, customer int, total int, note text);
INSERT INTO orders VALUES (1, 1, 10, 'first'), (2, 2, 20, 'second'), (3, 1, 30, 'third');
CREATE TABLE logs (id int, line text, secret text) PARTITION BY RANGE (id);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10);
INSERT INTO logs VALUES (1, 'started', 'Wf7Xz3Kq9Bt5'), (2, 'stopped', 'Ny4Gv8Jr2Dm6');
CREATE TABLE archive (id int, note text);
CREATE VIEW contacts AS SELECT id, email AS mail, lower(name) AS lowered, upper(email) AS loud FROM customers;
CREATE VIEW safe AS SELECT id, name, city FROM customers;
CREATE VIEW whole AS SELECT id, to_jsonb(c) AS doc FROM customers c;
CREATE VIEW over AS SELECT id, mail, lowered AS low FROM contacts;
CREATE VIEW mixed AS WITH m AS (SELECT id, reverse(email) AS back, upper(city) AS town FROM customers)
	SELECT m.id, m.town, m.back, count(o.id) AS orders FROM m LEFT JOIN orders o ON o.customer = m.id GROUP BY 1, 2, 3;
ANALYZE;
`

// Masked are the columns that have planted values.
func Masked() []command.Column {
	column := func(table, name string) command.Column {
		return command.Column{Schema: "public", Table: table, Name: name}
	}
	return []command.Column{
		column("customers", "email"), column("customers", "card"), column("customers", "tags"), column("customers", "doc"),
		column("logs", "secret"),
	}
}

// secrets are the planted values, without what is the same in several.
var secrets = []string{
	"Xq7Zk9Wv2Jm4Tp", "Bn3Fj6Ht8Rw5Ly", "Vk8Dq2Nc7Zs5Gr", "4539871236540987", "6011329874561230", "3782822463100059",
	"Hc5Rn8Yd3Lf6", "Mz4Pt9Cj2Xk7", "Jb9Lw4Fx6Tm3", "Gw2Ks7Vb9Qx4", "Td6Hf3Zn8Wq5", "Rp5Yc8Kd2Hn7", "Wf7Xz3Kq9Bt5", "Ny4Gv8Jr2Dm6",
}

// shortest is how much of a planted value is one still.
const shortest = 6

// traces are the forms, in lower case, in which a part of a planted value would
// be recognised.
var traces = func() []string {
	var out []string
	for _, s := range secrets {
		low := strings.ToLower(s)
		for i := 0; i+shortest <= len(s); i++ {
			part := low[i : i+shortest]
			back := []byte(part)
			slices.Reverse(back)
			out = append(out, part, string(back))
			for _, v := range []string{s[i : i+shortest], part, strings.ToUpper(part)} {
				out = append(out, hex.EncodeToString([]byte(v)), strings.ToLower(base64.StdEncoding.EncodeToString([]byte(v))))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}()

// index finds traces by their first bytes.
var index = func() map[string][]string {
	out := map[string][]string{}
	for _, t := range traces {
		out[t[:shortest]] = append(out[t[:shortest]], t)
	}
	return out
}()

// Secret says what of a planted value a text shows, empty for nothing.
func Secret(value []byte) string {
	low := strings.ToLower(string(value))
	for i := 0; i+shortest <= len(low); i++ {
		for _, t := range index[low[i:i+shortest]] {
			if strings.HasPrefix(low[i:], t) {
				return fmt.Sprintf("%q", t)
			}
		}
	}
	return ""
}
