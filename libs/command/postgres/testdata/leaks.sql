-- Ways in which public.customers.email may reach a client. libs/pgcatalog runs each on a real server.

SELECT email || '' FROM customers

SELECT lower(email) AS x FROM customers

SELECT substring(email, 1, 3) FROM customers

SELECT email::varchar FROM customers

SELECT c.email::text FROM customers AS c

SELECT row_to_json(c) FROM customers c

SELECT row_to_json(customers) FROM customers

SELECT to_jsonb(public.customers) FROM public.customers

SELECT c FROM customers c

SELECT c::text FROM customers c

SELECT (c).email || '' FROM customers c

SELECT c.to_json FROM customers c

SELECT (c).to_jsonb FROM customers c

SELECT c.text FROM customers c

SELECT s.to_json FROM (SELECT * FROM customers) s

SELECT ROW(c.*) FROM customers c

SELECT (c.*)::text FROM customers c

SELECT ARRAY(SELECT email FROM customers)

SELECT array_agg(email) FROM customers

SELECT array_agg(c) FROM customers c

SELECT string_agg(email, ',') FROM customers

SELECT max(email) FROM customers

SELECT first_value(email) OVER () FROM customers

SELECT (SELECT email FROM customers LIMIT 1)

SELECT (TABLE customers LIMIT 1)

SELECT unnest(ARRAY[email]) FROM customers

SELECT * FROM unnest(ARRAY(SELECT email FROM customers)) u

SELECT j FROM customers c, jsonb_each_text(to_jsonb(c)) j

SELECT value FROM customers c, jsonb_each_text(to_jsonb(c))

SELECT email FROM customers UNION SELECT 'x'

SELECT 'x' UNION ALL SELECT email FROM customers

SELECT note FROM archive UNION SELECT email FROM customers

TABLE archive UNION SELECT id, email FROM customers

SELECT * FROM (SELECT * FROM customers UNION SELECT * FROM customers) s

WITH RECURSIVE r AS (SELECT email FROM customers UNION SELECT email FROM r) SELECT * FROM r

WITH c AS (SELECT email AS e FROM customers) SELECT e || '' FROM c

WITH c(x) AS (SELECT email FROM customers) SELECT x || '' FROM c

WITH c(a, b) AS (SELECT * FROM customers) SELECT b || '' FROM c

WITH customers AS (SELECT email AS x FROM public.customers) SELECT x || '' FROM customers

WITH customers AS (SELECT * FROM customers) SELECT lower(x) FROM customers AS t(i, x)

SELECT x || '' FROM customers AS t(i, x)

SELECT x || '' FROM (customers CROSS JOIN orders) AS t(i, x)

SELECT e || '' FROM (SELECT email FROM customers) AS t(e)

SELECT e || '' FROM (TABLE customers) AS t(i, e)

SELECT a.e || '' FROM (SELECT b.email AS e FROM customers b) a

SELECT l.e || '' FROM customers c, LATERAL (SELECT c.email AS e) l

SELECT l.b || '' FROM customers c, LATERAL (SELECT c.*) AS l(a, b)

SELECT coalesce(a.email, b.email) FROM customers a FULL JOIN customers b USING (id)

SELECT email FROM customers a FULL JOIN customers b USING (email)

SELECT email || '' FROM customers a NATURAL JOIN customers b

SELECT x FROM customers NATURAL FULL JOIN (SELECT 1 AS x) s

SELECT CASE WHEN email LIKE 'a%' THEN 'yes' END FROM customers

SELECT id + 1 FROM customers WHERE email = 'a@b.c'

SELECT count(*) FROM customers GROUP BY email

SELECT count(*) FROM customers HAVING max(email) > 'm'

SELECT upper(name) FROM customers ORDER BY email

SELECT xmlelement(name x, email) FROM customers

SELECT xmlforest(c.*) FROM customers c

SELECT JSON_OBJECT('e': email) FROM customers

SELECT JSON_ARRAYAGG(email) FROM customers

SELECT * FROM customers c, JSON_TABLE(to_jsonb(c), '$' COLUMNS (e text PATH '$.email')) j

SELECT * FROM customers c, XMLTABLE('/r' PASSING xmlelement(name r, email) COLUMNS e text PATH '.') x

INSERT INTO customers (id) VALUES (1) RETURNING lower(email)

INSERT INTO customers (id) VALUES (1) RETURNING (SELECT max(c.email) FROM customers c)

UPDATE customers SET name = '' WHERE id = 1 RETURNING email || ''

UPDATE customers c SET name = '' WHERE id = 1 RETURNING row_to_json(c)

UPDATE customers SET name = '' WHERE id = 1 RETURNING row_to_json(old)

UPDATE customers SET name = '' WHERE id = 1 RETURNING new::text

DELETE FROM customers WHERE id = 1 RETURNING upper(old.email)

UPDATE orders SET total = 1 FROM customers c WHERE c.id = orders.customer RETURNING c.email || ''

UPDATE orders SET total = 1 FROM customers c WHERE c.id = orders.customer RETURNING c::text

MERGE INTO orders o USING customers c ON c.id = o.customer WHEN MATCHED THEN UPDATE SET total = 1 RETURNING c.email || ''

WITH m AS (MERGE INTO orders o USING customers c ON c.id = o.customer WHEN MATCHED THEN UPDATE SET total = 1 RETURNING c.*) SELECT m::text FROM m

WITH d AS (DELETE FROM customers RETURNING *) SELECT d::text FROM d

SELECT lower(mail) FROM contacts

SELECT lowered || '' FROM contacts

SELECT row_to_json(v) FROM contacts v

SELECT doc::text FROM whole

SELECT upper(mail) FROM over

SELECT upper(o::text) FROM over o

SELECT most_common_vals::text FROM pg_stats

EXPLAIN SELECT * FROM customers WHERE email = 'a@b.c'

SELECT md5(email) = md5('x') FROM customers

SELECT reverse(email), encode(email::bytea, 'hex'), encode(convert_to(email, 'UTF8'), 'base64') FROM customers

SELECT format('%s', email), concat(email, id), concat_ws(',', id, email) FROM customers

SELECT ascii(substr(email, 1, 1)), length(email), email ~ '^p', email < 'm' FROM customers

SELECT ts_headline(email, 'x'::tsquery), to_tsvector(email) FROM customers

SELECT regexp_split_to_table(email, '@') FROM customers

SELECT r FROM customers, regexp_matches(email, '(.*)@') r

SELECT greatest(email, ''), nullif(email, ''), coalesce(email, '') FROM customers

SELECT (ARRAY[email])[1], ROW(email), (ROW(email)).f1 FROM customers

SELECT s.e[1] FROM (SELECT array_agg(email) AS e FROM customers) s

SELECT tags[1] || email FROM customers

SELECT lag(email) OVER (ORDER BY id), nth_value(email, 1) OVER (ORDER BY id) FROM customers

SELECT mode() WITHIN GROUP (ORDER BY email), percentile_disc(0) WITHIN GROUP (ORDER BY email) FROM customers

SELECT json_agg(c), jsonb_agg(to_jsonb(c)), json_object_agg(id, email) FROM customers c

SELECT hashtext(email), sha256(email::bytea) FROM customers

SELECT xpath('/r/text()', xmlelement(name r, email)) FROM customers

SELECT JSON_VALUE(to_jsonb(c), '$.email'), JSON_QUERY(to_jsonb(c), '$.*' WITH WRAPPER) FROM customers c

SELECT key, value FROM customers c CROSS JOIN LATERAL json_each(row_to_json(c))

SELECT jsonb_path_query(to_jsonb(c), '$.email') FROM customers c

SELECT e FROM (SELECT email FROM customers OFFSET 0) AS x(e)

SELECT x.email FROM (SELECT DISTINCT email FROM customers) x

SELECT (SELECT x FROM (SELECT c.email) AS s(x)) FROM customers c

SELECT (SELECT s FROM (SELECT c.*) s)::text FROM customers c

SELECT * FROM customers c JOIN LATERAL (SELECT c.email || '' AS e) l ON true

SELECT c.*, c.email || '' FROM customers c

SELECT *, row_to_json(customers.*) FROM customers

SELECT g.email FROM (SELECT email, count(*) FROM customers GROUP BY GROUPING SETS ((email), ())) g

SELECT * FROM (SELECT email FROM customers INTERSECT SELECT email FROM customers) s

SELECT * FROM ROWS FROM (unnest(ARRAY(SELECT email FROM customers)), generate_series(1, 3)) AS r(a, b)

WITH RECURSIVE t(e, n) AS (SELECT email, 1 FROM customers UNION ALL SELECT e || n, n + 1 FROM t WHERE n < 3) SELECT e FROM t

WITH RECURSIVE t AS (SELECT id, email FROM customers UNION ALL SELECT id, email FROM t) SEARCH DEPTH FIRST BY email SET path SELECT path FROM t LIMIT 5

WITH RECURSIVE t AS (SELECT id, email FROM customers UNION ALL SELECT id, email FROM t) CYCLE email SET c USING path SELECT path FROM t

WITH a AS MATERIALIZED (SELECT * FROM customers), b AS (SELECT * FROM a) SELECT b.email, b.* , b FROM b

INSERT INTO archive SELECT id, email FROM customers RETURNING note || ''

INSERT INTO customers (id, email) SELECT 900 + id, email FROM customers RETURNING email || '', email

INSERT INTO customers (id, email) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = customers.email RETURNING name || ''

UPDATE customers SET name = email RETURNING name || ''

UPDATE archive SET note = c.email FROM customers c RETURNING archive.note || '', c.email

MERGE INTO customers t USING customers s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.email RETURNING s.email, t.email || '', merge_action()

SELECT x.* FROM customers c, XMLTABLE('/r' PASSING xmlelement(name r, c.email) COLUMNS e text PATH '.', n FOR ORDINALITY) x

SELECT t.e FROM customers, LATERAL (VALUES (email)) AS t(e)

SELECT v.column1 FROM customers c, LATERAL (VALUES (c.email)) v

SELECT email COLLATE "C" || '' FROM customers

SELECT email AS id, id AS email FROM customers

SELECT customers.email FROM customers ORDER BY 1

SELECT mail FROM contacts UNION SELECT mail FROM over

SELECT d ->> 'email' FROM (SELECT to_jsonb(c) AS d FROM customers c) s

SELECT doc ->> 'email' FROM whole

SELECT id, email FROM child

SELECT lower(email) FROM child

SELECT x.text FROM (SELECT email FROM customers) x

SELECT x.varchar FROM (SELECT email FROM customers) x

SELECT (x).text FROM (SELECT email FROM customers) x

SELECT x.upper FROM (SELECT email::text FROM customers) AS x(upper)

SELECT string_agg(x.concat, ',') FROM customers x

SELECT x.format FROM customers x

SELECT x.num_nulls, x.json_build_array, x.jsonb_build_array, x.hash_record_extended FROM customers x

SELECT x.json_build_array FROM customers x

SELECT x.record_out FROM customers x

SELECT x.record_send FROM customers x

SELECT x.to_json FROM contacts x

SELECT x.array_agg FROM customers x

SELECT x.json_agg FROM customers x

SELECT x.max FROM (SELECT email FROM customers) x

SELECT pg_typeof(c), c IS NULL, c = c FROM customers c

SELECT (c.*) IS NULL, count(c.*) FROM customers c GROUP BY 1

SELECT (ROW(c)).f1 FROM customers c

SELECT s.record_out FROM (SELECT email FROM customers) s

SELECT (ROW(c.*)).f2 FROM customers c

SELECT (array_agg(c))[1].email FROM customers c

SELECT (SELECT array_agg(c) FROM customers c)[1].email || ''

SELECT (r).email FROM (SELECT c AS r FROM customers c) s

SELECT (s.r).email || '', (s.r).* FROM (SELECT c AS r FROM customers c) s
