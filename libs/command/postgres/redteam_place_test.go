package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/libs/command"
)

// places are statements with every place in which the grammar takes an expression.
const places = `
SELECT {}
SELECT 1 WHERE {} > 0
SELECT 1 FROM orders GROUP BY {}
SELECT 1 FROM orders GROUP BY GROUPING SETS ((id, {}), CUBE ({}), ROLLUP (id, {}))
SELECT 1 FROM orders HAVING {} > 0
SELECT 1 FROM orders ORDER BY {} USING <
SELECT DISTINCT ON ({}) 1 FROM orders
SELECT 1 FROM orders LIMIT {}
SELECT 1 FROM orders OFFSET {}
SELECT 1 FROM orders ORDER BY 1 FETCH FIRST ({}) ROWS WITH TIES
SELECT sum(1) OVER (PARTITION BY {}) FROM orders
SELECT sum(1) OVER (ORDER BY {}) FROM orders
SELECT sum(1) OVER w FROM orders WINDOW w AS (ORDER BY id ROWS BETWEEN {} PRECEDING AND {} FOLLOWING)
SELECT sum(1) FILTER (WHERE {} > 0), array_agg(1 ORDER BY {}), percentile_disc({}) WITHIN GROUP (ORDER BY id) FROM orders
SELECT 1 FROM orders a JOIN orders b ON a.id = b.id AND {} > 0
SELECT 1 FROM generate_series(1, {})
SELECT 1 FROM ROWS FROM (generate_series(1, 2), generate_series(1, {})) AS f
SELECT 1 FROM LATERAL (SELECT {}) s
SELECT 1 FROM (SELECT 1 UNION ALL SELECT {}) s
SELECT 1 FROM orders TABLESAMPLE bernoulli ({}) REPEATABLE (1)
SELECT 1 FROM orders TABLESAMPLE system (1) REPEATABLE ({})
SELECT 1 FROM XMLTABLE(('/x' || {}) PASSING '<x/>' COLUMNS a int PATH 'a')
SELECT 1 FROM XMLTABLE('/x' PASSING '<x/>' COLUMNS a int PATH 'a' DEFAULT ({}))
SELECT 1 FROM JSON_TABLE('[1]', '$[*]' PASSING {} AS e COLUMNS (a int PATH '$'))
SELECT 1 FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a int PATH '$' DEFAULT {} ON EMPTY))
SELECT JSON_VALUE('[1]', '$[0]' PASSING {} AS e), JSON_QUERY('[1]', '$' DEFAULT {} ON ERROR)
SELECT JSON_EXISTS('[1]', '$' PASSING {} AS e)
SELECT JSON_OBJECT('a': {}), JSON_ARRAY({}), JSON_ARRAY(SELECT {}), JSON_SCALAR({}), JSON_SERIALIZE({})
SELECT JSON_OBJECTAGG('a': {}), JSON_ARRAYAGG({} ORDER BY {}) FROM orders
SELECT xmlelement(name x, xmlattributes({} AS y)), xmlforest({} AS z), xmlpi(name p, {}), xmlroot('<x/>', version {})
SELECT CASE {} WHEN 1 THEN 2 END, CASE WHEN {} > 0 THEN 1 END, CASE 1 WHEN 1 THEN {} ELSE {} END
SELECT coalesce({}), nullif(1, {}), greatest(1, {}), ARRAY[{}], ROW({}, 1), ({}) IS NULL, ({} > 0) IS TRUE
SELECT (ARRAY[1])[{}], (ARRAY[1])[1:{}], {} IN (1, 2), 1 IN (2, {}), {} BETWEEN 1 AND 2, {} = ANY (ARRAY[1]), {} IN (SELECT 1)
SELECT ARRAY(SELECT {}), EXISTS (SELECT 1 WHERE {} > 0), (SELECT {}), 1 > ALL (SELECT {}), {} COLLATE "C", (ROW({})).f1
SELECT make_interval(years => {}), concat(VARIADIC ARRAY[{}]), {} AT TIME ZONE 'UTC', overlay('a' placing 'b' from {})
VALUES (1), ({})
WITH w AS (SELECT {}) SELECT 1
WITH RECURSIVE w AS (SELECT 1 UNION SELECT {} FROM w) SELECT 1 FROM w
WITH RECURSIVE w (a) AS (SELECT 1 UNION ALL SELECT {} FROM w) CYCLE a SET b USING c SELECT 1 FROM w
WITH w AS (UPDATE orders SET id = {} RETURNING 1) SELECT 1
SELECT 1 UNION SELECT {}
SELECT 1 EXCEPT SELECT {}
INSERT INTO orders VALUES ({})
INSERT INTO orders SELECT {}
INSERT INTO orders (id[{}]) VALUES (1)
INSERT INTO orders VALUES (1) ON CONFLICT (lower(id || {})) DO NOTHING
INSERT INTO orders VALUES (1) ON CONFLICT (id) WHERE {} > 0 DO NOTHING
INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET id = {}
INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET id[{}] = 1
INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1 WHERE {} > 0
INSERT INTO orders VALUES (1) RETURNING {}
UPDATE orders SET id = {}
UPDATE orders SET id[{}:2] = 1
UPDATE orders SET (id, total) = (1, {})
UPDATE orders SET (id, total) = (SELECT 1, {})
UPDATE orders SET (id[{}], total) = (SELECT 1, 2)
UPDATE orders SET id = 1 FROM (SELECT {}) s
UPDATE orders SET id = 1 WHERE {} > 0
UPDATE orders SET id = 1 RETURNING {}
DELETE FROM orders USING (SELECT {}) s
DELETE FROM orders WHERE {} > 0
DELETE FROM orders RETURNING {}
MERGE INTO orders o USING (SELECT {}) s ON true WHEN MATCHED THEN DO NOTHING
MERGE INTO orders o USING orders s ON {} > 0 WHEN MATCHED THEN DO NOTHING
MERGE INTO orders o USING orders s ON true WHEN MATCHED AND {} > 0 THEN DELETE
MERGE INTO orders o USING orders s ON true WHEN NOT MATCHED BY SOURCE AND {} > 0 THEN DELETE
MERGE INTO orders o USING orders s ON true WHEN NOT MATCHED AND {} > 0 THEN DO NOTHING
MERGE INTO orders o USING orders s ON true WHEN MATCHED THEN UPDATE SET id = {}
MERGE INTO orders o USING orders s ON true WHEN MATCHED THEN UPDATE SET id[{}] = 1
MERGE INTO orders o USING orders s ON true WHEN NOT MATCHED THEN INSERT VALUES ({})
MERGE INTO orders o USING orders s ON true WHEN NOT MATCHED THEN INSERT (id[{}]) VALUES (1)
MERGE INTO orders o USING orders s ON true WHEN MATCHED THEN DELETE RETURNING merge_action(), {}
COPY (SELECT {}) TO STDOUT
COPY (DELETE FROM orders WHERE {} > 0 RETURNING 1) TO STDOUT
COPY orders FROM STDIN WHERE {} > 0
DECLARE c CURSOR WITH HOLD FOR SELECT {}
PREPARE p AS SELECT {}
PREPARE p AS UPDATE orders SET id = {}
EXECUTE p ({})
EXPLAIN SELECT {}
EXPLAIN (ANALYZE, VERBOSE) DELETE FROM orders WHERE {} > 0
CALL p({})
CREATE TABLE t AS SELECT {}
CREATE TABLE t AS EXECUTE p ({})
SELECT {} INTO t
CREATE VIEW v AS SELECT {}
CREATE RECURSIVE VIEW v (a) AS SELECT {}
CREATE MATERIALIZED VIEW v AS SELECT {}
CREATE SCHEMA s CREATE VIEW v AS SELECT {} CREATE TABLE t (a int CHECK (a > {}))
CREATE RULE r AS ON UPDATE TO orders WHERE {} > 0 DO NOTHING
CREATE RULE r AS ON UPDATE TO orders DO ALSO (SELECT 1; INSERT INTO archive SELECT {})
CREATE POLICY p ON orders USING ({} > 0)
CREATE POLICY p ON orders WITH CHECK ({} > 0)
ALTER POLICY p ON orders USING ({} > 0)
ALTER POLICY p ON orders WITH CHECK ({} > 0)
CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW WHEN ({} > 0) EXECUTE FUNCTION f()
CREATE FUNCTION f() RETURNS bigint RETURN {}
CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT 1; SELECT {}; END
CREATE FUNCTION f(a int DEFAULT {}) RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE PROCEDURE f() BEGIN ATOMIC INSERT INTO archive SELECT {}; END
CREATE INDEX ON orders (({}))
CREATE INDEX ON orders (id) WHERE {} > 0
CREATE STATISTICS s ON ({}), (id || total) FROM orders
CREATE TABLE t (a int DEFAULT {})
CREATE TABLE t (a int CHECK ({} > 0))
CREATE TABLE t (a int, CHECK ({} > 0))
CREATE TABLE t (a int GENERATED ALWAYS AS ({}) STORED)
CREATE TABLE t (a int, EXCLUDE USING gist (({}) WITH &&) WHERE ({} > 0))
CREATE TABLE t (a int) PARTITION BY RANGE (({}))
CREATE TABLE t PARTITION OF events FOR VALUES FROM ({}) TO (9)
CREATE TABLE t PARTITION OF events FOR VALUES IN (1, {})
CREATE FOREIGN TABLE t (a int DEFAULT {}) SERVER s
CREATE DOMAIN d AS int DEFAULT {}
CREATE DOMAIN d AS int CHECK (VALUE > {})
ALTER DOMAIN mood ADD CHECK (VALUE > {})
ALTER DOMAIN mood SET DEFAULT {}
ALTER TABLE orders ADD COLUMN a int DEFAULT {}
ALTER TABLE orders ADD COLUMN a int GENERATED ALWAYS AS ({}) STORED
ALTER TABLE orders ALTER id SET DEFAULT {}
ALTER TABLE orders ALTER id SET EXPRESSION AS ({})
ALTER TABLE orders ALTER id TYPE int USING {}
ALTER TABLE orders ADD CHECK ({} > 0) NOT VALID
ALTER TABLE orders ADD EXCLUDE USING gist (id WITH &&) WHERE ({} > 0)
ALTER TABLE events ATTACH PARTITION orders FOR VALUES FROM ({}) TO (9)
ALTER VIEW contacts ALTER id SET DEFAULT {}
CREATE PUBLICATION p FOR TABLE orders WHERE ({} > 0)
ALTER PUBLICATION p SET TABLE orders WHERE ({} > 0)
`

// TestRedteam13_EveryPlaceOfAStatement: a comparison of a masked column is seen in
// whatever place of a statement it stands, and so are the column and its table.
func TestRedteam13_EveryPlaceOfAStatement(t *testing.T) {
	const hidden = "(SELECT count(*) FROM public.customers WHERE email < 'm')"
	list := strings.Split(strings.TrimSpace(places), "\n")
	for _, place := range list {
		for i := range strings.Count(place, "{}") {
			sql := place
			for j := range strings.Count(place, "{}") {
				with := "1"
				if j == i {
					with = hidden
				}
				sql = strings.Replace(sql, "{}", with, 1)
			}
			f := resolved(t, NewCatalog(shop()), sql, public, "")
			if got := compared(t, sql); !slices.Contains(got, "range") && !slices.Contains(got, "other") {
				t.Errorf("%s: uses %q", sql, got)
			}
			if f.Class == command.Unknown {
				continue
			}
			read := slices.ContainsFunc(f.Objects, func(o command.Object) bool { return o.Name == "customers" })
			if !read || !slices.Contains(f.Columns, command.Column{Schema: "public", Table: "customers", Name: "email"}) {
				t.Errorf("%s: %v of %v", sql, f.Columns, f.Objects)
			}
		}
	}
}
