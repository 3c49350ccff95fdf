-- Records that no trusted producer signed, or that were changed on their way:
-- stored apart, part of no other answer. Empty is good.
--
-- Parameters: none
--
-- clickhouse client --queries-file unverified.sql
SELECT integrity, time, producer, incarnation, batch_number, kind, session_id, target, statement, message
FROM gatestay.unverified
ORDER BY time DESC
LIMIT 1000;
