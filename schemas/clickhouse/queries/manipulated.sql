-- Records whose text is not what was recorded, though no redaction tells of it.
-- Empty is good. (The latest may lack their redaction for a moment.)
--
-- Parameters: none
--
-- clickhouse client --queries-file manipulated.sql
SELECT time, unexplained AS fields, kind, producer, incarnation, batch_number, session_id, command_id, id
FROM gatestay.manipulations
ORDER BY time DESC
LIMIT 1000;
