SELECT 1

SELECT * FROM customers

SELECT c.id, lower(c.email) AS e FROM public.customers c WHERE c.email = 'a@b.c' AND c.age > -18 ORDER BY e

SELECT id FROM customers WHERE email LIKE '%@acme.example' AND born BETWEEN '2000-01-01' AND $1 AND id IN (1, 2, $2)

SELECT id FROM customers WHERE lower(email) = lower($1) OR (id, email) = (7, 'x@y.z')

SELECT o.id, c.email FROM orders o JOIN customers c ON c.id = o.customer LEFT JOIN items USING (item) WHERE EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id)

SELECT * FROM a NATURAL JOIN b

TABLE customers

VALUES (1, 'a'), (2, 'b')

SELECT email FROM customers UNION ALL SELECT name FROM staff EXCEPT SELECT * FROM blocked

WITH recent AS (SELECT * FROM orders WHERE at > now()) SELECT count(*) FROM recent

WITH customers AS (SELECT 1 AS id) SELECT id FROM customers

WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, b

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t

SELECT (SELECT x.a FROM x WHERE x.id = y.id), ARRAY(SELECT b FROM z) FROM y

SELECT * FROM (SELECT email FROM customers) s, LATERAL (SELECT s.email) l

SELECT row_to_json(c), c.* FROM customers c

SELECT c FROM customers AS c(a, b)

SELECT x.email FROM customers x WHERE x = ROW(1, 2)

SELECT * FROM unnest(ARRAY['a', 'b']) WITH ORDINALITY AS u(v, n)

SELECT * FROM generate_series(1, 10) g TABLESAMPLE bernoulli (1)

SELECT * FROM orders TABLESAMPLE bernoulli (1)

SELECT * FROM orders TABLESAMPLE my_method (1)

SELECT * FROM orders FOR UPDATE OF orders

SELECT * INTO TEMP copy FROM customers

SELECT rank() OVER (PARTITION BY region ORDER BY total DESC), count(*) FILTER (WHERE total > 5) FROM sales GROUP BY ROLLUP (region) HAVING sum(total) > 10 WINDOW w AS (ORDER BY id)

SELECT CASE email WHEN 'a@b.c' THEN 1 ELSE 0 END, coalesce(a, 'none'), nullif(b, 'x') FROM t

SELECT j.* FROM docs, JSON_TABLE(doc, '$[*]' COLUMNS (name text PATH '$.name', mood mood PATH '$.mood')) AS j

SELECT * FROM XMLTABLE('/r' PASSING data COLUMNS a int) AS x, docs

SELECT xmlelement(name a, email), extract(year FROM born), current_user, now() AT TIME ZONE 'UTC' FROM customers

SELECT $1::mood, 'x'::app.thing, 1::pg_catalog.int4, ARRAY[1]::text[]

SELECT a OPERATOR(pg_catalog.+) b, a OPERATOR(app.+) b FROM t

SELECT id FROM t ORDER BY id USING OPERATOR(app.<)

SELECT nextval('s'), currval('s')

SELECT U&"\0065mail" FROM "Customers" WHERE "e mail" = E'it\'s'
  'more' AND note = $$a 'b'$$
