BEGIN ISOLATION LEVEL SERIALIZABLE

START TRANSACTION READ ONLY

COMMIT AND CHAIN

ROLLBACK

SAVEPOINT a

RELEASE a

ROLLBACK TO a

PREPARE TRANSACTION 'x'

COMMIT PREPARED 'x'

SET search_path TO app, public

SET LOCAL statement_timeout = '5s'

SET "Client_Encoding" = 'SJIS'

SET NAMES 'latin1'

SET TIME ZONE 'UTC'

SET SCHEMA 'app'

SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY

SET TRANSACTION SNAPSHOT '1-2-3'

RESET ALL

RESET search_path

RESET ROLE

SET ROLE admin

SET ROLE NONE

SET SESSION AUTHORIZATION DEFAULT

SHOW ALL

SHOW search_path

DISCARD ALL

LISTEN c

UNLISTEN *

DEALLOCATE ALL

CLOSE cur

SET CONSTRAINTS ALL IMMEDIATE

SELECT pg_catalog.set_config('search_path', '', false)

SELECT pg_catalog.set_config('role', 'admin', false)

SELECT set_config('search_path', '', false)

SELECT pg_catalog.set_config('search_path', '', false), 1

SELECT pg_catalog.set_config(name, '', false) FROM t

PREPARE p (int) AS DELETE FROM t WHERE id = $1

EXECUTE p(1)

DECLARE cur CURSOR FOR SELECT email FROM customers

FETCH 10 FROM cur

MOVE cur

EXPLAIN SELECT * FROM customers

EXPLAIN DELETE FROM customers

EXPLAIN ANALYZE DELETE FROM customers

EXPLAIN (ANALYZE off, VERBOSE) DELETE FROM customers

EXPLAIN (ANALYZE off, ANALYZE) DELETE FROM customers

EXPLAIN SELECT evil()

EXPLAIN EXECUTE p(1)

EXPLAIN CREATE TABLE x AS SELECT * FROM customers

DO 'begin delete from t; end'

CALL cleanup(1)
